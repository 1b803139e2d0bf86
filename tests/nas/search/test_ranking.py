"""The ranking sheet: tau and its floors, which are known of the benchmark's records."""

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import kendalltau

from nas.report.ranking_table import print_ranking
from nas.search.free_features import FreeRidge, free_features
from nas.search.kendall import draw_samples, sampled_taus, signs_of
from nas.search.ranking import Labelled, rank_networks, ranking_sheet
from search_spaces import InputError, get_space
from search_spaces.accel_nasbench import from_record


@pytest.fixture(scope="module")
def features():
    """Of 120 networks, and an accuracy that grows with the parameters and has a part of its own."""
    space, rng = get_space("mnasnet"), np.random.default_rng(0)
    found = free_features([space.decode(space.sample(rng)) for _ in range(120)])
    own = rng.normal(0, 0.2, 120)
    return found, 0.5 + 0.1 * (np.log(found[:, 1]) - np.log(found[:, 1]).mean()) + 0.1 * own


def test_tau_of_each_sample_is_scipys():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 9, size=(2, 40)).astype(float)  # with ties
    drawn = draw_samples(40)
    taus = sampled_taus(signs_of(a), signs_of(b), np.concatenate([np.ones((1, 40), np.float32), drawn[:20]]))
    assert taus[0] == pytest.approx(kendalltau(a, b)[0])
    for counts, tau in zip(drawn[:20].astype(int), taus[1:], strict=True):
        rows = np.repeat(np.arange(40), counts)
        assert tau == pytest.approx(kendalltau(a[rows], b[rows])[0], abs=1e-6)
    many = rng.normal(size=(2, 700))  # more than are compared at once
    once = np.ones((1, 700), np.float32)
    assert sampled_taus(*map(signs_of, many), once)[0] == pytest.approx(kendalltau(*many)[0], abs=1e-6)


def test_the_free_floors_of_the_records(benchmark_records):
    """Kendall tau .621 by parameters, .441 by MACs, .256 by depth; by a ridge with 20 labels about .63."""
    docs = benchmark_records
    top1 = np.array([doc["metrics"]["val_top1"] for doc in docs])
    macs, params = (np.array([doc["model_info"][name] for doc in docs]) for name in ("macs", "params"))
    depth = np.array([sum(int(v) for k, v in d["architecture"].items() if k.endswith("_l")) for d in docs])
    for values, known in ((params, 0.621), (macs, 0.441), (depth, 0.256)):
        assert kendalltau(values, top1)[0] == pytest.approx(known, abs=0.001)
    band = (macs >= 360) & (macs <= 440)
    assert kendalltau(params[band], top1[band])[0] == pytest.approx(0.569, abs=0.001)

    rows, space = np.random.default_rng(0).permutation(len(docs))[:1200], get_space("accel-nasbench")
    specs = [space.decode(from_record(space, docs[row]["architecture"])) for row in rows]
    sheet = rank_networks(specs, top1[rows], {})
    for name, known in (("params", 0.621), ("MACs", 0.46), ("depth", 0.256)):  # our MACs are others
        assert sheet.row(f"{name} alone").all.tau == pytest.approx(known, abs=0.03)  # of a part of them
    found, taus = free_features(specs), []
    for start in range(0, 600, 20):
        part, rest = slice(start, start + 20), slice(600, 1200)
        ranking = FreeRidge(found[rest]).by_labels(found[part], top1[rows[part]])
        taus += sampled_taus(ranking, signs_of(top1[rows[rest]]), np.ones((1, 600), np.float32)).tolist()
    assert np.mean(taus) == pytest.approx(0.63, abs=0.03)


def test_a_cross_fitted_ridge_knows_nothing_of_what_it_ranks(features):
    """Of accuracies drawn at random it ranks as many pairs wrongly as rightly; fitted on all it seems to rank."""
    rng, once = np.random.default_rng(1), np.ones((1, 12), np.float32)
    crossed, seen = [], []
    for start in range(200):
        rows = (np.arange(12) * 7 + start) % 120
        drawn, ridge = rng.normal(size=12), FreeRidge(features[0][rows])
        crossed.append(sampled_taus(ridge.cross_fitted(drawn), signs_of(drawn), once)[0])
        fitted = ridge.by_labels(features[0][rows], drawn)
        seen.append(sampled_taus(fitted, signs_of(drawn), once)[0])
    assert abs(np.mean(crossed)) < 0.06  # three standard errors
    assert np.mean(seen) > 0.3


