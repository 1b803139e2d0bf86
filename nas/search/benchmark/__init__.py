"""The ImageNet benchmark (Accel-NASBench): its records, and surrogates fitted on them."""
