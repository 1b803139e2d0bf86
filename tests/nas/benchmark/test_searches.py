"""Searches, comparisons and plans on the embedded surrogate."""

import json

import numpy as np
import pytest

from controller import make_controller
from nas.benchmark.compare import Comparison, Task, compare_controllers, run_task
from nas.benchmark.landmarks import true_rewards
from nas.benchmark.plan import plan_workers
from nas.benchmark.source import OracleSource
from nas.benchmark.surrogate_file import read_surrogate
from nas.search.reward import make_reward
from search_spaces import read_spec
from tests.command import good, refused


@pytest.fixture(scope="module")
def surrogate():
    return read_surrogate()


@pytest.fixture(scope="module")
def rediscovered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "found"
    return folder, json.loads(good("rediscover", "--out", folder, "--json"))


def test_rediscover_goes_beyond_b0(rediscovered):
    folder, document = rediscovered
    found, b0 = document["found"], document["b0"]
    assert found["reward"] > b0["reward"] > document["random_reward"]
    assert document["beyond_b0"] <= 60
    assert 1 <= document["differing"] <= document["decisions"] == 28
    assert found["digest"] == read_spec(folder / "best.yaml").digest
    assert b0["macs"] == 385_814_752
    assert b0["benchmark_macs"] / 1e6 == pytest.approx(415.145, abs=0.001)


def test_it_stops_when_converged(rediscovered):
    _, document = rediscovered
    assert 80 <= document["trials"] < 300


def test_a_benchmark_run_is_a_run(rediscovered, tmp_path):
    folder, document = rediscovered
    shown = json.loads(good("show", folder, "--json"))
    assert shown["best"]["digest"] == document["found"]["digest"]
    assert shown["best"]["costs"]["latency_zcu102"] > 0
    assert "stage6" in good("show", folder)
    lines = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    assert lines[-1]["controller"]["predictor/chance"] < 0.5


def test_resumed_equals_uninterrupted(tmp_path):
    flags = ["--evaluator", "benchmark", "--noise"]
    good("search", *flags, "--trials", "40", "--out", tmp_path / "whole")
    good("search", *flags, "--trials", "25", "--out", tmp_path / "parts")
    good("resume", tmp_path / "parts", "--trials", "40")

    def rewards(name):
        lines = (tmp_path / name / "trials.jsonl").read_text().splitlines()
        return [json.loads(line)["reward"] for line in lines]

    assert rewards("parts") == rewards("whole")


