"""The commands of `nas`: they parse, wire and print; the work is done by the other packages."""
