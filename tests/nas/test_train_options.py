"""Every option of `nas train` and `nas resume`, in every way they are used: it acts, or is refused by name."""

import json
from types import SimpleNamespace

import pytest

from nas.commands import search as search_commands
from nas.commands import train as train_commands
from nas.commands.train_start import CutStart
from nas.data.load import load_data
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.runs.function_settings import FunctionSettings
from nas.runs.settings import SearchSettings
from nas.runs.train_settings import TrainSettings
from nas.search.in_process import run_in_process
from nas.search.journal import Journal
from nas.training.checkpoint import save_checkpoint
from nas.training.full import FullTraining
from tests.command import refused
from tests.nas.search.fakes import Fake
from tests.nas.training.test_training import SMALL, trainer

TRAIN = {
    "spec": ["other.json"],
    "data": ["--data", "cifar10"],
    "data_root": ["--data-root", "elsewhere"],
    "download": ["--download"],
    "subset": ["--subset", "0.5"],
    "recipe": ["--recipe", "sgd"],
    "image_column": ["--data", "huggingface:x", "--image-column", "i"],
    "label_column": ["--data", "huggingface:x", "--label-column", "l"],
    "changes": ["--set", "lr=0.01"],
    "epochs": ["--epochs", "5"],
    "resolution": ["--resolution", "12"],
    "width": ["--width", "0.5"],
    "stem_stride": ["--stem-stride", "2"],
    "seed": ["--seed", "7"],
    "start": ["--from", "other.pt"],
    "supernet": ["--from-supernet", "s.pt"],
    "frozen": ["--freeze", "2"],
    "teacher": ["--teacher", "other.pt"],
    "workers": ["--workers", "3"],
    "top": ["--top", "2"],
    "processes": ["--processes", "5"],
    "concurrent": ["--concurrent", "2"],
    "cpus_per_trial": ["--cpus-per-trial", "2"],
    "gpus_per_trial": ["--gpus-per-trial", "0.5"],
    "address": ["--address", "auto"],
    "retries": ["--retries", "5"],
    "trial_timeout": ["--trial-timeout", "9m"],
    "autoscaling": ["--autoscaling"],
    "dashboard": ["--dashboard"],
    "storage": ["--storage", "kept"],
    "resume": ["--resume", "w.pt"],
    "target": ["--out", "other"],
    "as_json": ["--json"],
}
"""A value of each that is not the default."""

