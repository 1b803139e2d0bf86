"""After which epochs of a training it is asked whether it is worth going on."""

from __future__ import annotations

_FIRST, _LATEST = 8, 0.75


def rungs(epochs: int) -> tuple[int, ...]:
    """The epochs after which a training is judged: an eighth of them, twice that ... up to three quarters.

    As in successive halving (Jamieson & Talwalkar 2016) each step doubles what is known.

    Args:
        epochs: of a whole training; of one there is none.
    """
    found, epoch = [], max(1, epochs // _FIRST)
    while epoch <= epochs * _LATEST:
        found.append(epoch)
        epoch *= 2
    return tuple(found)
