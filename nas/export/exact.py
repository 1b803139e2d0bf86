"""An export is exact or refused: same parameters and settings and, with equal weights, the same outputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy

import torch
from torch import nn

from nas.export.expressible import find_obstacle
from nas.export.probe import SIZES, TOLERANCE, BlindError, Size, give_sight, largest_gap
from nas.export.settings import check_settings, list_projections_last
from nas.network.builder import build, copy_weights
from search_spaces.errors import InputError
from search_spaces.notation import stage_words
from search_spaces.spec import NetworkSpec

_ROUNDING = 0.02
"""A gap above it is no rounding error of fp32, however deep the network."""


class NotExpressibleError(InputError):
    """The other library has no such network; the message names the stage and the reason."""


def check_exact(
    spec: NetworkSpec,
    theirs: nn.Module,
    library: str,
    weights: nn.Module | None = None,
    sizes: tuple[Size, ...] = SIZES[:2],
) -> None:
    """Raise `NotExpressibleError` unless `theirs` is the network of `spec`.

    Compared are the parameters' number, the settings that evaluation doesn't show, and the outputs at several
    sizes with weights drawn so that a difference shows; trained weights are compared as they are, too.

    Args:
        spec: the network.
        theirs: the other library's module; it is left in evaluation mode, with `weights` if given.
        library: its name, for the message.
        weights: our module, whose weights are copied; the probe's stay if None.
        sizes: heights and widths of the images.

    Raises:
        BlindError: the probe's outputs don't depend on the images, so nothing could be told.
    """
    probe = build(spec, seed=0)
    theirs.eval()
    list_projections_last(theirs)
    counts = [sum(p.numel() for p in module.parameters()) for module in (probe, theirs)]
    if counts[0] != counts[1]:
        raise NotExpressibleError(
            f"{spec.name}: {library} makes {counts[1]:,} parameters of it, expected {counts[0]:,}"
        )
    difference = check_settings(probe, theirs)
    if difference:
        raise NotExpressibleError(f"{spec.name}: {library}: {difference}")
    give_sight(probe, spec.in_channels)
    _carry(spec, probe, theirs, library)
    _compare(spec, probe, theirs, library, sizes)
    if weights is None:
        return
    check_finite(spec, weights)
    _carry(spec, weights.eval(), theirs, library)
    with suppress(BlindError):  # they can't tell; the network is the same, and the weights were just copied
        _compare(spec, weights, theirs, library, sizes[:1])


def check_finite(spec: NetworkSpec, weights: nn.Module) -> None:
    """Raise `InputError` if a weight is NaN or infinite: no outputs could be compared."""
    for name, tensor in weights.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise InputError(f"{spec.name}: its weights hold values that are not finite: {name}")


def _carry(spec: NetworkSpec, ours: nn.Module, theirs: nn.Module, library: str) -> None:
    try:
        copy_weights(ours, theirs)
    except InputError as error:
        raise NotExpressibleError(f"{spec.name}: {library} orders it otherwise: {error}") from None


def _compare(
    spec: NetworkSpec, ours: nn.Module, theirs: nn.Module, library: str, sizes: tuple[Size, ...]
) -> None:
    with border(f"{spec.name}: {library}"):
        found = largest_gap(ours, theirs, spec.in_channels, sizes)
        if TOLERANCE < found < _ROUNDING:  # in fp32 two ways to sum may differ by as much
            wide = [deepcopy(module).double() for module in (ours, theirs)]
            found = largest_gap(
                lambda x: wide[0](x.double()), lambda x: wide[1](x.double()), spec.in_channels, sizes
            )
    if not found <= TOLERANCE:
        raise NotExpressibleError(
            f"{spec.name}: {library}'s outputs differ by {found:.2g} of their spread with the same weights"
        )


def check_expressible(spec: NetworkSpec, library: str) -> None:
    """Raise `NotExpressibleError` for the first part that the library can't express, by its rules."""
    found = find_obstacle(library, spec)
    if found is None:
        return
    where, what = str(found.part), ""
    if isinstance(found.part, int):
        where, what = f"stage{found.part}", f" ({stage_words(spec.stages[found.part])})"
    raise NotExpressibleError(f"{spec.name}: {where}: not expressible in {library}: {found.reason}{what}")


@contextmanager
def border(where: str) -> Iterator[None]:
    """Turn what another library raises into one line that begins with `where`; our own errors pass.

    Raises:
        InputError: any exception of the library, in its own words, cut to one line.
    """
    try:
        yield
    except (InputError, ImportError):
        raise
    except Exception as error:
        words = " ".join(str(error).split())
        short = words if len(words) <= 200 else words[:197] + "..."
        raise InputError(f"{where} fails: {type(error).__name__}{f': {short}' if short else ''}") from error
