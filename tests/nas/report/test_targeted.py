"""Whatever shows a search shows the costs that it targets, and how many trials there were."""

import io
import json
import re
import shlex

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from controller.base import Proposal
from nas.cli import cli
from nas.network.cost_words import cost_label, si
from nas.report.html import write_report
from nas.report.progress import SearchProgress
from nas.report.tensorboard import TensorBoardWriter
from nas.report.trial_table import metric_names
from nas.runs.flat import make_settings
from nas.runs.folder import BEST, Run
from nas.runs.placement import Placement
from nas.runs.status import RunningTrial, Status
from nas.search.in_process import run_in_process
from nas.search.journal import Journal, read_records
from nas.search.trial import Trial
from nas.session import resume_search, start_search
from tests.nas.search.fakes import Fake

TARGETS = {"inference_memory": "20M", "params": "3M"}
TRIALS = 14


class Search:
    """A search of an instant evaluator, with all that watches one."""

    def __init__(self, folder):
        run = Run.create(folder, make_settings(controller="random", targets=TARGETS, trials=TRIALS))
        self.run, self.console = run, Console(file=io.StringIO(), width=200)
        with Journal(folder) as journal:
            self.view = SearchProgress(self.console, TRIALS, 2, [], run.settings.make_reward())
            events = TensorBoardWriter(run)
            run_in_process(run.loop(journal, TRIALS, (self.view, events)), Fake())
            events.close()
            self.results = run.results(journal.records)
            run.write_results(self.results)


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    return Search(tmp_path_factory.mktemp("targeted") / "run")


@pytest.fixture(scope="module")
def page(search):
    path = search.run.folder / "report.html"
    write_report(search.run, search.results.finished, path)
    return path.read_text()


def command(*words):
    cli.main([str(word) for word in words], prog_name="nas", standalone_mode=False)


def wanted(search):
    """The best trial's targeted costs as they are written, by label."""
    best = search.results.best
    return {cost_label(name): si(best.costs[name]) for name in TARGETS}


def assert_shown(text, search):
    for label, value in wanted(search).items():
        assert label in text
        assert value in text
    assert "MACs" not in text


def test_the_live_view(search):
    lines = search.console.file.getvalue().splitlines()
    assert_shown([line for line in lines if line.endswith("*")][-1], search)
    best, view, console = search.results.best, search.view, Console(file=io.StringIO(), width=200)
    spec, proposal = search.run.spec(best), Proposal(99, best.architecture)
    view.started(Trial(proposal, spec, best.choices, best.costs, 1))
    console.print(view.render())
    head, _, table = console.file.getvalue().partition("running  ")
    for part in (head, table):
        assert_shown(part, search)


def test_the_tables(search, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    command("show", search.run.folder)
    top = capsys.readouterr().out.partition("Pareto")[0]
    assert_shown(top.replace("\n", " "), search)


def test_best_yaml(search):
    comment = [line for line in (search.run.folder / BEST).read_text().splitlines() if line.startswith("#")]
    assert_shown(comment[0], search)


def test_the_report(search, page):
    cards = page[page.index('<div class="cards">') :].partition("</div></div>")[0]
    assert_shown(cards, search)
    assert_shown(re.search(r"<summary>1\. .*?</summary>", page)[0], search)
    assert "Accuracy against inference memory, bytes" in page


def test_tensorboard(search):
    events = EventAccumulator(str(search.run.folder), size_guidance={"scalars": 0})
    events.Reload()
    for name in TARGETS:
        assert events.Scalars(f"best/{name}")[-1].value == pytest.approx(search.results.best.costs[name])
        assert len(events.Scalars(f"trial/{name}")) == TRIALS
    (text,) = events.Tensors("top")
    assert_shown(text.tensor_proto.string_val[0].decode(), search)
    layout = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0].decode(errors="replace")
    assert "best/inference_memory" in layout
    assert metric_names(TARGETS)[:4] == ["reward", "accuracy", "inference memory, bytes", "params"]


def test_the_status_of_a_running_trial(search, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    costs = dict(search.results.best.costs)
    Status(running=[RunningTrial(99, costs["macs"], 3, costs=costs)]).write(search.run.folder)
    try:
        command("status", search.run.folder)
    finally:
        (search.run.folder / "running.json").unlink()
    assert_shown(capsys.readouterr().out, search)


def on_the_benchmark(folder, trials):
    settings = make_settings(
        space="accel-nasbench",
        evaluator="benchmark",
        controller="random",
        trials=trials,
        targets={"params": "5M"},
    )
    return start_search(settings, folder, Placement(), Console(quiet=True))


def test_a_run_goes_by_the_number_of_trials_that_it_went_on_to(tmp_path, capsys):
    on_the_benchmark(tmp_path / "run", 4)
    again = resume_search(tmp_path / "run", Placement(), Console(quiet=True), 9)
    command("status", tmp_path / "run", "--json")
    document = json.loads(capsys.readouterr().out)
    assert (document["trials"], document["ended"]["finished"]) == (9, 9)
    command("show", tmp_path / "run")
    assert "9 of 9 trials ended" in capsys.readouterr().out
    assert again.settings == Run.open(tmp_path / "run").settings

    # as the report says, into another folder: the same winner
    def repeated(ended, trials):
        run = Run.open(tmp_path / "run")
        write_report(run, read_records(run.folder)[:ended], tmp_path / "report.html")
        text = (tmp_path / "report.html").read_text()
        words = shlex.split(re.search(r"<pre>(nas search .*?)</pre>", text)[1])
        assert ("--trials" in words) == (ended != trials)
        return words

    assert repeated(9, 9)[:4] == ["nas", "search", "--config", f"{tmp_path}/run/search.yaml"]
    assert "--trials 6" in " ".join(repeated(6, 9))


def test_a_run_of_an_earlier_version_has_not_more_trials_than_it_had(tmp_path, capsys):
    """It kept the first number only."""
    run = on_the_benchmark(tmp_path / "run", 6)
    path = run.folder / "search.yaml"
    path.write_text(path.read_text().replace("trials: 6", "trials: 4"))
    command("status", run.folder)
    printed = capsys.readouterr().out
    assert "6 finished of 6 trials" in printed
    assert "go on with" not in printed
