"""Stage two of a search: its best networks trained fully, side by side, and who really won.

It is a search over a list of networks, so it runs on Ray, is journaled and resumed as any search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nas.latency.table import LATENCY
from nas.network.cost import COSTS
from nas.search.run import LATENCY_TABLE, Run
from nas.search.settings import SearchSettings
from nas.search.storage import MODELS
from nas.search.trial import FINISHED, Record
from search_spaces.errors import InputError

STAGE_TWO = "stage-two"
"""Name of the space."""


def stage_two_settings(
    run: Run, records: Sequence[Record], top: int, settings: SearchSettings
) -> SearchSettings:
    """The full trainings of the `top` different networks with the highest rewards of a run.

    Args:
        run: the search.
        records: its ended trials.
        top: how many.
        settings: how to train them; space, reward and trials are filled in here.

    Raises:
        InputError: `top` is below 1, or the run has no finished trial.
    """
    if not isinstance(top, int) or top < 1:
        raise InputError(f"top {top!r}: expected an integer of at least 1")
    finished = (r for r in records if r.state == FINISHED and r.reward is not None)
    best: dict[str, Record] = {}
    for record in sorted(finished, key=lambda r: (-float(r.reward or 0), r.trial)):
        best.setdefault(record.digest, record)
    if not best:
        raise InputError(f"{run.folder}: no trial has finished yet")
    networks = {_label(record): run.spec(record) for record in list(best.values())[:top]}
    # a benchmark's own costs can't be had without it; the others are the search's
    targets = {name: target for name, target in run.settings.targets.items() if name in (*COSTS, LATENCY)}
    return replace(
        settings.over(STAGE_TWO, networks),
        reward=run.settings.reward,
        targets=targets,
        exponent=run.settings.exponent,
        latency_table=str(run.folder / LATENCY_TABLE) if LATENCY in targets else None,
        final=True,
    )


def _label(record: Record) -> str:
    # the search's own figures travel with the network, so that the table needs the search no more
    return f"trial {record.trial}: reward {record.reward!r}, accuracy {record.accuracy!r}"


@dataclass(frozen=True)
class FullResult:
    """One network of stage two.

    Attributes:
        trial: of the search.
        proxy_reward, proxy_accuracy: in the search, the latter on held-out images.
        reward, held_out_accuracy: of the full training after its last epoch, on held-out images.
        test_accuracy, test_top5: of the same on the test split; the latter None with five classes or less.
        epoch: the last.
        macs: of the full network.
        digest: of the spec.
        checkpoint: with the trained weights.
    """

    trial: int
    proxy_reward: float
    proxy_accuracy: float
    reward: float
    held_out_accuracy: float
    test_accuracy: float
    test_top5: float | None
    epoch: int
    macs: int
    digest: str
    checkpoint: Path


def full_results(folder: Path, records: Sequence[Record]) -> list[FullResult]:
    """The finished trainings of a stage two, the highest full reward first."""
    results = []
    for record in records:
        if record.state != FINISHED or record.reward is None or record.accuracy is None:
            continue
        trial, reward, accuracy = str(record.choices["network"]).replace(":", ",").split(", ")
        last = record.measurements[-1]
        results.append(
            FullResult(
                trial=int(trial.removeprefix("trial ")),
                proxy_reward=float(reward.removeprefix("reward ")),
                proxy_accuracy=float(accuracy.removeprefix("accuracy ")),
                reward=record.reward,
                held_out_accuracy=record.accuracy,
                test_accuracy=last["test_accuracy"],
                test_top5=last.get("test_top5"),
                epoch=int(last["epoch"]),
                macs=int(record.macs),
                digest=record.digest,
                checkpoint=folder / MODELS / f"trial_{record.trial:06d}.pt",
            )
        )
    return sorted(results, key=lambda result: -result.reward)


def agreement(results: Sequence[FullResult]) -> float | None:
    """Kendall's tau between the rewards of search and full training; None for less than two networks."""
    from scipy.stats import kendalltau

    if len(results) < 2:
        return None
    return float(kendalltau([r.proxy_reward for r in results], [r.reward for r in results])[0])
