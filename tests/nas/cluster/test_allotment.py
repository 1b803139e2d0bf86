"""How many processes decode for a trial, and that Ray is asked for what they take."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from nas import session
from nas.cluster import nodes
from nas.cluster.allotment import allot, with_decoding
from nas.cluster.nodes import Resources, check_room, room
from nas.cluster.runner import on_ray
from nas.cluster.tune import _places
from nas.runs.flat import make_settings
from nas.runs.placement import Placement
from search_spaces import InputError


@pytest.fixture
def machines(monkeypatch):
    """Makes a cluster of (CPUs, GPUs)."""

    def make(*have):
        there = [{"Alive": True, "Resources": {"CPU": cpus, "GPU": cards}} for cpus, cards in have]
        monkeypatch.setattr(nodes.ray, "nodes", lambda: there)
        monkeypatch.setattr(nodes.ray, "cluster_resources", lambda: {"CPU": sum(c for c, _ in have)})

    return make


@pytest.mark.parametrize(
    ("have", "resources", "expected"),
    [
        ([(16, 1)], Resources(gpus=0.5), (7, 7)),  # two trials on the GPU, 16 CPUs for both
        ([(16, 1)], Resources(gpus=1, cpus=4), (8, 8)),  # as many as are of use
        ([(16, 0)], Resources(), (1, 0)),  # a trial on each CPU: none is free
        ([(16, 0)], Resources(cpus=4), (3, 0)),
        ([(16, 0)], Resources(3, cpus=2), (3, 3)),
        ([(16, 1), (4, 1)], Resources(gpus=0.5), (1, 1)),  # as the smaller node has them
        ([(16, 0), (2, 0)], Resources(4), (3, 3)),  # all of them on the larger one
        ([(2, 0)], Resources(5), (1, 0)),  # `check_room` says that so many don't fit
        ([(16, 0)], Resources(3, autoscaling=True), (1, 0)),  # on nodes that aren't there yet
    ],
)
def test_they_take_the_cpus_that_trials_leave_free(machines, have, resources, expected):
    machines(*have)
    workers, found, said = with_decoding(resources, None)
    assert (workers, found.decoding) == expected
    assert room(found) >= min(room(resources), resources.concurrent or room(resources))
    assert said.startswith(f"decoding: {workers} process")
    assert ("free" in said) is bool(found.decoding)
    assert _places(found, {}).bundles[0]["CPU"] == resources.cpus + expected[1]


def test_those_asked_for_are_asked_of_ray(machines):
    machines((4, 0))
    workers, found, said = with_decoding(Resources(), 3)
    assert (workers, found.all_cpus, check_room(found)) == (3, 4, 1)
    assert said == "decoding: 3 processes for each trial (--workers)"
    with pytest.raises(InputError, match=r"2 trials of 4 CPU need 8 CPU, .* or --workers \(0: decoded"):
        check_room(with_decoding(Resources(2), 3)[1])
    none, found, said = with_decoding(Resources(), 0)
    assert (none, found.all_cpus) == (0, 1)
    assert "no process of its own" in said


def test_an_evaluator_that_decodes_nothing_has_none(machines):
    machines((16, 0))
    evaluator = SimpleNamespace(decodes=False, gpu_memory=lambda space: 0)
    found = allot(Placement(workers=5, concurrent=2), evaluator, None)
    assert (found.workers, found.resources.all_cpus, found.remarks) == (0, 1, [])
    evaluator.decodes = True
    found = allot(Placement(workers=5, concurrent=2, gpus=0), evaluator, None)
    assert (found.workers, found.resources.all_cpus, len(found.remarks)) == (5, 6, 1)


def test_a_search_gives_them_to_its_trials_and_says_so(machines, monkeypatch, tmp_path):
    machines((4, 0))
    shared, console = [], Console(file=io.StringIO(), width=200)
    monkeypatch.setattr(
        "nas.cluster.tune.share", lambda whole: shared.append(whole) or SimpleNamespace(light=0)
    )
    evaluator = SimpleNamespace(decodes=True, workers=1, gpu_memory=lambda space: 0)
    joined = SimpleNamespace(wait=lambda: None)
    for placement, expected in ((Placement(workers=2), 2), (Placement(2), 1), (Placement(1), 3)):
        on_ray(evaluator, None, joined, "none", tmp_path, placement, console)
        assert shared[-1].workers == expected
        assert f"decoding: {expected} process" in console.file.getvalue().splitlines()[-1]


def test_where_nothing_is_decoded_it_is_said(tmp_path):
    console = Console(file=io.StringIO(), width=200)
    settings = make_settings(space="accel-nasbench", evaluator="benchmark", targets={}, trials=2)
    session.start_search(settings, tmp_path / "run", Placement(workers=3), console)
    assert console.file.getvalue().count("workers 3: no trial decodes files here") == 1
