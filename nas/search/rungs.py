"""After which epochs of a training it is asked whether it is worth going on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from nas.errors import TrialFailedError
from nas.search.reward import Reward
from nas.search.trial import STOPPED, Measurement, Record
from search_spaces.errors import InputError

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


def check_ending(scheduler: str, epochs: int) -> None:
    """Raise `InputError` for a scheduler that would have nothing to end.

    Args:
        scheduler: its name, `none` if trials are not ended early.
        epochs: of a whole training.
    """
    if scheduler != "none" and not rungs(epochs):
        count = f"{epochs} epoch{'' if epochs == 1 else 's'}"
        raise InputError(
            f"scheduler {scheduler!r}: a trial of {count} is over before it could be ended early; take more "
            "epochs, or `none`"
        )


def fidelity_of(record: Record, epochs: int) -> dict[str, float]:
    """The metric `fidelity`, the share of a training that was done, if it was ended early; else nothing."""
    done = record.measurements[-1]["epoch"] if record.measurements else epochs
    return {"fidelity": done / epochs} if record.state == STOPPED and 0 < done < epochs else {}


def rewards_of_parts(
    measurements: Sequence[Measurement], costs: Mapping[str, float], epochs: int, reward: Reward
) -> dict[float, float]:
    """The reward after each epoch that a training is judged at, by the share of it that was done.

    Args:
        measurements: of a training.
        costs: of its network.
        epochs: of a whole training.
        reward: of an accuracy and the costs.
    """
    found = {}
    for row in measurements:
        if row["epoch"] in rungs(epochs):
            with suppress(TrialFailedError):  # no reward yet, which says nothing of the next epoch
                found[row["epoch"] / epochs] = reward(row["accuracy"], costs)
    return found
