"""Costs of a user's own: targeted by name, told to the controller, kept and compared by a resumed run."""

import sys
from pathlib import Path

import numpy as np
import pytest

import nas
from nas.network.cost import cost
from nas.runs.flat import make_settings
from nas.runs.own_names import forget_handed
from search_spaces.document import read_document
from search_spaces.errors import InputError
from tests.command import nas as command

MODULE = """
def weights(spec):
    return 2.0 * sum(stage.channels * stage.repeats for stage in spec.stages)


def slow(spec):
    slow.asked += 1
    return weights(spec)


def zero(spec):
    return 0


def breaks(spec):
    return 1 / 0


slow.exact, slow.asked = False, 0
"""


def weights(spec):
    return 2.0 * sum(stage.channels * stage.repeats for stage in spec.stages)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The module `my_costs` stands in the current folder."""
    (tmp_path / "my_costs.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_costs", None)


SEARCH = ["search", "--evaluator", "benchmark", "--trials", "6", "--seed", "1", "--out", "run"]


def test_a_target_on_an_own_cost_by_the_command(here):
    done = command(*SEARCH, "--target", "my_costs:weights=2000", "--target", "params=5M")
    assert done.returncode == 0, done.stderr
    run = nas.open("run")
    assert run.settings.reward.targets == {"weights": 2000, "params": 5e6}
    assert read_document(here / "run" / "search.yaml")["own_costs"] == {
        "weights": {"function": "my_costs:weights", "module_folder": str(here)}
    }
    for record in run.records:
        assert record.costs["weights"] == weights(run._run.spec(record))
        expected = record.accuracy
        for name, target in run.settings.reward.targets.items():
            expected *= (record.costs[name] / target) ** -0.07
        assert record.reward == pytest.approx(expected)
    assert "weights" in Path("run/pareto.csv").read_text().splitlines()[0]
    assert "weights" in command("show", "run").stdout
    assert command("report", "run").returncode == 0
    assert "weights" in Path("run/report.html").read_text()


def test_plain_targets_of_an_own_cost_and_networks_as_targets(here):
    done = command(*SEARCH, "--cost", "my_costs:weights", "--target", "efficientnet-b0")
    assert done.returncode == 0, done.stderr
    b0 = nas.open("run").settings.reward.targets["weights"]
    from search_spaces.reference import reference

    assert b0 == weights(reference("efficientnet-b0"))


def test_the_controller_is_told_the_exact_reward(here):
    settings = make_settings(
        evaluator="benchmark", space="accel-nasbench", targets={"my_costs:weights": 2000}
    )
    controller = settings.make_controller()
    space = settings.make_space()
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(20)]
    slope, offset = controller.objective(np.array(drawn))
    expected = [(weights(space.decode(architecture)) / 2000) ** -0.07 for architecture in drawn]
    assert np.allclose(slope, expected, rtol=1e-12)
    assert not offset.any()


def test_what_is_not_exact_is_asked_for_proposed_networks_alone_and_once(here):
    done = command(*SEARCH, "--target", "my_costs:slow=2000")
    assert done.returncode == 0, done.stderr
    settings = nas.open("run").settings
    assert settings.make_controller().objective is None
    records = nas.open("run").records
    networks = len({record.digest for record in records})
    looked_at = 32  # before the search (`check_reach`), once for the settings' check and once for the run's
    assert sys.modules["my_costs"].slow.asked <= 2 * looked_at + networks
    before = sys.modules["my_costs"].slow.asked
    assert command("resume", "run", "--trials", "7").returncode == 0
    assert sys.modules["my_costs"].slow.asked - before <= looked_at + 2


def test_a_stopped_search_ends_as_one_that_was_not(here):
    arguments = ["--target", "my_costs:weights=2000"]
    assert command(*SEARCH, *arguments).returncode == 0
    assert command("resume", "run", "--trials", "15").returncode == 0
    whole = ["search", "--evaluator", "benchmark", "--trials", "15", "--seed", "1", "--out", "whole"]
    assert command(*whole, *arguments).returncode == 0
    assert command(*whole, *arguments, "--or-resume").returncode == 0
    rows = [[(r.architecture, r.reward) for r in nas.open(name).records] for name in ("run", "whole")]
    assert rows[0] == rows[1]


def test_a_cost_that_has_changed_is_refused(here):
    assert command(*SEARCH, "--target", "my_costs:weights=2000").returncode == 0
    before = Path("run/trials.jsonl").read_bytes()
    # of another length, so that what was compiled is known to be stale
    Path("my_costs.py").write_text(MODULE.replace("2.0 *", "2.75 *"))
    sys.modules.pop("my_costs")
    done = command("resume", "run", "--trials", "8")
    assert done.returncode == 2
    assert "cost 'weights' of trial 0 was" in done.stderr
    assert "would not compare" in done.stderr
    assert Path("run/trials.jsonl").read_bytes() == before
    # what is kept is shown all the same, without the function
    Path("my_costs.py").unlink()
    sys.modules.pop("my_costs", None)
    assert command("show", "run").returncode == 0
    assert "cannot import my_costs" in command("resume", "run").stderr


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("my_costs:nothere=3", "unknown function 'nothere'"),
        ("nothere_costs:f=3", "cost 'nothere_costs:f': cannot import nothere_costs"),
        ("my_costs:zero=3", "cost 'zero': my_costs:zero gives 0 for"),
        ("my_costs:breaks=3", "cost 'breaks': my_costs:breaks: ZeroDivisionError: division by zero"),
        ("my_costs:weights=much", "target 'much' for weights: not a number"),
        ("weights=3", "unknown cost 'weights': expected one of macs"),
        ("my_costs:=3", "expected module:function"),
    ],
)
def test_what_is_wrong_is_one_line_before_a_folder_is_made(here, target, line):
    done = command(*SEARCH, "--target", target)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert line in done.stderr
    assert not Path("run").exists()


def test_names_that_are_taken(here):
    Path("my_costs.py").write_text(MODULE + "\n\nmacs = accuracy = weights\n")
    for name in ("macs", "accuracy"):
        done = command(*SEARCH, "--target", f"my_costs:{name}=3")
        assert f"cost '{name}': that is the name of another figure" in done.stderr
    two = ["--target", "my_costs:weights=3", "--target", "other_costs:weights=4"]
    assert "have one name" in command(*SEARCH, *two).stderr


def test_from_python_it_is_a_function(here):
    run = nas.search(evaluate="benchmark", costs={"macs": "400M", weights: 2000}, trials=4, out="run")
    assert run.settings.reward.targets == {"macs": 400e6, "weights": 2000}
    assert all(record.costs["weights"] == weights(run._run.spec(record)) for record in run.records)
    with pytest.raises(InputError, match="expected a function's name"):
        nas.search(evaluate="benchmark", costs={lambda spec: 3: 4}, trials=2, out="other")


def test_a_cost_of_a_notebook_is_handed_again(here):
    def size(spec):
        return weights(spec)

    size.__module__, size.__qualname__ = "__main__", "size"
    run = nas.search(evaluate="benchmark", costs={size: 2000}, trials=3, out="run")
    forget_handed()  # as in another process
    run = nas.open("run")
    with pytest.raises(InputError):
        run.resume(trials=4)
    with pytest.raises(InputError, match="unknown cost of the run"):
        run.resume(trials=4, costs=[weights])
    assert len(run.resume(trials=4, costs=[size]).records) == 4
    assert cost(run.spec).macs == run.best.costs["macs"]