PLAN = {
    "spec",
    "data",
    "data_root",
    "download",
    "subset",
    "recipe",
    "image_column",
    "label_column",
    "changes",
    "epochs",
    "resolution",
    "seed",
}
ONE = {*PLAN, "width", "stem_stride", "workers", "target", "as_json", "teacher"}
RAY = {"cpus_per_trial", "gpus_per_trial", "address"}
SEARCH = {"concurrent", "retries", "trial_timeout", "autoscaling", "dashboard", "storage"}
WHERE = {"data", "data_root", "download", "workers", "as_json"}
ACTS = {
    "one": (["small.json"], ONE),
    "processes": (["small.json", "--processes", "2"], {*ONE, *RAY, "processes"}),
    "from": (["--from", "w.pt"], {*PLAN, "workers", "target", "as_json", "frozen", "teacher"} - {"spec"}),
    "from, of SPEC": (["small.json", "--from", "w.pt"], {*ONE, "frozen"}),
    "from-supernet": (
        ["small.json", "--from-supernet", "s.pt"],
        {*PLAN, "workers", "target", "as_json", "frozen", "teacher"},
    ),
    "top": (["run", "--top", "1"], {*ONE, *RAY, *SEARCH, "top"} - {"spec", "teacher"}),
    "resume": (["--resume", "w.pt"], {*WHERE, "epochs"}),
    "resume, processes": (["--resume", "w.pt", "--processes", "2"], {*WHERE, *RAY, "epochs", "processes"}),
}
"""What acts in each way; the rest is refused. What a way is made by is no question there."""
MAKES = {
    "one": {"start", "supernet", "top", "resume", "processes"},
    "processes": {"start", "supernet", "resume", "spec"},
    "from": {"start", "supernet", "spec", "resume", "top", "processes"},
    "from, of SPEC": {"start", "supernet", "spec", "resume", "top", "processes"},
    "from-supernet": {"supernet", "resume", "top", "processes"},
    "top": {"spec", "resume"},
    "resume": {"resume", "processes"},
    "resume, processes": {"resume"},
}
"""Options that turn one way into another, which has a line of its own."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    t = trainer(load_data("digits"))
    for name, spec in {"small": SMALL, "other": SMALL.replace(activation="relu")}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(spec.to_document()))
    for name in ("w.pt", "other.pt"):
        save_checkpoint(tmp_path / name, SMALL, t.state_dict(), {})
    run = Run.create(tmp_path / "run", SearchSettings(trials=3))
    with Journal(run.folder) as journal:
        run_in_process(run.loop(journal, 3, ()), Fake())
    return tmp_path


def seen_by_train(arguments, monkeypatch):
    """All that the command hands on, as text; nothing is trained."""
    seen = []
    digits = load_data("digits")

    def data(name, root=None, download=False):
        seen.append(("data", name, root, download))
        return digits

    def run(training, target, together, as_json):
        plan = training.plan
        kept = plan.to_document() | {"digest": plan.spec.digest} if hasattr(plan, "spec") else {}
        seen.append((kept, training.workers, str(target), together, as_json))

    def resumed(target, workers, **options):
        seen.append((target, options))
        return SimpleNamespace(rows=[{}], plan=SimpleNamespace(data="fashion-mnist"), workers=workers)

    def start(settings, target, placement, console):
        seen.append((settings, target, placement))

    monkeypatch.setattr("nas.data.load.load_data", data)

    def cut(file, network, data, recipe, resolution, folder, say):
        seen.append((file, resolution))
        return CutStart(recipe.adapt(network), folder / "start.pt", True)

    monkeypatch.setattr(train_commands, "cut_start", cut)
    monkeypatch.setattr(train_commands, "_run", run)
    monkeypatch.setattr(FullTraining, "resume", resumed)
    monkeypatch.setattr(FullTraining, "prepare", lambda self, data: None)
    monkeypatch.setattr(train_commands, "start_search", start)
    monkeypatch.setattr(train_commands, "report_stage_two", lambda run, quiet: seen.append(quiet) or {})
    with monkeypatch.context() as quiet:
        quiet.setattr(train_commands, "print_json", lambda document: None)
        train_commands.train.main(arguments, standalone_mode=False)
    return str(seen)


@pytest.mark.parametrize("mode", ACTS)
def test_train(mode, place, monkeypatch, capsys):
    arguments, acting = ACTS[mode]
    assert {str(p.name) for p in train_commands.train.params} == set(TRAIN), "an option is new: does it act?"
    if not mode.startswith("resume"):
        arguments = [*arguments, *([] if mode == "top" else ["--data", "fashion-mnist"])]
    with monkeypatch.context() as spied:
        # `fashion-mnist` has a place to look in and a download, digits have none
        plain = seen_by_train(arguments, spied)
        for name in sorted(acting):
            given = TRAIN[name]
            if mode == "top" and name in ("data_root", "download", "workers"):
                data = ["--data", "imagefolder:x" if name == "workers" else "fashion-mnist"]
                with_it = seen_by_train([*arguments, *given, *data], spied)
                assert with_it != seen_by_train([*arguments, *data], spied)
                continue
            base = [a for a in arguments if name != "spec" or a != "small.json"]
            if name == "processes" or name == "top":
                base = (
                    arguments[: arguments.index(f"--{name}")] + arguments[arguments.index(f"--{name}") + 2 :]
                )
            assert seen_by_train([*base, *given], spied) != plain, f"{name} does nothing"
    for name in sorted(set(TRAIN) - acting - MAKES[mode]):
        word = (
            "SPEC" if name == "spec" else TRAIN[name][-2 if name.endswith("column") else 0].removeprefix("--")
        )
        refused(["train", *arguments, *TRAIN[name]], word, monkeypatch, capsys, place)


def test_a_default_spelt_out_is_refused_too(place, monkeypatch, capsys):
    def refuse(arguments, words):
        refused(["train", *arguments], words, monkeypatch, capsys, place)

    refuse(["--resume", "w.pt", "--seed", "0"], "leave --seed 0 out")
    refuse(["--resume", "w.pt", "--subset", "1", "other.json"], "leave SPEC, --subset 1.0 out")
    refuse(["run", "--top", "1", "--workers", "2"], "--workers: only with --data KIND:PATH")
    refuse(["small.json", "--workers", "257"], "workers 257: expected an integer from 0 to 256")
    refuse(["small.json", "--concurrent", "0"], "only with --top")
    refuse(["small.json", "--freeze", "0"], "only with --from")
    refuse(["small.json", "--epochs", "2", "--set", "epochs=3"], "--set epochs=3 says so too")
    refuse(["small.json", "--data-root", "x"], "--data-root: only with --data fashion-mnist")
    refuse(["small.json", "--data", "imagefolder:x", "--data-root", "y"], "--data-root: only with")
    refuse(["small.json", "--data", "webdataset:x", "--download"], "--download: only with")


RESUME = {
    "trials": ["--trials", "9"],
    "data": ["--data", "cifar10"],
    "data_root": ["--data-root", "elsewhere", "--data", "cifar10"],
    "download": ["--download", "--data", "cifar10"],
    "concurrent": ["--concurrent", "2"],
    "cpus_per_trial": ["--cpus-per-trial", "2"],
    "gpus_per_trial": ["--gpus-per-trial", "0.5"],
    "workers": ["--workers", "3", "--data", "imagefolder:x"],
    "address": ["--address", "auto"],
    "retries": ["--retries", "5"],
    "trial_timeout": ["--trial-timeout", "9m"],
    "autoscaling": ["--autoscaling"],
    "storage": ["--storage", "kept"],
    "dashboard": ["--dashboard"],
    "as_json": ["--json"],
    "log": ["--log", "mlflow"],
    "on_end": ["--on-end", "tee"],
    "folder": ["--out", "x"],
}


def seen_by_resume(arguments, monkeypatch):
    seen = []
    monkeypatch.setattr(search_commands, "resume_search", lambda *given: seen.append(given[:2] + given[3:]))
    monkeypatch.setattr(
        search_commands, "report_search", lambda work, run, *shown: seen.append((work(), *shown))
    )
    search_commands.resume.main(arguments, standalone_mode=False)
    return str(seen)


def test_resume(place, monkeypatch, capsys):
    assert {str(p.name) for p in search_commands.resume.params} == {*RESUME, "run"}, "an option is new"
    with monkeypatch.context() as spied:
        plain = seen_by_resume(["run"], spied)
        for name in RESUME.keys() - {"folder"}:
            assert seen_by_resume(["run", *RESUME[name]], spied) != plain, f"{name} does nothing"
    refused(["resume", "run", *RESUME["folder"]], "out 'x'", monkeypatch, capsys, place)
    refused(["resume", "run", "--trials", "2"], "trials 2: 3 have ended", monkeypatch, capsys, place)
    refused(
        ["resume", "run", "--download"],
        "--download: only with --data fashion-mnist",
        monkeypatch,
        capsys,
        place,
    )
    refused(
        ["resume", "run", "--workers", "3"], "--workers: only with --data KIND", monkeypatch, capsys, place
    )
    files = make_settings(data="imagefolder:x", data_digest="0" * 16, cache="on")
    Run.create(place / "kept", files)
    refused(["resume", "kept", "--workers", "3"], "--workers: not with images", monkeypatch, capsys, place)
    (place / "scores.py").write_text("def score(spec):\n    return 0.5\n")
    own = make_settings(evaluator="function", **FunctionSettings.named("scores:score"))
    Run.create(place / "own", own)
    refused(["resume", "own", "--workers", "3"], "leave --workers 3 out", monkeypatch, capsys, place)
    Run.create(place / "bench", make_settings(space="accel-nasbench", evaluator="benchmark", targets={}))
    for name in RESUME.keys() - {"folder", "trials", "storage", "as_json", "on_end", "log"}:
        refused(["resume", "bench", *RESUME[name]], RESUME[name][0], monkeypatch, capsys, place)


def test_paths_hold_from_another_folder(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    settings = make_settings(data="imagefolder:../pics", data_root="d", latency_table="t")
    benchmark = make_settings(evaluator="benchmark", benchmark_data="~/x", targets={})
    monkeypatch.chdir(tmp_path)
    assert settings.training.data == f"imagefolder:{tmp_path}/a/../pics"
    assert settings.training.data_root == f"{tmp_path}/a/d"
    assert settings.latency_table == f"{tmp_path}/a/t"
    assert "~" not in benchmark.evaluator.records
    assert TrainSettings(data="huggingface:owner/name").data == "huggingface:owner/name"
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert TrainSettings(data="huggingface:owner/name").data == f"huggingface:{tmp_path}/owner/name"
    again = SearchSettings.from_document(settings.to_document(), "x")
    assert again == settings
