"""A search from coarse to fine: one run, resumed in either stage; what it keeps, shows, and refuses."""

import json
import re
import shlex
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import nas as package
from nas.runs.coarse_settings import SHARE, VARIED, CoarseSettings, as_coarse
from nas.runs.flat import make_settings, read_settings
from nas.runs.folder import SETTINGS, Run
from nas.runs.placement import Placement
from nas.search.journal import TRIALS
from nas.search.snapshot import SNAPSHOT
from nas.session import resume_search, start_search
from search_spaces import InputError
from search_spaces.document import read_document
from tests.command import good, nas

GIVEN = "12,op,repeats,se_ratio"
BENCHMARK = ["search", "--evaluator", "benchmark"]


def search(folder, **settings):
    given = {"targets": {"benchmark_macs": "400M"}, "coarse": GIVEN, **settings}
    made = make_settings(space="accel-nasbench", evaluator="benchmark", **given)
    return start_search(made, folder, Placement(), Console(quiet=True)).folder


def chosen(folder):
    return [json.loads(line)["architecture"] for line in (folder / TRIALS).read_text().splitlines()]


def kernels(architecture):
    return len(set(architecture[1::4]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search that was never stopped: twelve coarse trials, eight fine ones."""
    return search(tmp_path_factory.mktemp("whole") / "run", trials=20)


def test_both_stages_are_in_one_journal(whole):
    rows = chosen(whole)
    assert [kernels(row) for row in rows[:12]] == [1] * 12
    assert max(map(kernels, rows[12:])) == 2
    assert len(set(map(tuple, rows))) == 20


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("stop", [7, 16])
def test_resumed_in_either_stage_it_is_the_same_search(whole, stop, kept, tmp_path):
    begun = Path(shutil.copytree(whole, tmp_path / "run"))
    for name in (TRIALS, "proposals.jsonl"):
        lines = (begun / name).read_text().splitlines(keepends=True)
        (begun / name).write_text("".join(lines[:stop]))
    if not kept:
        (begun / SNAPSHOT).unlink()
    said = Console(file=StringIO())
    resume_search(begun, Placement(), said)
    assert chosen(begun) == chosen(whole)
    assert f"{stop} trials are in the journal already" in said.file.getvalue()
    assert "would have proposed" not in said.file.getvalue()


def test_more_trials_leave_the_coarse_stage_as_long_as_it_began(tmp_path):
    folder = search(tmp_path / "run", trials=10, coarse=0.5)
    assert Run.open(folder).settings.coarse == CoarseSettings(0.5, VARIED, 5)
    resume_search(folder, Placement(), Console(quiet=True), trials=14)
    settings = Run.open(folder).settings
    assert (settings.trials, settings.coarse.trials) == (14, 5)
    assert read_settings(read_document(folder / SETTINGS), "x") == settings


def test_what_each_stage_found_is_shown(whole):
    shown = " ".join(good("show", whole).split())
    stages = json.loads(good("show", whole, "--json"))["coarse"]
    rewards = [json.loads(line)["reward"] for line in (whole / TRIALS).read_text().splitlines()]
    assert (stages["trials"], stages["ended"]) == (12, 12)
    assert stages["varied"] == ["op", "se_ratio", "repeats"]
    assert stages["best"]["reward"] == max(rewards[:12])
    assert stages["fine_best"]["reward"] == max(rewards[12:])
    assert stages["tied"]["kernel"] in (3, 5)
    line = (
        f"Coarse stage: 12 of 12 trials ended, op, se_ratio, repeats varied; best trial "
        f"{stages['best']['trial']}, reward {max(rewards[:12]):.4f} (kernel {stages['tied']['kernel']} in all "
        f"stages). Fine stage: best trial {stages['fine_best']['trial']}, reward {max(rewards[12:]):.4f}"
    )
    assert line in shown
    good("report", whole)
    assert line in (whole / "report.html").read_text()


def test_the_report_says_how_to_find_it_again(whole, tmp_path):
    good("report", whole)
    (command,) = re.findall("nas search --config [^<]*", (whole / "report.html").read_text())
    good(*shlex.split(command)[1:], cwd=tmp_path)
    assert chosen(tmp_path / "runs/again") == chosen(whole)


def test_the_command_takes_it_and_goes_on(tmp_path):
    words = [*BENCHMARK, "--trials", "4", "--out", tmp_path / "run", "--coarse"]
    said = " ".join(nas(*words, "0.5,op,repeats").stderr.split())
    assert (
        "coarse to fine: the first 2 trials differ in op, repeats of each stage, one kernel and one se_ratio "
        "for all" in said
    )
    more = ["--or-resume", "--trials", "5"]
    assert nas(*words, "0.5,op,repeats", *more).returncode == 0
    assert len(chosen(tmp_path / "run")) == 5
    for other in (["0.4,op,repeats"], ["0.5,op"]):
        assert nas(*words, *other, *more).returncode == 2
    without = nas(*words[:-1], *more)  # an option that is left out makes another search too
    assert without.returncode == 2
    assert "the run in" in without.stderr


def test_an_edited_stage_is_said(tmp_path):
    folder = search(tmp_path / "run", trials=2, coarse="1,op,repeats,se_ratio")
    path = folder / SETTINGS
    path.write_text(path.read_text().replace("op,repeats,se_ratio", "op,repeats"))
    assert "coarse.varied was 'op,repeats,se_ratio', is 'op,repeats'" in " ".join(
        nas("resume", folder, "--trials", "3").stderr.split()
    )


def test_a_search_of_one_stage_keeps_nothing_of_it(tmp_path):
    folder = search(tmp_path / "run", trials=2, coarse=None)
    assert "coarse" not in read_document(folder / SETTINGS)
    assert json.loads(good("show", folder, "--json"))["coarse"] is None


def test_from_python(tmp_path):
    run = package.search(evaluate="benchmark", trials=4, out=tmp_path / "run", coarse=0.5)
    assert Run.open(run.folder).settings.coarse.trials == 2


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        (0.3, CoarseSettings(0.3)),
        (20, CoarseSettings(20)),
        ("0.3, op, channels", CoarseSettings(0.3, "op,channels")),
        ("op,channels", CoarseSettings(SHARE, "op,channels")),
        (None, None),
    ],
)
def test_what_may_be_given(given, settings):
    assert as_coarse(given) == settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["0.01"], "coarse 0.01: 0 of 24 trials, which leaves none to it"),
        (["24"], "coarse 24: 24 of 24 trials, which leaves none to the fine stage"),
        (["1.5"], "coarse 1.5: expected a share between 0 and 1, or a number of trials"),
        (["nan"], "coarse 'nan': expected a share"),
        (["op,op"], "'op' is given twice"),
        (["op,width"], "unknown field of a stage 'width'"),
        (["op,skip"], "coarse 'skip': space 'accel-nasbench' decides only op, kernel, se_ratio, repeats"),
        (["op,repeats,kernel,se_ratio"], "which leaves nothing to a fine stage"),
        (["0.5", "--controller", "evolution"], "coarse: controller 'evolution' has one stage only"),
    ],
)
def test_what_leaves_a_stage_nothing_is_refused_and_nothing_is_made(given, said, tmp_path):
    done = nas(*BENCHMARK, "--out", tmp_path / "run", "--coarse", *given)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_list_of_networks_has_no_stages():
    listed = make_settings().over("two", {"a": good_spec("a"), "b": good_spec("b")})
    with pytest.raises(InputError, match="coarse: acts on spaces of decisions"):
        CoarseSettings(0.5).space(listed.make_space())


def good_spec(name):
    from search_spaces import reference

    return reference({"a": "mobilenet-v2", "b": "efficientnet-b0"}[name])
