"""`--exponent auto`: what more cost is worth on the data at hand, measured before the search.

Networks of one design in several sizes around the target are trained as the search will train its own, by
the same evaluator; the exponent follows from their accuracies (`nas.search.exponent_fit`). Each seed is a
search over the list of them, so that it runs where the search does, is journaled, and goes on after a stop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from nas.network.analytic import analytic_costs, is_analytic
from nas.runs.measured import EXPONENT, MeasuredExponent
from nas.runs.settings import SearchSettings
from nas.search.evaluator import Evaluator
from nas.search.exponent_fit import SizedAccuracy, change_of, doublings, fit_exponent
from nas.search.results import Results
from nas.search.reward import Objective
from nas.search.trial import Record
from nas.studies.entries import entry
from nas.studies.size_family import SizeFamily, members_of, widths_of
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.spec import NetworkSpec

NETWORKS, SEEDS = 6, 2
"""Trainings: of so many networks, each so often."""
_INSTANT = 24
"""Networks where an answer costs nothing."""

TrainSizes = Callable[[str, SearchSettings], tuple[ListedSpace, Sequence[Record]]]
"""Runs a search over a list to its end under a name, or goes on with it; gives its list and its records."""


@dataclass(frozen=True)
class ExponentStudy:
    """What is to be measured.

    Attributes:
        settings: of the search.
        family: what is trained.
        costs: of a network, the targeted ones at least.
        seeds: trainings of each network.
        chance: accuracy up to which a network may have learned nothing.
    """

    settings: SearchSettings
    family: SizeFamily
    costs: Callable[[NetworkSpec], Mapping[str, float]]
    seeds: int
    chance: float

    @staticmethod
    def of(
        settings: SearchSettings,
        evaluator: Evaluator,
        more_costs: Callable[[NetworkSpec], Mapping[str, float]],
    ) -> ExponentStudy:
        """The study that a search's settings ask for.

        Args:
            settings: of the search; its exponent is to be measured.
            evaluator: of the search.
            more_costs: of a network, beside the analytic ones.

        Raises:
            InputError: the space's networks differ too little in cost.
        """
        objectives, space = settings.make_reward().objectives, settings.make_space()
        known = all(is_analytic(objective.cost) for objective in objectives)

        def costs(spec: NetworkSpec) -> dict[str, float]:
            analytic = analytic_costs(spec, (objective.cost for objective in objectives))
            if known:
                return analytic  # the others are known of members of the space alone
            return analytic | dict(more_costs(spec))

        def size(spec: NetworkSpec) -> float:
            return doublings(objectives, costs(spec)) / len(objectives)

        count = _INSTANT if evaluator.instant else NETWORKS
        if known and evaluator.scores_any and isinstance(space, StagedSpace):
            family = widths_of(space, size, count)
        else:
            family = members_of(space, size, count)
        # without noise a repetition would repeat the number
        return ExponentStudy(settings, family, costs, SEEDS if evaluator.noisy else 1, evaluator.chance)

    @property
    def about(self) -> str:
        """What will be done, in a line."""
        sizes = list(self.family.doublings.values())
        once = f"{self.seeds} trainings each" if self.seeds > 1 else "each asked once"
        where = "" if sizes[0] < 0 < sizes[-1] else "; the target lies beyond what the space offers"
        return (
            f"measuring w first: {len(sizes)} networks, {self.family.about}, from {2 ** sizes[0]:.2g} to "
            f"{2 ** sizes[-1]:.2g} times the target, {once} ({EXPONENT}/){where}"
        )

    def run(self, train: TrainSizes) -> MeasuredExponent:
        """Train everything, and fit.

        Args:
            train: called once for each seed, with a name fit for a folder.

        Raises:
            InputError: as `fit_exponent`, and whatever `train` raises.
        """
        rows: dict[str, dict[str, Any]] = {}
        points: list[SizedAccuracy] = []
        for number in range(self.seeds):
            space, records = train(f"seed-{number}", self._listed(number))
            for record in Results(records).finished:
                # by the list that was trained: a run goes on with the networks that it began with
                about = entry(space, record)
                row = rows.setdefault(record.digest, {**about, "accuracies": []})
                row["accuracies"].append(record.accuracy)
                points.append(SizedAccuracy(record.digest, about["doublings"], record.accuracy))
        fit = fit_exponent(points, self.chance)
        return MeasuredExponent(
            exponent=fit.exponent,
            **asdict(fit),
            change=change_of(self._objectives),
            family=self.family.about,
            chance=float(self.chance),
            rows=dict(sorted(rows.items(), key=lambda item: float(item[1]["doublings"]))),
        )

    @property
    def _objectives(self) -> tuple[Objective, ...]:
        return self.settings.make_reward().objectives

    def _listed(self, number: int) -> SearchSettings:
        """The trainings with one seed: no target, no early end; beside each network its targeted costs."""
        about = {}
        for label, spec in self.family.networks.items():
            costs = self.costs(spec)
            targeted = {objective.cost: costs[objective.cost] for objective in self._objectives}
            about[label] = {"doublings": doublings(self._objectives, costs), **targeted}
        plain = replace(self.settings, reward=replace(self.settings.reward, exponent=None), until="trials")
        listed = replace(plain.over(EXPONENT, self.family.networks, about), latency_table=None)
        listed = replace(listed, seed=self.settings.seed + number)
        return listed.trained(scheduler="none") if listed.evaluator.early_stopping != "none" else listed