def test_hardware_aware(tmp_path):
    flags = ["--evaluator", "benchmark", "--trials", "30", "--cost", "latency_zcu102"]
    document = json.loads(good("search", *flags, "--target", "5", "--json", "--out", tmp_path / "run"))
    assert document["settings"]["reward"]["targets"] == {"latency_zcu102": 5}
    best = document["best"]
    ratio = best["costs"]["latency_zcu102"] / 5
    assert best["reward"] == pytest.approx(best["accuracy"] * ratio**-0.07)
    named = json.loads(good("search", *flags, "--json", "--out", tmp_path / "b0"))
    assert 0 < named["settings"]["reward"]["targets"]["latency_zcu102"] < 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "--evaluator", "benchmark", "--space", "mnasnet"], "knows only accel-nasbench"),
        (["search", "--evaluator", "benchmark", "--surrogate", "gbb"], "did you mean 'gb'"),
        (["search", "--evaluator", "benchmark", "--benchmark-data", "no.tar.gz"], "no such file"),
        (["search", "--evaluator", "benchmark", "--cost", "latency_zcu103"], "did you mean 'latency_zcu102'"),
        (["search", "--cost", "latency_zcu102"], "only the benchmark"),
        (["search", "--benchmark-data", "x"], "only with --evaluator benchmark"),
        (["search", "--noise"], "only with --evaluator benchmark"),
        (["search", "--until", "convergd"], "did you mean 'converged'"),
        (["search", "--until", "converged", "--controller", "random"], "no predictor"),
        (["search", "--until", "converged", "--price", "0"], "price 0"),
        (["search", "-o", "local=2"], "local 2"),
        (["rediscover", "--trials", "0"], "trials 0"),
        (["compare", "--controller", "predictr"], "did you mean 'predictor'"),
        (["compare", "--controller", "random:many"], "NAME:TRIALS"),
        (["compare", "--controller", "evolution:20,population"], "option 'population': expected KEY=VALUE"),
        (["compare", "--controller", "evolution:20,populaton=5"], "did you mean 'population'"),
        (["compare", "--controller", "evolution:20,population=five"], "population 'five'"),
        (["compare", "--seeds", "0"], "seeds 0"),
        (["compare", "--pending", "0"], "pending 0"),
        (["plan", "--workers", "1,x"], "workers '1,x'"),
        (["plan", "--workers", "0"], "workers 0"),
        (["plan", "--trials", "0"], "trials 0"),
        (["data", "accel-nasbnch"], "did you mean 'accel-nasbench'"),
        (["data", "accel-nasbench", "--url", "http://127.0.0.1:1/", "--out", "x"], "download failed"),
    ],
)
def test_bad_input(arguments, message, tmp_path, monkeypatch, capsys):
    refused(arguments, message, monkeypatch, capsys, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_compare_and_its_table(processes):
    comparison = compare_controllers(
        [("random", 40), ("predictor", 40)], [OracleSource("mlp")], range(2), processes=processes
    )
    assert isinstance(comparison, Comparison)
    assert [trace.task.seed for trace in comparison.of("predictor", "mlp")] == [0, 1]
    quick, slow = comparison.row("predictor", "mlp"), comparison.row("random", "mlp")
    assert quick["final"] > slow["final"]
    assert slow["99%"] == float("inf")
    trace = comparison.of("random", "mlp")[0]
    assert trace.evaluations(-1) == 1
    assert trace.evaluations(trace.rewards.max()) == trace.rewards.argmax() + 1


def test_options_of_a_controller_act():
    """A population as large as the run is random search; the label keeps what it was."""
    names = ("evolution", "evolution,population=5,tournament=2", "evolution,population=40,tournament=2")
    comparison = compare_controllers(
        [(name, 40) for name in names], [OracleSource("mlp")], range(1), processes=1
    )
    usual, small, random = (comparison.of(name, "mlp")[0].architectures for name in names)
    first = (small == random).all(axis=1)
    assert first[:5].all()  # the same seed's
    assert not first[5:].any()
    assert (usual[:30] == random[:30]).all()  # thirty by default
    assert not (usual == random).all()


def test_compare_writes_plot_and_json(tmp_path):
    flags = ["--controller", "random:30", "--surrogate", "mlp", "--seeds", "2", "--processes", "1"]
    flags += ["--out", tmp_path / "c"]
    assert "random" in good("compare", *flags)
    document = json.loads((tmp_path / "c" / "compare.json").read_text())
    assert document["rows"][0]["99%"] is None
    assert (tmp_path / "c" / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_noise_hits_what_is_told_not_what_is_true():
    trace = run_task(Task("evolution", OracleSource("mlp"), 0, 50, noise=0.02))
    silent = run_task(Task("evolution", OracleSource("mlp"), 0, 50))
    assert (trace.rewards[:30] == silent.rewards[:30]).all()  # the first are random: the same ones
    assert (trace.rewards[30:] != silent.rewards[30:]).any()


@pytest.mark.parametrize("mode", ["asynchronous", "batch"])
def test_plan_accounts_for_every_second(surrogate, mode):
    reward = make_reward("soft", {"benchmark_macs": "400M"})
    truth = true_rewards(surrogate, "mlp", reward)
    results = {}
    for workers in (1, 16):
        controller = make_controller("random", surrogate.space, 0)
        results[workers] = plan_workers(controller, surrogate, truth, reward, workers, 200, mode)
        assert controller.pending == ()
    one, many = results[1], results[16]
    assert one.utilisation == pytest.approx(1)
    assert one.seconds == pytest.approx(one.busy_seconds)
    # random search proposes the same whatever comes back, so the work is the same
    assert many.busy_seconds == pytest.approx(one.busy_seconds)
    assert many.utilisation == pytest.approx(many.busy_seconds / (16 * many.seconds))
    assert many.reward == one.reward
    assert many.seconds >= one.seconds / 16
    assert [r for _, r in many.best] == sorted(r for _, r in many.best)


def test_asynchronous_workers_do_not_wait(surrogate):
    reward = make_reward("soft", {"benchmark_macs": "400M"})
    truth = true_rewards(surrogate, "mlp", reward)
    used = {
        mode: plan_workers(
            make_controller("random", surrogate.space), surrogate, truth, reward, 64, 1280, mode
        )
        for mode in ("asynchronous", "batch")
    }
    assert used["asynchronous"].utilisation > 0.95 > used["batch"].utilisation


def test_predictor_needs_few_samples():
    """A guard against losing what `nas compare` measures; the figures are in docs/benchmark.md."""
    for family in ("mlp", "gb"):
        finals = [
            run_task(Task("predictor", OracleSource(family), seed, 60)).rewards.max() for seed in (7, 8, 9)
        ]
        assert np.median(finals) > 0.6575  # beyond B0
