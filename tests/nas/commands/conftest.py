"""The commands in this process, without what is heavy behind them: what they would do is recorded."""

import importlib
import re
import shutil
import time
from types import SimpleNamespace

import pytest

from nas.benchmark.landmarks import Landmarks, true_rewards
from nas.benchmark.load import load_surrogate
from nas.benchmark.price import GoalPrice
from nas.cli import cli
from nas.data.preparation import Preparation
from nas.export.formats import Written
from nas.latency.setting import Setting
from nas.latency.timing import Timing
from nas.network.builder import build
from nas.runs.folder import Run
from nas.runs.settings import SearchSettings
from nas.search.in_process import run_in_process
from nas.search.journal import Journal
from nas.search.trial import make_record
from nas.studies.int8_export import Int8Scores
from nas.studies.proxy_design import Correlation
from nas.training.checkpoint import checkpoint_bytes
from search_spaces import NetworkSpec, StageSpec, reference
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from tests.nas.search.fakes import Fake


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A finished run folder of eight trials; copy it where it is written to."""
    run = Run.create(tmp_path_factory.mktemp("finished") / "run", SearchSettings(trials=8))
    with Journal(run.folder) as journal:
        run_in_process(run.loop(journal, 8, ()), Fake())
        run.write_results(run.results(journal.records))
    (run.folder / "logs").mkdir()
    for trial in (1, 2):
        (run.folder / "logs" / f"trial_{trial:06d}.log").write_text(f"log of {trial}\n")
    return run


@pytest.fixture(scope="session")
def trained_file():
    """A checkpoint's content."""
    spec = NetworkSpec("tiny", (StageSpec("ds", 8),), head_channels=0, resolution=8, num_classes=2)
    images = Preparation(8, 3, (0.5,) * 3, (0.5,) * 3, 1.0, ("a", "b"))
    about = {"input": images.to_document(), "plan": {"data": "digits"}}
    return checkpoint_bytes(spec, {"model": build(spec, 0).state_dict(), "epoch": 1}, about)


