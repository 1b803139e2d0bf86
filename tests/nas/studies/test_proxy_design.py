"""Proxy tasks: candidates, correlation, variance, the recommended one; and stage two."""

import json

import numpy as np
import pytest

from nas.network.cost import cost
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.runs.settings import SearchSettings
from nas.search.journal import read_records
from nas.studies.proxy_design import (
    Correlation,
    ProxySetting,
    Tried,
    candidates,
    correlate,
    judge_proxies,
    proxy_settings,
    read_proxy,
    recommend,
    variance,
    write_proxy,
)
from nas.studies.stage_two import full_results
from nas.training.checkpoint import load_checkpoint
from search_spaces import InputError, get_space
from search_spaces.document import read_document, write_document
from tests.command import good, refused


@pytest.mark.parametrize("name", ["mnasnet", "accel-nasbench"])
def test_candidates_are_spread_over_the_macs(name):
    space = get_space(name)
    chosen = candidates(space, 12, seed=0)
    macs = [cost(spec).macs for spec in chosen.values()]
    assert len({spec.digest for spec in chosen.values()}) == 12
    assert macs == sorted(macs)
    steps = np.diff(np.log(macs))
    assert steps.max() < 3 * steps.mean()
    rng = np.random.default_rng(5)
    pool = [cost(space.decode(space.sample(rng))).macs for _ in range(300)]
    assert macs[0] < np.quantile(pool, 0.1)
    assert macs[-1] > np.quantile(pool, 0.9)
    assert [s.digest for s in candidates(space, 12, 0).values()] == [s.digest for s in chosen.values()]
    for count in (2, 201, 2.5):
        with pytest.raises(InputError, match="candidates"):
            candidates(space, count, 0)


def test_correlation_by_hand():
    long = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "x": 0.9}
    cheap = {"a": 0.5, "b": 0.7, "c": 0.6, "d": 0.8}  # one of six pairs the other way round
    found = correlate(cheap, long)
    assert found.tau == pytest.approx(4 / 6)
    assert -1 <= found.low < found.tau <= found.high <= 1
    assert found.count == 4
    assert correlate(long, long).low == pytest.approx(1)
    assert correlate(dict.fromkeys(long, 0.1), long).tau == 0  # at chance: it ranks nothing
    with pytest.raises(InputError, match="2 candidates"):
        correlate({"a": 1, "b": 2}, long)


def test_the_interval_narrows_with_more_candidates():
    rng = np.random.default_rng(0)
    widths = []
    for count in (8, 100):
        long = rng.normal(size=count)
        cheap = long + rng.normal(size=count)
        found = correlate(*({str(i): v for i, v in enumerate(values)} for values in (cheap, long)))
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2


def test_variance_is_taken_apart():
    rng = np.random.default_rng(1)
    networks = rng.normal(0.5, 0.08, size=400)
    runs = [{str(i): v for i, v in enumerate(networks + rng.normal(0, 0.03, 400))} for _ in range(4)]
    found = variance(runs)
    assert found.within == pytest.approx(0.03, rel=0.1)
    assert found.between == pytest.approx(0.08, rel=0.1)
    assert found.reliability == pytest.approx(0.08**2 / (0.08**2 + 0.03**2), abs=0.03)
    differences = runs[0]["1"] - networks[1]
    assert abs(differences) < 5 * found.meaningful
    assert found.meaningful == pytest.approx(2.77 * found.within, rel=0.01)
    noise = [{str(i): v for i, v in enumerate(rng.normal(0, 1, 400))} for _ in range(4)]
    assert variance(noise).reliability < 0.1
    with pytest.raises(InputError, match="at least 2"):
        variance(runs[:1])


def tried(label, tau, share):
    return Tried(ProxySetting(label, 1.0, 16, 0.25), Correlation(tau, 0, 1, 9), share, 1.0)


def test_the_cheapest_above_the_wanted_tau():
    rows = [tried(2, 0.4, 0.1), tried(4, 0.75, 0.3), tried(6, 0.71, 0.2), tried(8, 0.9, 0.5)]
    assert recommend(rows, 0.7).setting.epochs == 6
    assert recommend(rows, 0.95) is None


def test_the_cost_of_a_proxy_follows_its_settings():
    specs = list(candidates(get_space("mnasnet"), 3, 0).values())
    one, double = (ProxySetting(e, 0.5, 16, 0.25).macs(specs, 1, 10, 1) for e in (1, 2))
    assert double == 2 * one
    assert ProxySetting(1, 0.5, 32, 0.25).macs(specs, 1, 10, 1) > 3 * one
    assert len(proxy_settings([1, 2], [0.5], [16, 16], [0.25])) == 2


def test_a_proxy_file_is_what_a_search_takes(tmp_path):
    path = tmp_path / "proxy.yaml"
    settings = make_settings(data="digits", recipe_changes={"lr": 0.002})
    write_proxy(path, settings, tried(3, 0.8, 0.1), None)
    assert read_proxy(str(path)) == {
        "data": "digits",
        "recipe": "adamw",
        "recipe_changes": {"lr": 0.002, "epochs": 3, "init": "identity"},
        "resolution": 16,
        "width": 0.25,
        "stem_stride": 1,
        "subset": 1.0,
    }
    assert "Kendall tau 0.80" in path.read_text()


