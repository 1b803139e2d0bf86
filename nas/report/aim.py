"""What to know of a search's results: accuracies that tell little, a winner far from its target, and a reward
that is no accuracy."""

from __future__ import annotations

from nas.network.cost_words import cost_label, si
from nas.runs.folder import Run
from nas.runs.measured import read_measured
from nas.runs.scored_on import read_scored
from nas.search.exponent_fit import SizedAccuracy, change_of, doublings, fit_exponent, gain
from nas.search.results import Results
from nas.search.reward import Objective
from nas.search.trial import Scored
from search_spaces.errors import InputError

FAR = 1.5
"""A cost beyond so many times its target, or below its target by as much, is worth a word."""


def run_remarks(run: Run, results: Results, best: Scored) -> list[str]:
    """All that whoever reads a run's results should know of them; arguments as `aim_remarks` takes them.

    Raises:
        InputError: a broken file of the run.
    """
    accuracies = [record.accuracy for record in results.scored]
    return [*read_scored(run.folder).remarks(accuracies), *aim_remarks(run, results, best)]


def aim_remarks(run: Run, results: Results, best: Scored) -> list[str]:
    """A sentence for each target that the winner is far from, with the reason; and one on a reward above 1.

    Args:
        run: the search.
        results: of it, by its reward.
        best: its winner.
    """
    words = []
    for objective in results.objectives:
        cost, target = best.costs[objective.cost], objective.target
        if _far(run, objective.ratio(cost)):
            words.append(
                f"{cost_label(objective.cost)} of the winner: {si(cost)}, {cost / target:.2g} times the "
                f"target {si(target)}: {_reason(run, results, objective, best)}."
            )
    if best.reward > 1:
        words.append(
            f"A reward above 1 ({best.reward:.4f}) is no accuracy: it is accuracy x (cost / target)^w, and "
            "says that the network costs less than the target."
        )
    return words


def _far(run: Run, ratio: float) -> bool:
    # what the hard reward leaves free below the target is as it was asked for
    return ratio > FAR or (ratio < 1 / FAR and run.settings.reward.form != "hard")


def _reason(run: Run, results: Results, objective: Objective, best: Scored) -> str:
    form, w = run.settings.reward.form, objective.below
    if form == "hard":
        return "accuracy grew in proportion to the cost, or the search found nothing cheaper yet"
    if form == "absolute":
        return f"w = {w:g} doesn't hold it there, a larger one (--exponent) does"
    measured = read_measured(run.folder)
    if measured is not None and measured.exponent == w:
        return (
            f"w = {w:g} was measured here, by which networks of any cost around the target are worth about "
            "the same; --reward absolute holds a target"
        )
    brings, assumed = _front_gain(results), gain(-w)
    assumes = f"w = {w:g} assumes {assumed:.1%}"
    if brings is None:
        return f"{assumes} accuracy for {change_of(results.objectives)}; --exponent auto measures it here"
    seen = (
        f"along the Pareto front {change_of(results.objectives)} went with {brings:+.1%} accuracy, {assumes}"
    )
    if (brings < assumed) != (objective.ratio(best.costs[objective.cost]) < 1):
        return f"{seen}, which doesn't explain it: more trials may come closer"
    return f"{seen}; --exponent auto measures it"


def _front_gain(results: Results) -> float | None:
    """What a doubling of the cost went with along the front; None if that is too short to say."""
    points = [
        SizedAccuracy(record.digest, doublings(results.objectives, record.costs), record.accuracy)
        for record in results.front
    ]
    sizes = [point.doublings for point in points]
    if not points or max(sizes) - min(sizes) < 1:
        return None
    try:
        return gain(fit_exponent(points).slope)
    except InputError:  # two networks make a line, but no figure
        return None
