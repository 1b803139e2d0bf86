"""A benchmark that knows every epoch: what it answers, what its file must be, and the embedded one."""

import json

import numpy as np
import pytest

from nas.benchmark.evaluator import BenchmarkEvaluator
from nas.benchmark.load import CURVES, load_surrogate, run_benchmark_file
from nas.benchmark.run_surrogate import RunSurrogate, Trainings, fit_parameters, read_run_surrogate
from nas.benchmark.source import make_oracle, sources_of
from nas.runs.folder import Run
from search_spaces import Architecture, InputError, get_space
from tests.command import good

EPOCHS = 4


@pytest.fixture(scope="module")
def trained():
    """Sixty networks, trained twice: the first epochs tell little, and each training is noisy."""
    space, rng = get_space("accel-nasbench"), np.random.default_rng(0)
    rows = np.unique([space.sample(rng) for _ in range(60)], axis=0)
    worth = 0.3 + rows.sum(1) / 200
    ends = [[end + 0.002 * rng.normal() for _ in range(2)] for end in worth.tolist()]
    curves = [
        [[0.1 + (end - 0.1) * epoch / EPOCHS for epoch in range(1, EPOCHS)] + [end] for end in pair]
        for pair in ends
    ]
    return Trainings(space, rows, ends, curves)


@pytest.fixture(scope="module")
def surrogate(trained):
    return RunSurrogate(trained, fit_parameters(trained), {"noise": 0.2})


def test_each_epoch_is_predicted_from_what_the_trainings_had_then(surrogate, trained):
    found = surrogate.curve(trained.rows)
    assert found.shape == (len(trained.rows), EPOCHS)
    assert (found[:, -1] == surrogate.top1(trained.rows)).all()
    for epoch in range(1, EPOCHS + 1):
        means = 100 * np.mean(trained.after(epoch), axis=1)
        assert np.corrcoef(found[:, epoch - 1], means)[0, 1] > 0.95
        assert found[:, epoch - 1].mean() == pytest.approx(means.mean(), abs=0.2)
    assert surrogate.curve_noise[-1] == pytest.approx(100 * trained.noise)
    assert surrogate.curve_noise[0] == pytest.approx(100 * trained.noise / EPOCHS)


def test_an_evaluation_goes_through_the_epochs(surrogate, trained):
    evaluator = BenchmarkEvaluator(surrogate, "gp")
    assert evaluator.epochs == EPOCHS
    spec = trained.space.decode(Architecture(trained.rows[3].tolist()))
    evaluation = evaluator.start(spec, 0)
    told = list(evaluation)
    assert evaluation.finished
    assert [row["epoch"] for row in told] == [1, 2, 3, 4]
    expected = surrogate.curve(trained.rows[3:4])[0] / 100
    assert [row["accuracy"] for row in told] == pytest.approx(expected.tolist())


def test_the_epochs_of_a_training_err_alike():
    """As those of the networks do that were trained twice: the last two hardly apart, the first on its own."""
    surrogate = load_surrogate("curves")
    pairs = np.array([np.subtract(c[0], c[1]) for c in surrogate.trainings.curves if len(c) > 1])
    seen = np.corrcoef(pairs.T)
    rng = np.random.default_rng(0)
    drawn = np.array([surrogate.draw_errors(rng) for _ in range(4000)])
    assert np.corrcoef(drawn.T) == pytest.approx(seen, abs=0.06)
    assert seen[-1, -2] > 0.9 > 0.6 > seen[-1, 0]
    assert drawn.std(0) == pytest.approx(surrogate.curve_noise, rel=0.05)
    first = surrogate.curve_noise[-1] * np.random.default_rng(3).normal()
    assert surrogate.draw_errors(np.random.default_rng(3))[-1] == pytest.approx(first)


def test_with_noise_each_seed_has_a_curve_of_its_own(surrogate, trained):
    evaluator = BenchmarkEvaluator(surrogate, "gp", noise=0.2)
    spec = trained.space.decode(Architecture(trained.rows[3].tolist()))
    curves = np.array([[row["accuracy"] for row in evaluator.start(spec, seed)] for seed in range(200)])
    assert 100 * curves.std(0) == pytest.approx([*surrogate.curve_noise[:-1], 0.2], rel=0.2)
    again = [row["accuracy"] for row in evaluator.start(spec, 7)]
    assert again == curves[7].tolist()


def test_it_is_the_same_when_it_is_read_again(surrogate, trained, tmp_path):
    surrogate.write(tmp_path / "curves.json")
    read = read_run_surrogate(tmp_path / "curves.json")
    assert read.digest == surrogate.digest
    assert read.epochs == EPOCHS
    assert read.curve(trained.rows) == pytest.approx(surrogate.curve(trained.rows), abs=1e-3)


def test_a_file_without_curves_is_as_it_was(trained, tmp_path):
    plain = RunSurrogate(
        Trainings(trained.space, trained.rows, trained.accuracies), fit_parameters(trained), {}
    )
    plain.write(tmp_path / "plain.json")
    assert "curves" not in json.loads((tmp_path / "plain.json").read_text())
    assert read_run_surrogate(tmp_path / "plain.json").epochs == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda curves: curves[1:], "a list for each of"),
        (lambda curves: "x", "a list for each of"),
        (lambda curves: [curves[0][:1], *curves[1:]], r"shape \(2, n\)"),
        (lambda curves: [[curve[1:] for curve in curves[0]], *curves[1:]], "as many epochs"),
        (lambda curves: [[[2.0, *curve[1:]] for curve in curves[0]], *curves[1:]], "fractions"),
        (
            lambda curves: [[[*curve[:-1], 0.5] for curve in curves[0]], *curves[1:]],
            "end with its training's",
        ),
    ],
)
def test_curves_that_can_not_be_are_refused(change, words, surrogate, tmp_path):
    surrogate.write(tmp_path / "bad.json")
    document = json.loads((tmp_path / "bad.json").read_text())
    document["curves"] = change(document["curves"])
    (tmp_path / "bad.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=f"curves: .*{words}"):
        read_run_surrogate(tmp_path / "bad.json")


def test_the_embedded_one_is_what_it_says():
    made = load_surrogate(CURVES)
    assert isinstance(made, RunSurrogate)
    assert run_benchmark_file(CURVES).stat().st_size < 1 << 20
    trainings = made.trainings
    assert len(trainings.rows) >= 500
    assert sum(len(values) >= 2 for values in trainings.accuracies) >= 50
    assert made.epochs == 8
    assert made.about["noise"] == pytest.approx(100 * trainings.noise)
    assert made.about["networks"] == len(trainings.rows)
    assert made.about["trainings"] == sum(map(len, trainings.accuracies))
    assert made.space.exportable.to == ("timm", "onnx")
    means = trainings.means
    assert means.std() > 2 * trainings.noise  # it tells networks apart


def test_a_search_on_the_embedded_one(tmp_path):
    good(
        "search",
        "--evaluator",
        "benchmark",
        "--benchmark",
        CURVES,
        "--trials",
        "12",
        "--out",
        tmp_path / "run",
    )
    run = Run.open(tmp_path / "run")
    assert run.space.name == "mnasnet"
    assert run.settings.evaluator.records == CURVES  # wherever it is resumed
    assert [len(record.measurements) for record in run.records()] == [8] * 12
    good("resume", tmp_path / "run", "--trials", "14")
    (source,) = sources_of([], [CURVES], [], None, ["macs=400M"], None, lambda said: None)
    record = run.records()[0]  # its own target is the same
    assert make_oracle(source).rewards(np.array([record.architecture]))[0] == pytest.approx(record.reward)
