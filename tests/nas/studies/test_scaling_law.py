import json
import math

import numpy as np
import pytest

from nas.commands.scaling import report_scaling
from nas.network.cost import cost
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.search.in_process import run_in_process
from nas.search.journal import Journal
from nas.studies.scaling_law import (
    AXES,
    FEWEST,
    LawPoint,
    ScalingLaw,
    law_points,
    law_settings,
)
from search_spaces import reference
from search_spaces.errors import InputError
from tests.command import good
from tests.nas.search.fakes import Fake

# of log(error) per doubling, their curvatures and their products
TRUE = {"slope": (-0.05, -0.12, -0.18), "curve": (0.06, 0.04, 0.05), "product": (-0.03, -0.02, 0.02)}


def true_error(doublings, slope=TRUE["slope"], curve=TRUE["curve"], product=TRUE["product"]):
    depth, width, resolution = doublings
    pairs = (depth * width, depth * resolution, width * resolution)
    return math.exp(
        math.log(0.3)
        + sum(b * u + c * u * u / 2 for b, c, u in zip(slope, curve, doublings, strict=True))
        + sum(e * pair for e, pair in zip(product, pairs, strict=True))
    )


@pytest.fixture(scope="module")
def design():
    space = law_settings(reference("efficientnet-b0"), make_settings(data="digits")).make_space()
    return [tuple(space.about[label][axis] for axis in AXES) for label in space.networks]


def trained(design, noise, seed, **law):
    rng = np.random.default_rng(seed)
    return [
        LawPoint(each, 1 - true_error(each, **law) * math.exp(rng.normal(0, noise)), 1) for each in design
    ]


def best_shares(**law):
    """Of depth, width and resolution, the best at four times the MACs, by brute force."""
    steps = [(a / 100, b / 100, 1 - a / 100 - b / 100) for a in range(101) for b in range(101 - a)]
    return min(steps, key=lambda shares: true_error([2 * share for share in shares], **law))


def test_few_small_networks_that_span_all_axes(design):
    assert FEWEST <= len(design) <= 15
    assert max(map(sum, design)) < math.log2(3)
    assert np.linalg.matrix_rank(np.array(design)) == 3
    assert all(sum(bool(row[axis]) for row in design) >= 4 for axis in range(3))


def test_the_doublings_are_those_of_the_networks():
    space = law_settings(reference("mobilenet-v2"), make_settings(data="digits")).make_space()
    first = cost(space.networks["baseline"]).macs
    for label, spec in space.networks.items():
        assert sum(space.about[label].values()) == pytest.approx(math.log2(cost(spec).macs / first)), label


def test_without_noise_the_best_way_to_scale_is_found(design):
    found, intervals = ScalingLaw(trained(design, 0.0, 0)).coefficients()
    depth, width, resolution = best_shares()
    assert found.alpha * found.beta**2 * found.gamma**2 == pytest.approx(2, rel=1e-4)
    for value, share, power in (
        (found.alpha, depth, 1),
        (found.beta, width, 0.5),
        (found.gamma, resolution, 0.5),
    ):
        assert value == pytest.approx(2 ** (power * share), abs=0.08)
    assert all(each.low <= each.value <= each.high for each in intervals.values())


def test_what_does_harm_is_not_scaled(design):
    deep_hurts = {"slope": (0.3, -0.1, -0.2)}
    law = ScalingLaw(trained(design, 0.02, 0, **deep_hurts))
    assert law.coefficients()[0].alpha == pytest.approx(1, abs=0.03)
    ways = law.ways()
    assert max(ways, key=lambda way: ways[way][1]) != "depth"
    assert ways["depth"][0].value < min(ways[way][0].value for way in ways if way != "depth")


def test_ways_that_are_the_same_share_their_chance_and_no_accuracy_is_below_zero(design):
    law = ScalingLaw(
        trained(design, 0.0, 0, slope=(0.9, 0.3, -0.4), curve=(0.1, 0.1, 0.0), product=(0, 0, 0))
    )
    assert vars(law.coefficients()[0]) == pytest.approx({"alpha": 1, "beta": 1, "gamma": 2**0.5}, abs=1e-5)
    ways = law.ways()
    assert ways["compound"][0] == ways["resolution"][0]
    assert ways["compound"][1] == ways["resolution"][1] == pytest.approx(0.5, abs=0.02)
    assert ways["depth"][0].low == 0


def test_intervals_hold_what_they_say(design):
    hits, noise = [], 0.05
    for seed in range(60):
        rng = np.random.default_rng([seed, 7])
        law = {
            "slope": tuple(rng.normal(-0.1, 0.15, 3)),
            "curve": tuple(rng.normal(0.05, 0.1, 3)),
            "product": tuple(rng.normal(0, 0.07, 3)),
        }
        fitted = ScalingLaw(trained(design, noise, seed, **law))
        for way, (predicted, _) in fitted.ways().items():
            if way != "compound":
                at = [2.0 * (axis == way) for axis in AXES]
                seen = 1 - true_error(at, **law) * math.exp(rng.normal(0, noise))
                hits.append(predicted.low <= seen <= predicted.high)
    assert 0.88 <= np.mean(hits) <= 1.0


def test_noise_is_told_apart_from_the_law(design):
    quiet, loud = (
        np.median([ScalingLaw(trained(design, noise, s)).noise for s in range(9)]) for noise in (0.01, 0.15)
    )
    assert quiet < 0.03 < 0.07 < loud < 0.3
    narrow, wide = (
        ScalingLaw(trained(design, noise, 1)).coefficients()[1]["alpha"] for noise in (0.01, 0.15)
    )
    assert narrow.high - narrow.low < wide.high - wide.low


def test_too_few_trainings_are_no_law(design):
    with pytest.raises(InputError, match="7 finished trainings: expected 8 or more"):
        ScalingLaw(trained(design, 0.0, 0)[:7])


@pytest.fixture
def run(tmp_path):
    """A finished run whose accuracies follow the law."""
    settings = law_settings(reference("efficientnet-b0"), make_settings(data="digits"))
    run = Run.create(tmp_path / "law", settings)
    known = {spec.digest: run.space.about[label] for label, spec in run.space.networks.items()}

    class Follows(Fake):
        def start(self, spec, seed):
            accuracy = 1 - true_error([known[spec.digest][axis] for axis in AXES])
            return super().start(spec, round(1000 * accuracy))  # as this one reads its seed

    with Journal(run.folder) as journal:
        run_in_process(run.loop(journal, settings.trials, ()), Follows())
        run.write_results(run.results(journal.records))
    return run


def test_a_finished_run_says_what_the_law_found(run):
    text = good("resume", run.folder)
    found, _ = ScalingLaw(law_points(run.space, run.records())).coefficients()
    assert f"--alpha {found.alpha:.4g} --beta {found.beta:.4g} --gamma {found.gamma:.4g}" in text
    assert all(way in text for way in ("x2.50", "compound", "best of these"))
    assert max(len(line) for line in text.splitlines() if " x1." in line) <= 80
    document = report_scaling(run, quiet=True)
    assert document["alpha"]["low"] <= document["alpha"]["value"] <= document["alpha"]["high"]
    assert sum(way["chance_of_best"] for way in document["ways"].values()) == pytest.approx(1)
    assert len(document["trained"]) == len(run.space.networks)
    json.dumps(document)
