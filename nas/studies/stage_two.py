"""Stage two of a search: its best networks trained fully, side by side, and who really won.

It is a search over a list of networks, so it runs on Ray, is journaled and resumed as any search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.latency.table import LATENCY
from nas.network.analytic import is_analytic
from nas.runs.folder import Run
from nas.runs.link import storage_of
from nas.runs.settings import SearchSettings
from nas.runs.storage import MODELS
from nas.search.trial import Record, Scored
from nas.studies.entries import entry
from search_spaces.errors import InputError
from search_spaces.listed import ListedSpace

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
    best: dict[str, Scored] = {}
    for record in run.results(records).ranked:
        best.setdefault(record.digest, record)
    if not best:
        raise InputError(f"{run.folder}: no trial has finished yet")
    chosen = {f"trial {record.trial}": record for record in list(best.values())[:top]}
    networks = {label: run.spec(record) for label, record in chosen.items()}
    # the search's own figures travel with the network, so that the table needs the search no more
    about = {
        label: {"trial": record.trial, "reward": record.reward, "accuracy": record.accuracy}
        for label, record in chosen.items()
    }
    # a benchmark's own costs can't be had without it; the others are the search's
    kept = run.settings.reward
    targets = {name: target for name, target in kept.targets.items() if is_analytic(name) or name == LATENCY}
    return replace(
        settings.over(STAGE_TWO, networks, about).trained(final=True),
        reward=replace(kept, targets=targets),
        latency_table=run.settings.latency_table if LATENCY in targets else None,
    )


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
        costs: of the same, the targeted ones by name; MACs without a target.
        digest: of the spec.
        checkpoint: path or URL of the trained weights.
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
    checkpoint: str
    costs: dict[str, float]


def full_results(run: Run, records: Sequence[Record]) -> list[FullResult]:
    """The finished trainings of a stage two, the highest full reward first."""
    assert isinstance(run.space, ListedSpace)
    # with --storage they are kept there, and not in the run folder
    models = f"{storage_of(run.folder) or run.folder}/{MODELS}"
    results = []
    found = run.results(records)
    for record in found.ranked:
        known = entry(run.space, record)
        last = record.measurements[-1]
        results.append(
            FullResult(
                trial=int(known["trial"]),
                proxy_reward=known["reward"],
                proxy_accuracy=known["accuracy"],
                reward=record.reward,
                held_out_accuracy=record.accuracy,
                test_accuracy=last["test_accuracy"],
                test_top5=last.get("test_top5"),
                epoch=int(last["epoch"]),
                macs=int(record.macs),
                digest=record.digest,
                checkpoint=f"{models}/trial_{record.trial:06d}.pt",
                costs={name: record.costs[name] for name in found.costs},
            )
        )
    return results


def agreement(results: Sequence[FullResult]) -> float | None:
    """Kendall's tau between the rewards of search and full training; None for less than two networks."""
    from scipy.stats import kendalltau

    if len(results) < 2:
        return None
    return float(kendalltau([r.proxy_reward for r in results], [r.reward for r in results])[0])
