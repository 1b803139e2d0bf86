"""Searches from Python: `nas.search`, `nas.open`, a user's own function, and the examples."""

import subprocess
import sys
from pathlib import Path

import pytest

import nas
from nas.runs.own_names import forget_handed
from nas.search.function_evaluator import FunctionEvaluator
from nas.testing import EvaluatorContract
from search_spaces.errors import InputError
from tests.command import nas as command

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SMALL = {
    "schema": 1,
    "space": "small",
    "network": {"resolution": 8},
    "stages": [{"op": ["ds", "mbconv3"], "channels": [8, 16, 24], "repeats": [1, 2, 3]}],
}

MODULE = """
from pathlib import Path


def score(spec, seed, epochs):
    for epoch in range(epochs):
        yield {"accuracy": (seed % 97) / 100, "loss": 1.0 / (epoch + 1)}


def short(spec):
    yield 0.5


def remembers(spec, epochs, state):
    for epoch in range(state or 0, epochs):
        yield (spec.stages[0].repeats + epoch) / 20, epoch + 1


def breaks(spec):
    raise KeyError("mine")


def odd(spec, learning_rate):
    yield 0.5


score.num_classes = 7
"""


def score(spec, seed, epochs):
    return ((seed % 97) / 100 for _ in range(epochs))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Trials run in this process; the module `mine_api` stands in the current folder."""
    monkeypatch.setattr("nas.session._join", lambda *where: None)
    (tmp_path / "mine_api.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("mine_api", None)


class TestOwnFunction(EvaluatorContract):
    def make_evaluator(self):
        return FunctionEvaluator(f"{__name__}:score", 3, function=score)


class TestOwnFunctionWithState(EvaluatorContract):
    @pytest.fixture(autouse=True)
    def module(self, here):
        self.folder = str(here)

    def make_evaluator(self):
        return FunctionEvaluator("mine_api:remembers", 3, self.folder)


def test_a_function_by_the_command_is_kept_resumed_and_reported(here):
    arguments = ["--evaluator", "mine_api:score", "--epochs", "2", "--trials", "4", "--space", "efficientnet"]
    assert command("search", *arguments, "--out", "run").returncode == 0
    own = nas.open("run").settings.evaluator
    assert (own.function, own.module_folder, own.epochs) == ("mine_api:score", str(here), 2)
    assert own.code is not None
    assert nas.open("run").spec.num_classes == 7
    assert command("search", *arguments, "--out", "run", "--or-resume").returncode == 0
    assert command("resume", "run", "--trials", "6").returncode == 0
    records = nas.open("run").records
    assert len(records) == 6
    assert [row["loss"] for row in records[0].measurements] == [1.0, 0.5]
    assert command("report", "run").returncode == 0
    assert "mine_api:score" in Path("run/report.html").read_text()


def test_a_changed_function_is_said(here):
    nas.search(SMALL, "mine_api:score", trials=2, out="run")
    Path("mine_api.py").write_text(MODULE + "\n# changed\n")
    result = command("resume", "run", "--trials", "3")
    assert "its file has changed since the run was started" in result.stderr


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("nothere_api:f", "cannot import nothere_api: ModuleNotFoundError"),
        ("mine_api:scor", "unknown function 'scor'"),
        ("mine_api:odd", r"takes \(spec, learning_rate\), expected spec, and any of seed, epochs, state"),
        ("mine_api:", "expected module:function"),
    ],
)
def test_no_function_is_one_line_before_a_folder_is_made(here, name, line):
    with pytest.raises(InputError, match=line):
        nas.search(SMALL, name, trials=2, out="run")
    assert not Path("run").exists()


def test_what_a_function_does_wrong_is_the_trials_reason(here):
    for name, reason in (
        ("breaks", "mine_api:breaks: KeyError: 'mine'"),
        ("short", "mine_api:short yielded 1 times, expected 2"),
    ):
        with pytest.raises(InputError):
            nas.search(SMALL, f"mine_api:{name}", epochs=2, trials=3, out=name)
        assert all(record.reason.startswith(reason) for record in nas.open(name).records)


def test_options_of_trainings_do_nothing_for_a_function(here):
    for option in (["--recipe", "sgd"], ["--data", "digits"], ["--width", "0.5"], ["--subset", "0.5"]):
        result = command("search", "--evaluator", "mine_api:score", *option)
        assert result.returncode == 2
        assert option[0] in result.stderr


def test_a_run_in_python_is_the_commands(here):
    run = nas.search(evaluate="benchmark", trials=5, seed=3, out="run", controller="local-search")
    same = ["--evaluator", "benchmark", "--seed", "3", "--controller", "local-search", "--trials", "5"]
    assert command("search", *same, "--out", "other").returncode == 0
    assert Path("run/search.yaml").read_text() == Path("other/search.yaml").read_text()
    assert (
        Path("run/best.yaml").read_text().replace("of run", "of other") == Path("other/best.yaml").read_text()
    )
    again = run.resume(trials=7)
    assert len(again.records) == 7
    best = max(again.records, key=lambda record: record.reward)
    assert again.best == best
    assert again.plot().axes[0].get_ylabel().startswith("accuracy")
    assert again.report().is_file()
    with pytest.raises(InputError, match="trials 3: 7 have ended already"):
        again.resume(trials=3)
    with pytest.raises(InputError, match="unknown option of resume 'cpu'"):
        again.resume(cpu=3)


def test_trials_and_front_are_tables(here):
    pytest.importorskip("pandas")
    run = nas.search(SMALL, score, trials=5, out="run")
    table = run.trials()
    assert list(table.index) == [0, 1, 2, 3, 4]
    assert table.loc[2, "reward"] == next(r.reward for r in run.records if r.trial == 2)
    assert set(table["stage0.repeats"]) <= {1, 2, 3}
    front = run.front()
    assert list(front["accuracy"]) == sorted(front["accuracy"], reverse=True)
    assert front["macs"].is_monotonic_decreasing


def test_without_pandas_a_line_says_so(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    run = nas.search(evaluate="benchmark", trials=2, out="run")
    with pytest.raises(InputError, match=r"baseline-nas\[pandas\]"):
        run.trials()


def test_a_function_of_a_notebook_is_handed_again(here):
    def local(spec):
        return 0.5

    local.__module__ = "__main__"
    run = nas.search(SMALL, local, trials=2, out="run")
    forget_handed()  # as in another process
    with pytest.raises(InputError):
        run.resume(trials=3)
    with pytest.raises(InputError, match="the run was scored by"):
        run.resume(trials=3, evaluate=score)
    assert len(run.resume(trials=3, evaluate=local).records) == 3


def test_a_run_is_loaded_and_plotted_by_the_example(here):
    pytest.importorskip("pandas")
    nas.search(evaluate="benchmark", trials=4, out="run")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "plot_run.py", "run", "front.png"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "front:" in done.stdout
    assert Path("front.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_function_of_ones_own_by_the_example(tmp_path):
    run = str(tmp_path / "run")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "own_function.py", run], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    more = [sys.executable, "-m", "nas", "resume", run, "--trials", "5"]
    done = subprocess.run(more, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = nas.open(run).records
    assert len(records) == 5
    assert max(record.accuracy for record in records) > 0.7  # of digits: it learns


@pytest.mark.slow
def test_a_search_under_a_ray_that_is_there_leaves_it(cluster, tmp_path):
    import ray

    run = nas.search(SMALL, score, trials=3, concurrent=2, out=tmp_path / "run")
    assert ray.is_initialized()
    assert len({record.worker for record in run.records} - {None}) >= 1
    assert len(run.resume(trials=4).records) == 4
    assert ray.get(ray.remote(lambda: 3).remote()) == 3


@pytest.mark.slow
def test_a_notebook_in_a_real_kernel(tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="nbclient and ipykernel run notebooks")
    pytest.importorskip("ipykernel", reason="nbclient and ipykernel run notebooks")
    import nbformat

    book = nbformat.read(EXAMPLES / "notebook.ipynb", 4)
    nbclient.NotebookClient(book, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [cell.get("outputs", []) for cell in book.cells]
    said = "".join(part.get("text", "") for part in outputs[3] if part.get("name") == "stdout")
    assert all(f"[{n}/4] trial" in said for n in (1, 2, 3, 4))
    assert not any(part.get("name") == "stderr" and "trial" in part["text"] for part in outputs[3])
    assert "image/png" in outputs[5][-1]["data"]
    assert outputs[-1][-1]["data"]["text/plain"] == "5"
    assert len(nas.open(tmp_path / "notebook-run").records) == 5
