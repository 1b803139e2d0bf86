"""Checkpoints of a training: written atomically, read without executing code, checked before they are used.

Whatever takes a checkpoint reads it here, so that a file that is none, or one whose weights are of another
network or NaN, is refused in the same words everywhere.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nas.data.preparation import Preparation
from nas.network.builder import Network, build
from nas.training.stored import read_stored, tensors
from nas.training.transfer import trained_weights
from search_spaces.document import write_atomically
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec

LAST = "last.pt"
"""The checkpoint in the folder of a training that was given a folder to write to."""


def _none(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: no checkpoint of `nas train`: {reason}")


def save_checkpoint(path: Path, spec: NetworkSpec, state: dict[str, Any], about: dict[str, Any]) -> None:
    """Write a trainer's state with the network it belongs to; the old file stays until the new is whole.

    Raises:
        InputError: the file can't be written.
    """
    write_atomically(path, checkpoint_bytes(spec, state, about))


def checkpoint_bytes(spec: NetworkSpec, state: dict[str, Any], about: dict[str, Any]) -> bytes:
    """The content of a checkpoint file."""
    buffer = io.BytesIO()
    torch.save({"spec": spec.to_document(), "state": state, "about": about}, buffer)
    return buffer.getvalue()


def checkpoint_file(path: Path | str) -> Path:
    """The file that is meant by a checkpoint's path, or by the folder that a training writes to.

    Raises:
        InputError: nothing there, or a folder without one.
    """
    path = Path(path)
    if path.is_dir():
        if (path / LAST).is_file():
            return path / LAST
        # `--out X.pt` has a folder X beside it, which holds the best epoch's
        named = path if path.name else path.resolve()  # "." has no name that a suffix could go with
        places = (named.with_suffix(".pt") if named.name else named, path / "best.pt")
        beside = [place for place in places if place.is_file()]
        hint = f"; did you mean {beside[0]}?" if beside else ""
        raise _none(path, f"a folder without {LAST}{hint}")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _none(path, str(error.strerror)) from None
    if not path.is_file():
        raise _none(path, "no regular file")
    if not size:
        raise _none(path, "the file is empty")
    return path


def load_checkpoint(path: Path | str) -> tuple[NetworkSpec, dict[str, Any], dict[str, Any]]:
    """(network, trainer's state, remarks) of a checkpoint, or of the folder of a training.

    The state has the weights of the network, all of its numbers are finite.

    Raises:
        InputError: missing, unreadable, no checkpoint of ours, weights that are not those of its network,
            or a number in it that is NaN or infinite.
    """
    path = checkpoint_file(path)
    try:
        content = read_stored(path, str(_none(path, "")).rstrip(": "))
    except OSError as error:
        raise _none(path, str(error.strerror or error)) from None
    if not isinstance(content, dict):
        raise _none(path, f"it holds a {type(content).__name__}")
    missing = [name for name in ("spec", "state", "about") if name not in content]
    if missing:
        raise _none(path, _strange(content, missing))
    state, about = content["state"], content["about"]
    for name, value in (("spec", content["spec"]), ("state", state), ("about", about)):
        if not isinstance(value, dict):
            raise _none(path, f"its {name} is a {type(value).__name__}")
    spec = NetworkSpec.from_document(content["spec"], str(path))
    weights = state.get("model")
    if not isinstance(weights, dict) or not weights:
        raise _none(path, "it has no model, the weights are missing")
    with torch.device("meta"):  # shapes alone, nothing is allocated
        own = Network(spec).state_dict()
    check_weights(weights, own, path, "weights")
    if state.get("ema") is not None:
        if not isinstance(state["ema"], dict):
            raise _none(path, f"its moving average is a {type(state['ema']).__name__}")
        check_weights(trained_weights(state), own, path, "moving average")
    for name, tensor in tensors(state, str(path)):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(
                f"{path}: {name} has {_count_strange(tensor)} of {tensor.numel()} values NaN or infinite: "
                "expected finite numbers; the training diverged, start from an earlier checkpoint"
            )
    return spec, state, about


class Trained(NamedTuple):
    """A network as it was trained.

    Attributes:
        spec: the network.
        model: its module with the trained weights: the moving average where there is one.
        preparation: of its images, and the names of its classes; None: an earlier version kept none.
    """

    spec: NetworkSpec
    model: Network
    preparation: Preparation | None


def load_model(path: Path | str) -> Trained:
    """The network in a checkpoint, or in the folder of a training.

    Raises:
        InputError: as `load_checkpoint`, or its `input` is not that of its network.
    """
    path = checkpoint_file(path)
    spec, state, about = load_checkpoint(path)
    model = build(spec, seed=0)
    model.load_state_dict(trained_weights(state))
    if "input" not in about:
        return Trained(spec, model, None)
    preparation = Preparation.from_document(about["input"], f"{path}: input")
    if (preparation.channels, len(preparation.classes)) != (spec.in_channels, spec.num_classes):
        raise _none(path, "its input and classes are not those of its spec")
    return Trained(spec, model, preparation)


def check_weights(weights: Mapping[str, Any], own: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Raise `InputError` unless `weights` are tensors by the names and of the shapes and kinds of `own`."""
    if set(weights) != set(own):
        names = [str(name) for name in weights if name not in own]
        words = f"{names[0]!r} is none of its" if names else ""
        lost = [name for name in own if name not in weights]
        words = " and ".join(w for w in (words, f"{lost[0]!r} is missing" if lost else "") if w)
        raise _none(path, f"its {what} are not those of its spec: {words}")
    for name, tensor in own.items():
        given = weights[name]
        if not isinstance(given, Tensor):
            raise _none(path, f"its {what} are not those of its spec: {name} is no tensor")
        if given.shape != tensor.shape or given.is_floating_point() != tensor.is_floating_point():
            found, wanted = (f"{tuple(t.shape)} {str(t.dtype)[6:]}" for t in (given, tensor))
            raise _none(path, f"its {what} are not those of its spec: {name} is {found}, expected {wanted}")


def _strange(content: Mapping[Any, Any], missing: list[str]) -> str:
    """What a dict is that is no checkpoint."""
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return "a state dict: weights without the network they are of"
    return f"it has no {' and no '.join(missing)}"


def _count_strange(tensor: Tensor) -> int:
    return int((~torch.isfinite(tensor)).sum())