def test_what_is_worse_than_its_floor_is_said_to_be(features):
    found, truth = features
    rng = np.random.default_rng(2)
    good, bad = truth + rng.normal(0, 0.002, 120), truth + rng.normal(0, 0.3, 120)
    sheet = ranking_sheet(found, truth, {"good": good, "bad": bad})
    assert sheet.below == ["bad"]
    assert sheet.verdicts["bad"].startswith("bad ranks worse than ")
    assert sheet.verdicts["good"].startswith("good ranks better than ")
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    print_ranking(sheet, console, ["good"])
    text = console.export_text()
    assert f"Worse than {sheet.floor.name} too: bad." in text
    assert max(len(line) for line in text.splitlines() if line and line[0] in "│┏└") <= 80
    # by chance alone a twin of the floor is neither
    twin = found[:, 1] + 1e-9 * rng.normal(size=120)
    close = ranking_sheet(found, truth, {"twin": twin})
    assert "chance alone" in close.verdicts["twin"] or "worse" in close.verdicts["twin"]


def test_pairs_of_equal_cost_and_the_top_tenth_by_hand(features):
    found, truth = features
    scores = truth + np.random.default_rng(5).normal(0, 0.02, 120)
    row = ranking_sheet(found, truth, {"it": scores}).row("it")
    best = np.argsort(-truth)[:12]
    assert row.top == pytest.approx(kendalltau(scores[best], truth[best])[0])
    assert row.found == len(set(best) & set(np.argsort(-scores)[:12])) / 12
    macs = found[:, 0]
    agreed = [
        np.sign((scores[i] - scores[j]) * (truth[i] - truth[j]))
        for i in range(120)
        for j in range(i)
        if max(macs[i], macs[j]) / min(macs[i], macs[j]) <= 1.1 / 0.9
    ]
    assert row.band == pytest.approx(np.mean(agreed))
    small = ranking_sheet(found[:12], truth[:12], {"it": scores[:12]}).row("it")
    assert small.top is None
    assert small.found is None


def test_the_ceiling_is_two_trainings_of_the_same_networks(features):
    found, truth = features
    rng = np.random.default_rng(6)
    runs = truth + rng.normal(0, 0.02, (3, 120))
    runs[2, :60] = np.nan
    sheet = ranking_sheet(found, truth, {}, repeats={"again": runs}, noise=0.02)
    again = sheet.row("again").all
    taus = [kendalltau(runs[0], runs[1])[0]] + [kendalltau(run[60:], runs[2, 60:])[0] for run in runs[:2]]
    assert again.tau == pytest.approx(np.mean(taus))
    assert again.count == 60
    drawn = next(row for row in sheet.rows if "noise" in row.name)
    assert again.tau < drawn.all.tau < 1  # of a truth without noise
    assert sheet.labels == 118


def test_a_ridge_has_the_labels_that_it_is_given(features):
    found, truth = features
    labelled = Labelled(found[:30], truth[:30])
    sheet = ranking_sheet(found[30:], truth[30:], {}, labelled=labelled)
    assert (sheet.labels, sheet.count) == (30, 90)
    assert sheet.row("ridge on free features").all.tau > 0.4
    wrong = ranking_sheet(found[30:], truth[30:], {}, labelled=Labelled(found[:30], -truth[:30]))
    assert wrong.row("ridge on free features").all.tau < -0.4


def test_networks_that_are_all_alike_give_no_floor():
    spec = get_space("mnasnet").decode(get_space("mnasnet").sample(np.random.default_rng(0)))
    sheet = rank_networks([spec] * 4, np.array([0.1, 0.2, 0.3, 0.4]), {"it": np.arange(4.0)})
    assert sheet.row("it").all.tau == 1
    assert [row.all.tau for row in sheet.rows[1:]] == [0, 0, 0, 0]
    with pytest.raises(InputError, match="2 networks"):
        rank_networks([spec] * 2, np.arange(2.0), {})