def test_bad_proxy_input_is_one_line(tmp_path, monkeypatch, capsys):
    def refuse(arguments, words):
        refused(arguments, words, monkeypatch, capsys, tmp_path)

    write_proxy(tmp_path / "p.yaml", SearchSettings(), tried(3, 0.8, 0.1), None)
    (tmp_path / "bad.yaml").write_text((tmp_path / "p.yaml").read_text().replace("subset", "subsett"))
    (tmp_path / "high.yaml").write_text((tmp_path / "p.yaml").read_text().replace("subset: 1.0", "subset: 7"))
    refuse(["search", "--proxy", "none.yaml"], "No such file")
    refuse(["search", "--proxy", "bad.yaml"], "did you mean 'subset'")
    refuse(["search", "--proxy", "high.yaml"], "subset 7")
    refuse(["search", "--proxy", "p.yaml", "--data", "fashion-mnist"], "is one for 'digits'")
    refuse(["proxy", "--out", "x", "--candidates", "2"], "candidates 2")
    refuse(["proxy", "--out", "x", "--epochs", "2,x"], "epochs '2,x'")
    refuse(["proxy", "--out", "x", "--epochs", "0"], "epochs 0")
    refuse(["proxy", "--out", "x", "--subset", "0.001"], "subset 0.001")
    refuse(["proxy", "--out", "x", "--seeds", "1"], "seeds 1")
    refuse(["proxy", "--out", "x", "--tau", "2"], "tau 2")
    assert not (tmp_path / "x").exists()


PROXY = [
    "proxy", "--data", "digits", "--space", "efficientnet", "--candidates", "4", "--long-epochs", "2",
    "--long-subset", "0.5", "--epochs", "1", "--subset", "0.5", "--seeds", "2", "--tau", "-1",
    "--concurrent", "2", "--json",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_command_from_nothing_to_a_search(tmp_path):
    folder = tmp_path / "proxy"
    document = json.loads(good(*PROXY, "--out", folder))
    (row,) = document["tried"]
    assert row["label"] == "e1-s0.5-r16-w0.25"
    assert row["cost"] == pytest.approx(0.5)
    assert document["recommended"]["epochs"] == 1
    assert document["variance"]["seeds"] == 2
    assert [one["macs"] for one in document["long"]] == sorted(one["macs"] for one in document["long"])
    # it goes on where it stopped: of a run that lost its end only that end is trained again
    lines = (folder / "long" / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "long" / "trials.jsonl").write_text("".join(lines[:-1]))
    again = json.loads(good(*PROXY, "--out", folder))
    assert again["long"] == document["long"]
    assert again["tried"][0]["correlation"] == row["correlation"]
    good("search", "--proxy", folder / "proxy.yaml", "--space", "efficientnet", "--trials", "1", "--out",
         tmp_path / "run")  # fmt: skip
    settings = Run.open(tmp_path / "run").settings.training
    assert (settings.subset, settings.recipe_changes["epochs"], settings.data) == (0.5, 1, "digits")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stage_two_trains_the_best_fully(tmp_path):
    flags = ["--data", "digits", "--space", "efficientnet", "--epochs", "1", "--subset", "0.5", "--seed", "3"]
    good("search", *flags, "--trials", "3", "--controller", "random", "--out", tmp_path / "run")
    proxy = {record.trial: record for record in read_records(tmp_path / "run")}
    best = sorted(proxy.values(), key=lambda r: (-r.reward, r.trial))[:2]
    training = ["--epochs", "2", "--width", "0.25", "--resolution", "12", "--concurrent", "2"]
    document = json.loads(
        good("train", tmp_path / "run", "--top", "2", *training, "--out", tmp_path / "two", "--json")
    )
    rows = document["networks"]
    assert {row["trial"] for row in rows} == {record.trial for record in best}
    assert rows[0]["reward"] >= rows[1]["reward"]
    for row in rows:
        assert row["proxy_reward"] == proxy[row["trial"]].reward
        assert row["proxy_accuracy"] == proxy[row["trial"]].accuracy
        assert row["macs"] == proxy[row["trial"]].macs
        spec, _, _ = load_checkpoint(row["checkpoint"])
        assert spec.resolution == 12
        assert 0 <= row["test_accuracy"] <= row["test_top5"] <= 1
    assert (
        full_results(Run.open(tmp_path / "two"), read_records(tmp_path / "two"))[0].trial == rows[0]["trial"]
    )
    good("export", rows[0]["checkpoint"], "--to", "onnx", "--out", tmp_path / "winner.onnx")
    assert "Winner: trial" in good("resume", tmp_path / "two")


def test_a_search_with_a_proxy_below_its_floor_is_warned(tmp_path):
    networks = candidates(get_space("mnasnet"), 12, 0)
    long = {label: cost(spec).params / 1e8 for label, spec in networks.items()}
    rng = np.random.default_rng(0)
    drawn = {label: float(rng.uniform()) for label in networks}
    one = tried(3, 0.8, 0.1)
    label = one.setting.label
    for cheap, below in ((drawn, True), (long, False)):
        sheet = judge_proxies(
            networks, long, {label: cheap, "short": {"candidate 1": 0.1}}, label, [cheap, cheap]
        )
        assert (label in sheet.below) == below
        assert [row.name for row in sheet.rows][:2] == [label, "params alone"]
        assert sheet.row(f"{label} twice").all.tau == 1
        write_proxy(tmp_path / "p.yaml", SearchSettings(), one, None, sheet)
        said = []
        read_proxy(str(tmp_path / "p.yaml"), said.append)
        assert len(said) == below
    document = read_document(tmp_path / "p.yaml")
    assert document["about"]["floor"] == sheet.floor.name
    document["about"]["below_floor"] = "bad\x1b[31m"  # a foreign file
    write_document(tmp_path / "p.json", document)
    read_proxy(str(tmp_path / "p.json"), said.append)
    assert said[-1].endswith("bad\\x1b[31m")
