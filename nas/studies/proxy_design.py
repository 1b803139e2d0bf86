"""Choosing the proxy task: what a cheap training says of a long one, and how sure that is.

As Google's Vertex AI NAS advises: measure the variance of one architecture over repeated trainings, train
10 to 20 candidates long, and look for the cheapest proxy whose ranking agrees with theirs. Every part is
a search over the same list of networks, so it runs on Ray and is resumed where it stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.network.cost import cost
from nas.runs.settings import SearchSettings
from nas.search.kendall import Correlation, kendall
from nas.search.ranking import FEWEST, RankingSheet, rank_networks
from nas.search.results import Results
from nas.search.trial import Record
from nas.training.proxy import ProxyTask
from nas.training.recipe import BEFORE_INIT
from search_spaces.document import check_fields, check_schema, read_document, write_document
from search_spaces.errors import InputError, shown
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace
from search_spaces.quoting import printable
from search_spaces.spec import NetworkSpec

SCHEMA_VERSION = 1
_BELOW = "below_floor"
"""Of a proxy file: what is said of a proxy that ranks worse than what is free."""
CANDIDATES = "proxy-candidates"
"""Name of the space."""
_POOL = 2000


@dataclass(frozen=True)
class ProxySetting:
    """A proxy task to try.

    Attributes:
        epochs: of training.
        subset: part of the images.
        resolution: pixels.
        width: multiplier of all widths.
    """

    epochs: int
    subset: float
    resolution: int
    width: float

    @property
    def label(self) -> str:
        """A short name, fit for a folder."""
        return f"e{self.epochs}-s{self.subset:g}-r{self.resolution}-w{self.width:g}"

    def apply(self, settings: SearchSettings) -> SearchSettings:
        """A search's settings with this proxy task."""
        return settings.trained(
            recipe_changes={**settings.training.recipe_changes, "epochs": self.epochs},
            subset=self.subset,
            resolution=self.resolution,
            width=self.width,
        )

    def macs(self, specs: Sequence[NetworkSpec], stem_stride: int, classes: int, channels: int) -> float:
        """Multiply-adds of one training's forward passes, on average over networks, by image of the set.

        Args:
            specs: the full networks.
            stem_stride: of the proxy.
            classes, channels: of the data.
        """
        task = ProxyTask(self.resolution, self.width, stem_stride)
        counted = [cost(task.apply(spec, classes, channels)).macs for spec in specs]
        return self.epochs * self.subset * sum(counted) / len(counted)


def proxy_settings(
    epochs: Sequence[int], subsets: Sequence[float], resolutions: Sequence[int], widths: Sequence[float]
) -> list[ProxySetting]:
    """All combinations, each once."""
    return list(
        dict.fromkeys(ProxySetting(*values) for values in product(epochs, subsets, resolutions, widths))
    )


def candidates(space: StagedSpace | ListedSpace, count: int, seed: int) -> dict[str, NetworkSpec]:
    """Networks spread evenly over the logarithm of the MACs, by label.

    Of many random ones those nearest to evenly spaced MACs between their 2% and 98% quantiles, so that the
    range that a search works in is covered and no single extreme decides a correlation.

    Raises:
        InputError: fewer than 3, or more than the space has.
    """
    if not isinstance(count, int) or not 3 <= count <= 200:
        raise InputError(f"candidates {count!r}: expected an integer from 3 to 200")
    if space.size < count:
        raise InputError(f"candidates {count}: space {space.name!r} has only {space.size:,} networks")
    rng = np.random.default_rng(seed)
    pool = {spec.digest: spec for spec in (space.decode(space.sample(rng)) for _ in range(_POOL))}
    specs = sorted(pool.values(), key=lambda spec: cost(spec).macs)
    if len(specs) < count:
        raise InputError(f"candidates {count}: only {len(specs)} different networks were found")
    logs = np.log([cost(spec).macs for spec in specs])
    chosen: dict[str, NetworkSpec] = {}
    low, high = (float(value) for value in np.quantile(logs, [0.02, 0.98]))
    for wanted in np.linspace(low, high, count):
        order = np.argsort(abs(logs - wanted), kind="stable")
        spec = next(specs[i] for i in order if specs[i].digest not in {s.digest for s in chosen.values()})
        label = f"candidate {len(chosen)}"
        chosen[label] = spec.replace(name=f"{space.name}-{label.replace(' ', '-')}")
    return chosen


def accuracies(records: Sequence[Record]) -> dict[str, float]:
    """Accuracy by candidate, of those that finished."""
    return {str(record.choices["network"]): record.accuracy for record in Results(records).finished}


def correlate(cheap: dict[str, float], long: dict[str, float]) -> Correlation:
    """Kendall's tau between two trainings of the same candidates, with its bootstrap interval.

    Raises:
        InputError: fewer than 3 candidates finished in both.
    """
    shared = sorted(set(cheap) & set(long))
    if len(shared) < FEWEST:
        raise InputError(f"proxy: {len(shared)} candidates finished in both trainings, expected at least 3")
    return kendall(*(np.array([values[name] for name in shared]) for values in (cheap, long)))


