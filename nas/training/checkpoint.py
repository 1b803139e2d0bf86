"""Checkpoints of a full training: written atomically, read without executing code."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch

from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec


def save_checkpoint(path: Path, spec: NetworkSpec, state: dict[str, Any], about: dict[str, Any]) -> None:
    """Write a trainer's state with the network it belongs to; the old file stays until the new is whole.

    Raises:
        InputError: the file can't be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(checkpoint_bytes(spec, state, about))
        part.replace(path)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot write: {error}") from None


def checkpoint_bytes(spec: NetworkSpec, state: dict[str, Any], about: dict[str, Any]) -> bytes:
    """The content of a checkpoint file."""
    buffer = io.BytesIO()
    torch.save({"spec": spec.to_document(), "state": state, "about": about}, buffer)
    return buffer.getvalue()


def load_checkpoint(path: Path) -> tuple[NetworkSpec, dict[str, Any], dict[str, Any]]:
    """(network, trainer's state, remarks) of a checkpoint.

    Raises:
        InputError: missing, unreadable, or no checkpoint of ours.
    """
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        return NetworkSpec.from_document(content["spec"], str(path)), content["state"], content["about"]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except InputError:
        raise
    except Exception as error:  # torch raises many kinds for a file that is none of its own
        cause = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: no checkpoint: {cause}") from None
