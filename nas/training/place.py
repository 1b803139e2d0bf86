"""Where data lies, said so that it is found again from another working directory."""

from __future__ import annotations

from pathlib import Path


def absolute(path: str) -> str:
    """A path from the root; `~` is the home folder."""
    return str(Path(path).expanduser().absolute())


def absolute_data(name: str) -> str:
    """A data set's name, as `load_data` takes it, with its folder from the root if it names one."""
    kind, colon, rest = name.partition(":")
    if not colon or not rest:
        return name
    # a name on Hugging Face's hub looks like a relative path; it is one where there is such a folder
    if kind in ("imagefolder", "webdataset") or (kind == "huggingface" and Path(rest).expanduser().is_dir()):
        return f"{kind}:{absolute(rest)}"
    return name
