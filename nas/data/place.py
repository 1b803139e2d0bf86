"""Where data lies, said so that it is found again from another working directory."""

from __future__ import annotations

from pathlib import Path

from nas.data.naming import parse_name


def absolute(path: str) -> str:
    """A path from the root; `~` is the home folder."""
    return str(Path(path).expanduser().absolute())


def absolute_data(name: str) -> str:
    """A data set's name, as `load_data` takes it, with its folder from the root if it names one.

    Raises:
        InputError: no name of a data set.
    """
    parsed = parse_name(name)
    # a name on Hugging Face's hub looks like a relative path; it is one where there is such a folder
    hub = parsed.kind == "huggingface" and not Path(parsed.location).expanduser().is_dir()
    if not parsed.location or hub:
        return name
    columns = f"?{parsed.columns}" if parsed.columns else ""
    return f"{parsed.kind}:{absolute(parsed.location)}{columns}"