def judge_proxies(
    networks: Mapping[str, NetworkSpec],
    long: Mapping[str, float],
    cheap: Mapping[str, Mapping[str, float]],
    judged: str,
    runs: Sequence[Mapping[str, float]],
) -> RankingSheet:
    """What the rankings of proxies are worth, beside free ones.

    Args:
        networks: the candidates, by label.
        long: accuracy of the long training, by candidate.
        cheap: accuracies of each proxy, by its label; those that lack a candidate of `judged` are left out.
        judged: the proxy that was repeated.
        runs: its accuracies under several seeds.
    """
    shared = sorted(set(long) & set(cheap[judged]))
    complete = {name: values for name, values in cheap.items() if set(shared) <= set(values)}
    ordered = {judged: complete[judged], **complete}
    return rank_networks(
        [networks[name] for name in shared],
        np.array([long[name] for name in shared]),
        {label: np.array([values[name] for name in shared]) for label, values in ordered.items()},
        what="the long training",
        repeats={f"{judged} twice": np.array([[run.get(name, math.nan) for name in shared] for run in runs])},
    )


@dataclass(frozen=True)
class Variance:
    """The same architectures over seeds, against the spread between architectures.

    Attributes:
        within: standard deviation over seeds, pooled over the architectures (fraction of accuracy).
        between: standard deviation of the architectures' means, the seeds' part taken off.
        reliability: part of the variance of one training that is the architecture's (intraclass
            correlation, ICC(1,1), Shrout & Fleiss 1979): 1 says that a single training ranks without error.
        seeds: trainings of each architecture.
    """

    within: float
    between: float
    reliability: float
    seeds: int

    @property
    def meaningful(self) -> float:
        """The difference of two trainings that chance alone exceeds once in twenty (1.96 sd sqrt 2)."""
        return 1.96 * math.sqrt(2) * self.within


def variance(runs: Sequence[dict[str, float]]) -> Variance:
    """From the accuracies of the same candidates in several runs that differ in their seed.

    Raises:
        InputError: fewer than two runs, or than two candidates that finished in all of them.
    """
    shared = sorted(set.intersection(*(set(run) for run in runs))) if runs else []
    if len(runs) < 2 or len(shared) < 2:
        raise InputError(
            f"variance: {len(shared)} candidates finished under all of {len(runs)} seeds; expected at least "
            "2 of each"
        )
    table: NDArray[np.float64] = np.array([[run[name] for run in runs] for name in shared])
    seeds = table.shape[1]
    within = float(table.var(axis=1, ddof=1).mean())
    between = float(table.mean(axis=1).var(ddof=1)) - within / seeds
    between = max(0.0, between)
    total = within + between
    return Variance(math.sqrt(within), math.sqrt(between), between / total if total else 0.0, seeds)


@dataclass(frozen=True)
class Tried:
    """A proxy setting and what it was worth.

    Attributes:
        setting: which.
        correlation: with the long training.
        cost: multiply-adds of its training in parts of the long one's.
        seconds: that one training took here, on average.
    """

    setting: ProxySetting
    correlation: Correlation
    cost: float
    seconds: float


def recommend(tried: Sequence[Tried], wanted: float) -> Tried | None:
    """The cheapest with at least the wanted tau; None if none reaches it."""
    enough = [one for one in tried if one.correlation.tau >= wanted]
    return min(enough, key=lambda one: one.cost, default=None)


def write_proxy(
    path: Path,
    settings: SearchSettings,
    chosen: Tried,
    spread: Variance | None,
    sheet: RankingSheet | None = None,
) -> None:
    """The proxy task as a file that `nas search --proxy` takes."""
    label = chosen.setting.label
    training = settings.training
    document = {
        "schema": SCHEMA_VERSION,
        "data": training.data,
        "recipe": training.recipe,
        "recipe_changes": {
            **training.recipe_changes,
            "epochs": chosen.setting.epochs,
            "init": training.make_recipe().init,
        },
        "resolution": chosen.setting.resolution,
        "width": chosen.setting.width,
        "stem_stride": training.make_proxy().stem_stride,
        "subset": chosen.setting.subset,
        "about": {
            **asdict(chosen.correlation),
            "cost": chosen.cost,
            "seconds": chosen.seconds,
            **({} if spread is None else {"variance": asdict(spread)}),
            **({} if sheet is None else {"floor": sheet.floor.name, "floor_tau": sheet.floor.all.tau}),
            **({_BELOW: sheet.verdicts[label]} if sheet is not None and label in sheet.below else {}),
        },
    }
    correlation = chosen.correlation
    comment = (
        f"proxy task found by `nas proxy`: Kendall tau {correlation.tau:.2f} "
        f"({correlation.low:.2f} to {correlation.high:.2f}) with the long training of {correlation.count} "
        f"candidates, at {chosen.cost:.1%} of its cost"
    )
    write_document(path, document, comment)


def read_proxy(path: str, say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """The settings in a proxy file, by flat names, as `nas.runs.flat` takes them.

    Args:
        path: of the file.
        say: told if the proxy was found to rank worse than something that costs nothing.

    Raises:
        InputError: unreadable, of another schema, or with unknown or missing fields.
    """
    document = read_document(path)
    check_schema(document, path, SCHEMA_VERSION)
    names = ("data", "recipe", "recipe_changes", "resolution", "width", "stem_stride", "subset")
    values = check_fields(document, path, ("schema", *names), ("about",))
    if not isinstance(values["recipe_changes"], dict):
        raise InputError(f"{path}: recipe_changes {shown(values['recipe_changes'])}: expected a mapping")
    # what was judged before there was a choice
    values["recipe_changes"] = {"init": BEFORE_INIT, **values["recipe_changes"]}
    about = values.get("about")
    if isinstance(about, dict) and about.get(_BELOW) is not None:
        say(printable(f"proxy {path}: {about[_BELOW]}"))
    return {name: values[name] for name in names}
