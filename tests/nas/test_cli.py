"""The commands as a user types them: their output, and one clear line for bad input."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from nas.runs.folder import Run
from nas.runs.measured import read_measured
from nas.runs.settings import SearchSettings
from nas.search.in_process import run_in_process
from nas.search.journal import Journal, read_records
from search_spaces import read_spec, reference
from tests.command import good, nas, refused
from tests.nas.search.fakes import Fake
from tests.small_space import SHALLOW


@pytest.fixture
def run(tmp_path):
    """A finished run folder."""
    run = Run.create(tmp_path / "run", SearchSettings(trials=8))
    with Journal(run.folder) as journal:
        run_in_process(run.loop(journal, 8, ()), Fake())
        run.write_results(run.results(journal.records))
    return run


def test_help_has_an_example_for_every_command():
    listing = good("--help")
    for command in (
        "search",
        "resume",
        "show",
        "cost",
        "scale",
        "train",
        "export",
        "space",
        "tensorboard",
        "compare",
        "plan",
        "rediscover",
        "data",
    ):
        assert command in listing
        assert "Example: nas" in good(command, "--help")


def test_a_search_on_files_decodes_them_once_and_goes_on_so(trainings, tmp_path):
    rng = np.random.default_rng(0)
    for index in range(72):
        place = tmp_path / "pictures" / ("train" if index < 60 else "val") / "ab"[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(120 * (index % 2), 120 * (index % 2) + 100, (24, 20, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{index}.png")
    out, data = tmp_path / "run", f"imagefolder:{tmp_path / 'pictures'}"
    given = ["--resolution", "16", "--width", "0.1", "--subset", "1", "--epochs", "1", "--set", "batch=10"]
    given += ["--folds", "1"]
    begun = ["search", "--data", data, *given, "--trials", "1", "--controller", "random", "--out", out]
    first = nas(*begun)
    assert first.returncode == 0, first.stderr
    assert f"decoding 50 + 10 images of {data} to 18 px, once: 58 kB" in first.stderr
    assert Run.open(out).settings.training.cache == "on"
    assert read_records(out)[0].measurements[-1]["held_out_images"] == 10

    more = nas(*begun, "--or-resume", "--trials", "2")
    assert more.returncode == 0, more.stderr
    other = nas(*begun, "--or-resume", "--cache", "off")
    assert (other.returncode, "cache 'off': the run in" in other.stderr) == (2, True)
    old = (out / "search.yaml").read_text()  # as of before there was a choice
    (out / "search.yaml").write_text("".join(x for x in old.splitlines(True) if "cache:" not in x))
    (out / "basis.yaml").unlink()
    again = nas("resume", out, "--trials", "3")
    assert again.returncode == 0, again.stderr
    assert "are decoded again in every epoch of a trial" in again.stderr
    assert len(read_records(out)) == 3


def test_cost_of_b0():
    document = json.loads(good("cost", "efficientnet-b0", "--json"))
    assert document["macs"] == 385_814_752
    assert document["params"] == 5_288_548
    assert sum(stage["macs"] for stage in document["stages"]) == document["macs"]
    checked = json.loads(good("cost", "mobilenet-v2", "--check", "--json"))
    assert checked["fvcore"] == {"macs": checked["macs"], "params": checked["params"]}
    assert "equal" in good("cost", "mobilenet-v2", "--check")


@pytest.mark.parametrize(
    "name", ["efficientnet-b7", "mnasnet-a1", "mobilenet-v1", "mobilenet-v2", "resnet50"]
)
def test_show_fits_80_columns(name):
    text = good("show", name)
    assert "stage0" in text
    assert max(map(len, text.splitlines())) <= 80


def test_scale_and_export(tmp_path):
    family = json.loads(good("scale", "efficientnet-b0", "--phi", "0..3", "--json", "--out", tmp_path / "f"))
    macs = [member["cost"]["macs"] for member in family["members"]]
    assert macs == sorted(macs)
    assert len(family["written"]) == 4
    assert read_spec(family["written"][0]).digest == reference("efficientnet-b0").digest
    good("scale", "efficientnet-b0", "--phi", "1.5", "--out", tmp_path / "one.yaml")
    good("export", tmp_path / "one.yaml", "--to", "json", "--out", tmp_path / "one.json")
    assert read_spec(tmp_path / "one.json") == read_spec(tmp_path / "one.yaml")
    (tmp_path / "printed.yaml").write_text(good("export", "resnet50", "--to", "yaml"))
    assert read_spec(tmp_path / "printed.yaml") == reference("resnet50")


def test_scale_to_a_budget_and_the_published_steps(tmp_path):
    document = json.loads(good("scale", "efficientnet-b0", "--budget", "1.8G", "--json"))
    (member,) = document["members"]
    assert 1.7e9 < member["cost"]["macs"] <= 1.8e9
    again = json.loads(good("scale", "efficientnet-b0", "--phi", member["phi"], "--json"))
    assert again["members"][0]["spec"] == member["spec"]
    flags = ["--published", "--plot", tmp_path / "f.png", "--out", tmp_path / "f"]
    text = good("scale", "efficientnet-b0", *flags)
    assert "efficientnet-b7" in text
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert read_spec(tmp_path / "f" / "efficientnet-b3.yaml").resolution == 300


TRAINING = ["--data", "digits", "--epochs", "1", "--subset", "0.4", "--width", "0.1", "--resolution", "8"]


@pytest.mark.timeout(280)
def test_coefficients_by_training(trainings, tmp_path):
    flags = ["--search", "--grid-step", "0.5", "--tolerance", "0.2", *TRAINING, "--json"]
    document = json.loads(good("scale", "efficientnet-b0", *flags, "--out", tmp_path / "grid"))
    products = [p["alpha"] * p["beta"] ** 2 * p["gamma"] ** 2 for p in document["grid"]]
    assert all(1.6 <= product <= 2.4 for product in products)
    assert document["best"]["accuracy"] == max(p["accuracy"] for p in document["grid"])
    text = good("resume", tmp_path / "grid")  # nothing left to do, and nothing done twice
    assert f"{len(products)} of {len(products)} trials ended" in text


@pytest.mark.timeout(280)
def test_a_small_study(trainings, tmp_path):
    flags = ["--study", "--budgets", "2", *TRAINING, "--json", "--out", tmp_path / "study"]
    document = json.loads(good("scale", "mobilenet-v2", *flags))
    modes = [point["mode"] for point in document["points"]]
    assert modes == ["baseline", "width", "depth", "resolution", "compound"]
    base, *scaled = [point["macs"] for point in document["points"]]
    assert all(1.8 * base <= macs <= 2.25 * base for macs in scaled)
    assert (tmp_path / "study" / "study.png").read_bytes().startswith(b"\x89PNG")
    assert len(list((tmp_path / "study" / "study").glob("*/events.out.tfevents.*"))) == 4
    # a study that was killed before its end is drawn by the resume that ends it
    (tmp_path / "study" / "study.png").unlink()
    assert "scaled in" in good("resume", tmp_path / "study")
    assert (tmp_path / "study" / "study.png").exists()


def test_show_run(run):
    text = good("show", run.folder)
    assert "8 of 8 trials ended" in text
    assert "Pareto front" in text
    document = json.loads(good("show", run.folder, "--json"))
    assert document["trials"] == 8
    assert document["best"]["digest"] == read_spec(run.folder / "best.yaml").digest
    header, *rows = (run.folder / "pareto.csv").read_text().splitlines()
    assert header == "trial,accuracy,macs,params,reward,network"
    assert len(rows) == len(document["pareto"])


def test_the_winner_loads_back(run, tmp_path):
    best = run.folder / "best.yaml"
    assert "stage6" in good("show", best)
    good("cost", best, "--check")
    small = ["--epochs", "1", "--width", "0.1", "--subset", "0.2"]
    out = good("train", best, *small, "--json", "--out", tmp_path / "w.pt")
    assert len(json.loads(out)["epochs"]) == 1
    assert (tmp_path / "w.pt").stat().st_size > 5e4


def test_space(tmp_path):
    assert "104,485,552,128" in good("space")
    good("space", "accel-nasbench", "--out", tmp_path / "mine.yaml")
    assert json.loads(good("space", tmp_path / "mine.yaml", "--json"))["space"] == "accel-nasbench"


BAD = {
    "command": (["serach"], "did you mean 'search'"),
    "option": (["search", "--trails", "3"], "--trials"),
    "number": (["search", "--trials", "many"], "not a valid integer"),
    "trials": (["search", "--trials", "0"], "trials 0"),
    "space": (["search", "--space", "mnasnett"], "did you mean 'mnasnet'"),
    "controller": (["search", "--controller", "evolutoin"], "did you mean 'evolution'"),
    "controller option": (
        ["search", "--controller", "evolution", "-o", "populaton=3"],
        "did you mean 'population'",
    ),
    "pair": (["search", "-o", "population"], "key=value"),
    "evaluator": (["search", "--evaluator", "trian"], "did you mean 'train'"),
    "data": (["search", "--data", "digts"], "did you mean 'digits'"),
    "recipe": (["search", "--recipe", "efficentnet"], "did you mean 'efficientnet'"),
    "epochs": (["search", "--epochs", "0"], "epochs 0"),
    "scheduler": (["search", "--scheduler", "ash"], "did you mean 'asha'"),
    "target 0": (["search", "--target", "0"], "positive"),
    "target -1": (["search", "--target", "-1M"], "positive"),
    "target word": (["search", "--target", "efficientnet-b9"], "did you mean 'efficientnet-b"),
    "target cost": (["search", "--target", "parms=5M"], "did you mean 'params'"),
    "reward": (["search", "--reward", "sotf"], "did you mean 'soft'"),
    "exponent": (["search", "--exponent", "1"], "exponent 1"),
    "exponent's word": (["search", "--exponent", "steep"], "expected a number from -100 to 0, or 'auto'"),
    "exponent auto": (["search", "--exponent", "auto", "--reward", "hard"], "the hard reward has none"),
    "seed": (["search", "--seed", "-1"], "seed -1"),
    "concurrent": (["search", "--concurrent", "500"], "room for"),
    "gpus": (["search", "--gpus-per-trial", "9"], "9 GPU"),
    "address": (["search", "--address", "127.0.0.1:1"], "is connected to"),
    "no run": (["resume", "nowhere"], "no run there"),
    "empty data folder": (["search", "--data", "imagefolder:."], "no folder"),
    "no spec": (["show", "nowhere.yaml"], "No such file"),
    "network": (["cost", "efficientnet-b"], "did you mean"),
    "resolution": (["cost", "resnet50", "--resolution", "0"], "resolution 0"),
    "phi": (["scale", "efficientnet-b0", "--phi", "-1"], "phi -1"),
    "phi word": (["scale", "efficientnet-b0", "--phi", "big"], "phi 'big'"),
    "no way to scale": (["scale", "efficientnet-b0"], "expected one of --phi"),
    "two ways to scale": (["scale", "efficientnet-b0", "--phi", "1", "--study"], "given: --phi, --study"),
    "budget": (["scale", "efficientnet-b0", "--budget", "300M"], "below the baseline"),
    "budget word": (["scale", "efficientnet-b0", "--budget", "lots"], "budget 'lots'"),
    "max-memory": (["scale", "efficientnet-b0", "--max-memory", "-1"], "positive"),
    "study budgets": (["scale", "efficientnet-b0", "--study", "--budgets", "0.5,2"], "above 1"),
    "grid": (["scale", "efficientnet-b0", "--search", "--tolerance", "0"], "tolerance 0"),
    "alpha": (["scale", "efficientnet-b0", "--phi", "1", "--alpha", "0.5"], "alpha 0.5"),
    "format": (["export", "efficientnet-b0", "--to", "yml"], "did you mean 'yaml'"),
    "out": (["export", "efficientnet-b0", "--to", "yaml", "--out", "no/such/x.yaml"], "cannot write"),
    "folder": (["tensorboard", "nowhere"], "no such folder"),
    "time limit": (["search", "--trial-timeout", "soon"], "expected a time such as"),
    "autoscaling": (["search", "--autoscaling"], "give --concurrent"),
    "ray client": (["search", "--address", "ray://127.0.0.1:10001"], "nas launch --to job"),
    "storage": (["search", "--evaluator", "benchmark", "--storage", "nosuch://x", "--out", "x"], "nosuch"),
    "or-resume": (["search", "--or-resume"], "give --out"),
    "resume out": (["resume", "nowhere", "--out", "x"], "'nowhere' is none"),
    "storage run": (["resume", "memory://nowhere/first"], "no run there"),
    "status": (["status", "nowhere"], "no run there"),
    "status both": (["status", "nowhere", "--address", "auto"], "only without RUN"),
    "logs": (["logs", "3", "nowhere"], "no run there"),
    "report": (["report", "nowhere"], "no run there"),
    "diagram": (["show", "resnet50", "--diagram", "x.jpg"], "ends in .svg or .png"),
    "diagram of two": (["show", "resnet50", "resnet50", "--diagram", "x.svg"], "of one network"),
}


ON_RAY = ("concurrent", "gpus", "address")


@pytest.mark.parametrize("name", ON_RAY)
def test_bad_input_that_gets_as_far_as_ray(name, cluster, tmp_path, monkeypatch, capsys):
    arguments, message = BAD[name]
    refused(arguments, message, monkeypatch, capsys, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_process_of_its_own_does_the_same(tmp_path):
    command = [sys.executable, "-m", "nas", "search", "--address", "127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=200)
    lines = [line for line in done.stderr.splitlines() if line != "starting Ray ..."]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("nas: error: address '127.0.0.1:1': no Ray cluster")
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in BAD if name not in ON_RAY])
def test_bad_input_is_one_line_and_exit_code_2(name, tmp_path, monkeypatch, capsys):
    arguments, message = BAD[name]
    refused(arguments, message, monkeypatch, capsys, tmp_path)
    assert list(tmp_path.iterdir()) == []  # nothing left behind


def test_status_and_logs_of_a_run(run):
    document = json.loads(good("status", run.folder, "--json"))
    assert document["driven"] is False
    assert sum(document["ended"].values()) == len(read_records(run.folder))
    assert document["now"] is None
    assert "not running here" in good("status", run.folder)
    (run.folder / "logs").mkdir(exist_ok=True)
    (run.folder / "logs" / "trial_000001.log").write_text("attempt 1 on host:12 [GPU 0]\n")
    text = good("logs", "1", run.folder)
    assert text.startswith("attempt 1 on host:12 [GPU 0]\n")
    assert "finished, reward" in text
    missing = nas("logs", "999", run.folder)
    assert (missing.returncode, "no log of it" in missing.stderr) == (2, True)


def test_or_resume_goes_on_with_a_run_that_is_there(tmp_path):
    """The same command twice: a search, then the same search with more trials asked of it."""
    command = ["search", "--evaluator", "benchmark", "--controller", "random", "--trials", "5"]
    command += ["--out", tmp_path / "x", "--or-resume", "--storage", tmp_path / "kept", "--json"]
    first = json.loads(good(*command))
    assert json.loads(good(*command))["best"] == first["best"]
    again = nas(*(word for word in command if word != "--or-resume"), "--out", tmp_path / "y" / "x")
    assert (again.returncode, "there is a run already" in again.stderr) == (2, True)
    assert not (tmp_path / "y").exists()
    copied = nas("resume", tmp_path / "x", "--out", tmp_path / "z")  # a run folder is no copy
    assert (copied.returncode, "copy in a storage" in copied.stderr) == (2, True)
    fetched = json.loads(good("resume", tmp_path / "kept" / "x", "--out", tmp_path / "z", "--json"))
    assert fetched["best"] == first["best"]
    shutil.rmtree(tmp_path / "x")  # the machine is lost; the command is repeated on another
    assert json.loads(good(*command))["best"] == first["best"]
    assert len(read_records(tmp_path / "x")) == 5


@pytest.mark.timeout(280)
def test_the_exponent_is_measured_by_the_searchs_own_trainings(trainings, tmp_path):
    (tmp_path / "space.yaml").write_text(SHALLOW)
    command = ["search", "--space", tmp_path / "space.yaml", "--target", "0.4M", "--exponent", "auto"]
    command += ["--data", "digits", "--epochs", "2", "--resolution", "8", "--width", "1", "--trials", "2"]
    command += ["--stem-stride", "1", "--scheduler", "asha", "--concurrent", "2", "--out", tmp_path / "x"]
    command += ["--storage", tmp_path / "kept"]
    done = nas(*command)
    assert done.returncode == 0, done.stderr
    assert "6 networks, the middle of shallow in different widths, from 0.2" in done.stderr
    found = read_measured(tmp_path / "x")
    assert found.lines[0] in done.stderr
    assert found.trainings + found.guessing == 12
    assert Run.open(tmp_path / "x").settings.reward.exponent == found.exponent < 0
    for seed in (0, 1):
        part = tmp_path / "x" / "exponent" / f"seed-{seed}"
        records = read_records(part)
        # all to the end: the scheduler is the search's, and no network is ended early here
        assert [(r.state, len(r.measurements)) for r in records] == [("finished", 2)] * 6
        assert (tmp_path / "kept" / "x" / "exponent" / part.name / "trials.jsonl").is_dir()
        assert not list(part.glob("checkpoints/*.pt"))
    assert not (tmp_path / "x" / "ray").exists()
    done = nas("resume", tmp_path / "x", "--trials", "3")
    assert done.returncode == 0, done.stderr
    assert "measuring" not in done.stderr
    assert len(read_records(tmp_path / "x" / "exponent" / "seed-0")) == 6


def test_an_existing_run_is_not_overwritten(run):
    before = {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    done = nas("search", "--out", run.folder)
    assert done.returncode == 2
    assert f"nas resume {run.folder}" in done.stderr
    assert {path.name: path.read_bytes() for path in run.folder.iterdir() if path.is_file()} == before


def test_a_folder_of_something_else_is_not_touched(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    done = nas("search", "--out", tmp_path)
    assert done.returncode == 2
    assert "no run" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_broken_journal_and_settings(run):
    path = run.folder / "trials.jsonl"
    before = path.read_bytes()
    path.write_bytes(b"nonsense\n" + before)
    done = nas("show", run.folder)
    assert (done.returncode, "line 1 is left out" in done.stderr) == (0, True)
    assert path.read_bytes() == b"nonsense\n" + before
    (run.folder / "search.yaml").write_text("schema: 99\n")
    done = nas("show", run.folder)
    assert (done.returncode, "schema 99" in done.stderr) == (2, True)


def test_an_existing_checkpoint_is_not_overwritten(tmp_path):
    (tmp_path / "x.pt").write_text("mine")
    done = nas("train", "mobilenet-v2", "--epochs", "1", "--out", tmp_path / "x.pt")
    assert done.returncode == 2
    assert "exists already" in done.stderr


def test_settings_file_and_flags(run):
    """A run's own settings start the same search again; flags win over them."""
    from nas.commands.search import _settings, resume, search

    options = dict.fromkeys(parameter.name for parameter in search.params)
    for name in ("folder", "or_resume", "as_json", *(p.name for p in resume.params)):
        options.pop(name, None)
    options |= {"data": None, "data_root": None}
    options |= {"config": str(run.folder / "search.yaml"), "changes": ("lr=0.01",), "target": ("params=5M",)}
    options |= {"controller_option": (), "epochs": 9, "trials": 3}
    settings = _settings(options)
    assert settings.trials == 3
    assert settings.reward.targets == {"params": 5e6}
    assert settings.training.make_recipe().epochs == 9
    assert settings.training.make_recipe().lr == 0.01
    assert settings.controller == run.settings.controller