@pytest.fixture
def observe(tmp_path, monkeypatch, capsys, finished_run, trained_file):
    """Runs a command in a fresh folder and gives all that could be seen of it.

    That is a tuple: what was handed to the borders below, what was printed, the files that were written.
    """
    calls = []

    def recorder(name, answer=None):
        def record(*arguments, **named):
            calls.append((name, arguments, named))
            return answer(*arguments, **named) if callable(answer) else answer

        return record

    def start(settings, folder, placement, console):
        settings.check()  # as a search begins
        calls.append(("start", settings, str(folder), placement))
        return finished_run

    monkeypatch.setattr(time, "strftime", lambda *_: "NOW")
    for module in ("commands.search", "commands.benchmark", "commands.part", "session"):
        monkeypatch.setattr(f"nas.{module}.start_search", start)
    for module in ("search", "part"):
        monkeypatch.setattr(f"nas.commands.{module}.resume_search", recorder("resume", finished_run))
    _benchmark(monkeypatch, recorder)
    _latency(monkeypatch, recorder)
    _proxy(monkeypatch, recorder)
    monkeypatch.setattr("nas.commands.search._supernet_space", lambda file: ("mnasnet", {}))
    monkeypatch.setattr("nas.runs.supernet_settings.SupernetSettings.check", recorder("check"))
    for name in ("_begun", "_resumed", "_report"):
        monkeypatch.setattr(f"nas.commands.supernet.{name}", recorder(name))
    _race(monkeypatch, calls)
    monkeypatch.setattr("nas.commands.network._check", recorder("check", {"macs": 1, "params": 1}))
    monkeypatch.setattr(
        "nas.export.from_model.import_spec", lambda text: reference("resnet50").replace(name=text)
    )
    monkeypatch.setattr("nas.report.html.write_report", lambda run, records, path: path.write_text("report"))
    monkeypatch.setattr("nas.report.tensorboard.write_trial_curves", recorder("curves"))
    monkeypatch.setattr("nas.export.onnx.write_onnx", recorder("onnx", Written(b"a program")))
    scores = Int8Scores("digits", 1, 1, 0.5, 0.5)
    quantise = recorder("int8", (b"in 8 bits", scores))
    monkeypatch.setattr("nas.studies.int8_export.quantise_trained", quantise)
    monkeypatch.setattr("nas.export.import_table.family_names", lambda library: ["a"])
    monkeypatch.setattr("nas.export.import_table.outcome", recorder("outcome"))
    monkeypatch.setattr("nas.export.import_table.rows", lambda outcomes: ["# A page"])
    monkeypatch.setattr("subprocess.call", recorder("call", 0))
    monkeypatch.setattr("nas.commands.launch._submit", recorder("submit", "submitted"))
    monkeypatch.setattr("nas.cluster.jobs.JobServer", lambda address: _Cluster(address, calls))
    monkeypatch.setattr("nas.launch.outputs.unpack", recorder("unpack"))
    monkeypatch.setattr("nas.launch.job.os.urandom", lambda count: b"\0" * count)
    monkeypatch.setattr("nas.commands.status._cluster", recorder("cluster"))

    def run(arguments, files=None):
        """`files` are there before, by name."""
        folder = tmp_path / "here"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        monkeypatch.chdir(folder)
        shutil.copytree(finished_run.folder, "run")
        (folder / "another").mkdir()  # a run without a trial
        shutil.copy(finished_run.folder / "search.yaml", "another")
        (folder / "table.json").write_text("{}")
        (folder / "trained.pt").write_bytes(trained_file)
        (folder / "table.csv").write_text("a,accuracy,macs\n1,.5,1\n2,.6,2\n")
        for name, content in (files or {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        calls.clear()
        capsys.readouterr()
        try:
            cli.main([str(word) for word in arguments], prog_name="nas", standalone_mode=False)
        except SystemExit as ended:
            calls.append(("exit", ended.code))
        written = {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        # where an object lies in memory says nothing of what a command did
        return re.sub(r" at 0x[0-9a-f]+", "", repr(calls)), capsys.readouterr().out, written

    return run


@pytest.fixture
def refusal(observe):
    """The one line with which a command refuses its arguments."""

    def run(arguments):
        with pytest.raises(InputError) as refused:
            observe(arguments)
        return str(refused.value)

    return run


class _Cluster:
    def __init__(self, address, calls):
        self.address, self.calls = address, calls

    def submit(self, job):
        self.calls.append(("job", self.address, job))
        return "job"

    def follow(self, job):
        return iter(["its output"])

    def fetch(self, job, file, limit):
        self.calls.append(("fetch", file))
        return b"packed"

    def failed(self, job):
        return None


def _benchmark(monkeypatch, recorder):
    monkeypatch.setattr("nas.benchmark.load.load_surrogate", recorder("load", load_surrogate))
    # the other family's trees take seconds for what isn't looked at here
    truth = recorder("truth", lambda known, family, reward: true_rewards(known, "mlp", reward))
    monkeypatch.setattr("nas.benchmark.landmarks.true_rewards", truth)
    known = Landmarks(0.62, 0.67, Architecture(()), 0.656)  # else each plan climbs for seconds
    monkeypatch.setattr("nas.benchmark.landmarks.benchmark_landmarks", lambda truth: known)
    comparison = SimpleNamespace(row=lambda name, family: {"best": 1.0}, landmarks={})
    monkeypatch.setattr("nas.benchmark.compare.compare_controllers", recorder("compare", comparison))
    for plot, place in (("plot_comparison", 2), ("plot_plans", 1), ("plot_family", 1)):
        monkeypatch.setattr(
            f"nas.report.plots.{plot}", lambda *given, place=place: given[place].write_bytes(b"picture")
        )
    found = SimpleNamespace(to_dict=lambda: {"found": 1}, summary=lambda: "found")
    monkeypatch.setattr("nas.studies.rediscovery.trace_rediscovery", lambda run, count: found)
    monkeypatch.setattr("nas.commands.benchmark.rediscovery_tables", lambda found: [])
    price = GoalPrice("this search", "B0", 60.0, 90.0, 1)
    prices = recorder("price", lambda run, target, seeds, done: [price])
    monkeypatch.setattr("nas.studies.search_price.price_rediscovery", prices)
    monkeypatch.setattr(
        "nas.benchmark.download.download",
        recorder("download", lambda path, url, progress: path.write_bytes(b"records")),
    )


def _latency(monkeypatch, recorder):
    timing = recorder("time", lambda spec, setting, runs: Timing(1.0, 1.0, 1.0, runs, 1.0))
    monkeypatch.setattr("nas.latency.timing.time_network", timing)
    monkeypatch.setattr("nas.latency.runtimes.prepare", lambda setting: setting)
    about = {"checked": 1, "lowest": 1.0, "highest": 1.0}
    about |= {"rank_correlation": 1.0, "median_error": 0.0, "largest_error": 0.0, "within_10": 1.0}

    class Table:
        setting, entries, SIZE = Setting(threads=7), {}, 0

        def __init__(self):
            self.about = about

        def __call__(self, spec):
            return 2.0

        def write(self, path):
            with open(path, "w") as stream:
                stream.write("{}")

        def check(self, space):
            pass

    monkeypatch.setattr("nas.latency.table.LatencyTable.read", lambda path: Table())
    monkeypatch.setattr("nas.latency.build_table.work", lambda *given: 1)
    build = recorder("build", lambda *given, **named: Table())

    def built(space, setting, base, checked, tick):
        return build(space.name, setting, checked)

    def calibrated(space, setting, base, measured, checked, tick):
        table = build(space.name, setting, checked, measured)
        table.about |= {"roofline": {"scale": 1.0, "ridge": 5.0}, "uncalibrated_rank_correlation": 1.0}
        return table

    monkeypatch.setattr("nas.latency.build_table.build_table", built)
    monkeypatch.setattr("nas.latency.calibrate.calibrate_table", calibrated)
    monkeypatch.setattr("nas.latency.parts.space_parts", lambda space: [])


def _proxy(monkeypatch, recorder):
    module = importlib.import_module("nas.commands.proxy")
    monkeypatch.setattr("nas.studies.proxy_design._POOL", 40)
    images = SimpleNamespace(num_classes=10, in_channels=1, subset=lambda share, held_out: None)
    monkeypatch.setattr("nas.data.load.load_data", recorder("data", images))
    monkeypatch.setattr("nas.studies.proxy_study.accuracies", lambda records: {"a": 0.1})
    monkeypatch.setattr("nas.studies.proxy_study.correlate", lambda one, other: Correlation(0.5, 0.4, 0.6, 9))
    monkeypatch.setattr("nas.studies.proxy_study.judge_proxies", lambda *given: None)
    monkeypatch.setattr("nas.studies.proxy_study.variance", recorder("variance", lambda runs: _Spread()))
    monkeypatch.setattr(module, "write_proxy", recorder("write_proxy"))
    monkeypatch.setattr(module, "_report", recorder("report"))


def _race(monkeypatch, calls):
    """Finalists whose results are their trial's number: by that the options of the race are seen to act."""

    def run(folder, settings, placement, console):
        settings.check()
        calls.append(("part", str(folder), settings, placement))
        records = [
            make_record(
                trial=number, state="finished", architecture=(number,), choices={"network": name}, digest=name,
                seed=0, reward=0.5, accuracy=0.5 + int(name.split()[1]) / 100 + settings.seed % 2 / 500,
                macs=1.0, costs={"macs": 1.0},
            )
            for number, name in enumerate(settings.make_space().networks)
        ]  # fmt: skip
        return SimpleNamespace(records=lambda: records)

    monkeypatch.setattr("nas.commands.finalists.run_part", run)


class _Spread:
    def __repr__(self):
        return "spread"
