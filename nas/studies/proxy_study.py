"""The study behind `nas proxy`: a long training, every cheap one beside it, and the best one over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nas.runs.settings import SearchSettings
from nas.search.ranking import RankingSheet
from nas.search.trial import Record
from nas.studies.proxy_design import (
    CANDIDATES,
    ProxySetting,
    Tried,
    Variance,
    accuracies,
    correlate,
    judge_proxies,
    recommend,
    variance,
)
from search_spaces.spec import NetworkSpec

Train = Callable[[str, SearchSettings], Sequence[Record]]
"""Runs a search to its end under a name, or takes up the one that is there; gives its records."""


@dataclass(frozen=True)
class ProxyStudy:
    """What is to be tried.

    Attributes:
        base: settings of a search on the data, with the recipe.
        networks: the candidates, by label.
        long: the training that the others are compared with.
        sweep: the proxy settings to try.
        seeds: repetitions of the best, for the variance.
        tau: Kendall's, to reach.
        classes, channels: of the data.
    """

    base: SearchSettings
    networks: dict[str, NetworkSpec]
    long: ProxySetting
    sweep: Sequence[ProxySetting]
    seeds: int
    tau: float
    classes: int
    channels: int

    def run(self, train: Train, say: Callable[[str], None]) -> ProxyResult:
        """Train everything.

        Args:
            train: called with a name for each search, fit for a folder, and its settings.
            say: told what comes next.

        Raises:
            InputError: as `correlate` and `variance`, and whatever `train` raises.
        """
        base = self.base.over(CANDIDATES, self.networks)
        say(f"long training of {len(self.networks)} candidates: {self.long.label}")
        reference = accuracies(train("long", self.long.apply(base)))
        full = self._macs(self.long)
        tried, first = [], {}
        for number, setting in enumerate(self.sweep):
            say(f"proxy {number + 1} of {len(self.sweep)}: {setting.label}")
            records = train(f"sweep/{setting.label}", setting.apply(base))
            seconds = sum(record.seconds for record in records) / len(records)
            first[setting] = accuracies(records)
            share = self._macs(setting) / full
            tried.append(Tried(setting, correlate(first[setting], reference), share, seconds))
        chosen = recommend(tried, self.tau)
        repeated = chosen or max(tried, key=lambda one: one.correlation.tau)
        runs = [first[repeated.setting]]
        for other in range(1, self.seeds):
            say(f"variance: seed {other + 1} of {self.seeds}")
            settings = replace(repeated.setting.apply(base), seed=base.seed + other)
            label = f"variance/{repeated.setting.label}-seed{settings.seed}"
            runs.append(accuracies(train(label, settings)))
        label = repeated.setting.label
        cheap = {setting.label: values for setting, values in first.items()}
        sheet = judge_proxies(self.networks, reference, cheap, label, runs)
        return ProxyResult(reference, tried, repeated, chosen, variance(runs), sheet)

    def _macs(self, setting: ProxySetting) -> float:
        stem = self.base.training.make_proxy().stem_stride
        return setting.macs(list(self.networks.values()), stem, self.classes, self.channels)


@dataclass(frozen=True)
class ProxyResult:
    """What was found.

    Attributes:
        reference: accuracy of the long training, by candidate.
        tried: every proxy setting.
        repeated: the one that was repeated over seeds: the chosen one, or else the nearest to it.
        chosen: the cheapest that reaches the tau; None: none does.
        spread: of the repeated one.
        sheet: what each ranking is worth, beside what ranks networks for nothing.
    """

    reference: dict[str, float]
    tried: list[Tried]
    repeated: Tried
    chosen: Tried | None
    spread: Variance
    sheet: RankingSheet
