"""Networks that are good at every ridge point, by hand and in a run."""

import json
from types import SimpleNamespace

import pytest

from nas.studies.ridge_sweep import parse_ridges, sweep_ridges
from search_spaces import InputError, reference
from tests.command import good, nas


def record(trial, accuracy, digest=None):
    return SimpleNamespace(trial=trial, accuracy=accuracy, digest=digest or str(trial), macs=0)


def test_a_network_with_few_macs_and_many_bytes_is_good_at_low_ridges_alone():
    networks = {
        0: reference("efficientnet-b0"),
        1: reference("mobilenet-v1"),
        2: reference("resnet50"),
        3: reference("mobilenet-v1"),
    }
    records = [record(0, 0.5), record(1, 0.5), record(2, 0.8), record(3, 0.9, "1")]
    found = sweep_ridges(records, lambda one: networks[one.trial], (0, 5, 500))
    by = {each.record.trial: each for each in found}
    assert set(by) == {0, 1, 2}  # 3 is 1's network again
    assert by[2].everywhere  # nothing else is as accurate
    assert by[0].good_at == (0,)  # fewer MACs than v1, more bytes
    assert by[1].good_at == (5, 500)
    assert found[0] is by[2]
    assert by[0].rooflines[0] == 385_814_752


def test_of_equals_one_is_on_the_front():
    networks = [reference("mobilenet-v1"), reference("mobilenet-v1")]
    found = sweep_ridges([record(0, 0.5), record(1, 0.6)], lambda one: networks[one.trial], (1, 2))
    assert [each.record.trial for each in found] == [1]


def test_ridges():
    assert parse_ridges("5..500") == (5, 10, 20, 50, 100, 200, 500)
    assert parse_ridges("3..40") == (3, 5, 10, 20, 40)
    assert parse_ridges("0,2.5,7") == (0, 2.5, 7)
    for bad in ("5", "5..5", "9..2", "1,1", "a..b", "5..", "", "1,2,", "1..2..3", "5..9999999"):
        with pytest.raises(InputError, match="ridge"):
            parse_ridges(bad)


def test_a_search_by_the_roofline_and_its_sweep(tmp_path):
    flags = ["--evaluator", "benchmark", "--controller", "predictor", "--trials", "25", "--out", "run"]
    good("search", *flags, "--cost", "roofline", "--ridge", "20", "--target", "900M", cwd=tmp_path)
    settings = (tmp_path / "run/search.yaml").read_text()
    assert "roofline_20: 900000000.0" in settings
    lines = [json.loads(line) for line in (tmp_path / "run/trials.jsonl").read_text().splitlines()]
    for line in lines:
        expected = line["accuracy"] * (line["costs"]["roofline_20"] / 900e6) ** -0.07
        assert line["reward"] == pytest.approx(expected)
    assert "roofline_20" in (tmp_path / "run/pareto.csv").read_text().splitlines()[0]
    shown = good("show", "run", cwd=tmp_path)
    assert "ridge 20" in shown
    swept = json.loads(good("show", "run", "--ridges", "5..500", "--json", cwd=tmp_path))
    assert swept["ridges"] == [5, 10, 20, 50, 100, 200, 500]
    front = {each["trial"]: each for each in swept["networks"]}
    best = max(lines, key=lambda line: line["accuracy"])
    assert front[best["trial"]]["everywhere"]
    for line in lines:  # at ridge 20 the front is the run's own
        beaten = any(
            other["accuracy"] > line["accuracy"]
            and other["costs"]["roofline_20"] <= line["costs"]["roofline_20"]
            for other in lines
        )
        assert (line["trial"] in front and 20 in front[line["trial"]]["good_at"]) == (not beaten)
    text = good("show", "run", "--ridges", "5..500", cwd=tmp_path)
    assert "good at all 7 ridge points: trial" in text
    assert max(map(len, text.splitlines())) <= 80
    good("report", "run", cwd=tmp_path)


def test_cost_says_it():
    plain = good("cost", "efficientnet-b0")
    assert "MACs at ridge 5 MACs/byte" in plain
    text = good("cost", "efficientnet-b0", "--ridge", "20")
    assert "waiting" in text
    assert max(map(len, text.rstrip().splitlines())) <= 80
    document = json.loads(good("cost", "efficientnet-b0", "--ridge", "20", "--json"))["roofline"]
    layers = [layer for part in document["layers"] for layer in part]
    assert document["macs"] == sum(max(each["macs"], round(20 * each["moved"])) for each in layers)
    assert document["bytes"] == sum(each["moved"] for each in layers)


def test_what_is_refused(tmp_path):
    for arguments, words in (
        (["cost", "resnet50", "--ridge", "-1"], "ridge -1"),
        (["search", "--cost", "roofline_x"], "roofline_20"),
        (["search", "--target", "roofline_=3M"], "ridge point"),
        (["search", "--ridge", "3"], "only with --cost roofline"),
        (["search", "--cost", "roofline", "--ridge", "nan"], "ridge nan"),
    ):
        done = nas(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not list(tmp_path.iterdir())
