"""What part of a GPU a trial gets where nobody says: by the memory it needs and how many are wanted."""

import subprocess

import numpy as np
import pytest

from nas.cluster import gpus, nodes
from nas.cluster.gpus import Cards, default_gpus, read_memories, torch_has_cuda, words_for
from nas.cluster.nodes import Resources, room
from nas.network.cost import cost
from nas.network.largest import largest_network
from nas.runs.train_settings import TrainSettings
from nas.training.gpu_memory import training_bytes
from search_spaces import get_space
from search_spaces.listed import ListedSpace

GIB = 1 << 30


@pytest.fixture
def machines(monkeypatch):
    """Makes a cluster of (CPUs, GPUs)."""

    def make(*have):
        there = [{"Alive": True, "Resources": {"CPU": cpus, "GPU": cards}} for cpus, cards in have]
        monkeypatch.setattr(nodes.ray, "nodes", lambda: there)
        return Cards(sum(cards for _, cards in have), 16 * GIB)

    return make


@pytest.mark.parametrize(
    ("have", "need", "concurrent", "expected"),
    [
        ([(64, 1)], 3 * GIB, 0, 1 / 5),  # by memory
        ([(4, 1)], 3 * GIB, 0, 1 / 4),  # no more than there are CPUs for: more memory for each
        ([(64, 4)], 3 * GIB, 6, 1 / 2),  # no more than are wanted
        ([(64, 4)], 3 * GIB, 4, 1),
        ([(64, 1)], GIB // 8, 0, 1 / 8),  # many take turns
        ([(64, 1)], 15 * GIB, 0, 1),
        ([(4, 1), (1, 1)], 3 * GIB, 0, 1 / 4),
        ([(64, 1)], 3 * GIB, 40, 1 / 5),  # `check_room` says that so many don't fit
        ([(64, 0)], 3 * GIB, 0, 0),
        ([(64, 1)], 0, 0, 0),
        ([(0, 4), (8, 0)], 3 * GIB, 0, 0),
    ],
)
def test_a_trial_gets_the_largest_part_with_which_as_many_run(machines, have, need, concurrent, expected):
    cards = machines(*have)
    found, said = default_gpus(Resources(concurrent), need, cards)
    assert found == pytest.approx(expected, abs=1e-4)
    assert (said is None) == (not need or not cards.count)
    if found:
        width = room(Resources(gpus=found))
        assert default_gpus(Resources(width), need, cards)[0] == found  # asked for by number, it is the same


def test_what_is_not_known_or_does_not_fit_is_said(machines):
    machines((64, 2))
    whole, said = default_gpus(Resources(), GIB, Cards(2, None))
    assert (whole, "memory is not known" in said) == (1, True)
    whole, said = default_gpus(Resources(), 20 * GIB, Cards(2, 16 * GIB))
    assert (whole, "16 GiB" in said, "20.0 GiB: it may not fit" in said) == (1, True, True)
    _, said = default_gpus(Resources(), GIB, Cards(2, None, without=3))
    assert said.endswith("3 nodes without stay idle (--gpus-per-trial 0 has all train on CPUs)")
    none, said = default_gpus(Resources(), GIB, Cards(2, 16 * GIB, usable=False, without=1))
    assert (none, "without CUDA" in said) == (0, True)
    none, said = default_gpus(Resources(4, autoscaling=True), GIB, Cards(0, None))
    assert (none, "--gpus-per-trial 1" in said) == (0, True)


def test_words():
    assert [words_for(n) for n in (1, 2, 0.5, 0.3333, 0.125, 0.4)] == [
        *("1 GPU", "2 GPUs", "1/2 GPU", "1/3 GPU", "1/8 GPU", "0.4 GPU")
    ]


def test_memory_as_nvidia_smi_tells_it():
    assert read_memories("81559, Disabled\n40960, [N/A]\n") == [81559 << 20, 40960 << 20]
    assert read_memories("81559, Enabled\n") == []  # a part of it is what there is
    assert read_memories("[N/A], Disabled\n") == []
    assert read_memories("") == []


def test_whether_torch_can_use_gpus_is_read_from_its_version(monkeypatch, tmp_path):
    import torch

    built = torch.version.cuda is not None or torch.version.hip is not None
    assert torch_has_cuda() == built
    monkeypatch.setattr(gpus, "find_spec", lambda name: type("S", (), {"origin": f"{tmp_path}/__init__.py"}))
    for text, expected in (
        ("cuda: Optional[str] = None\nhip: Optional[str] = None\n", False),
        ("cuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n", True),
        ("cuda = None\nhip = '6.2'\n", True),
        ("__all__ = ['cuda', 'hip']\n", True),
    ):
        (tmp_path / "version.py").write_text(text)
        assert torch_has_cuda() == expected, text


def test_each_node_tells_its_own_and_the_smallest_counts(monkeypatch):
    """On a cluster in name only: what nodes answer is made up."""
    alive = [{"NodeID": name * 56, "Alive": True, "Resources": {"GPU": 2}} for name in "ab"]
    monkeypatch.setattr(gpus.ray, "nodes", lambda: [*alive, {"Alive": True, "Resources": {}}])
    answers = iter([([80 * GIB, 40 * GIB], True), ([24 * GIB, 24 * GIB], True)])
    task = type("Task", (), {"remote": staticmethod(lambda: next(answers))})
    remote = type("Remote", (), {"options": staticmethod(lambda **how: task)})
    monkeypatch.setattr(gpus.ray, "remote", lambda **how: lambda function: remote)
    monkeypatch.setattr(gpus.ray, "wait", lambda asked, **how: (asked, []))
    monkeypatch.setattr(gpus.ray, "get", lambda answer: answer)
    assert gpus.look_at_cards() == Cards(4, 24 * GIB, True)
    answers = iter([([80 * GIB], True), ([], True)])
    assert gpus.look_at_cards() == Cards(4, None, True)


def test_a_node_without_cards_tells_none(monkeypatch):
    def fails(*arguments, **how):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(subprocess, "run", fails)
    assert gpus._cards_of_this_node() == ([], True)


@pytest.mark.parametrize("name", ["mnasnet", "efficientnet"])
def test_the_largest_network_is_larger_than_any_random_one(name):
    space, rng = get_space(name), np.random.default_rng(1)

    def size(spec):
        return cost(spec).training_memory

    most = size(largest_network(space, size))
    drawn = [size(space.decode(space.sample(rng))) for _ in range(200)]
    assert most > max(drawn)
    listed = ListedSpace("few", {str(i): space.decode(space.sample(rng)) for i in range(9)})
    every = [size(listed.decode(one)) for one in listed.enumerate()]
    assert size(largest_network(listed, size)) == max(every)


def test_a_trial_needs_more_where_it_trains_more():
    space = get_space("mnasnet")

    def need(**more):
        return (
            TrainSettings("digits", **{"resolution": 16, "stem_stride": 1, "width": 0.25} | more)
            .make()
            .gpu_memory(space)
        )

    least = need()
    assert GIB // 2 < least < 8 * GIB
    assert need(resolution=32) > least
    assert need(width=1.0) > least
    assert need(recipe_changes={"batch": 500}) > least
    assert need(folds=3) > 1.5 * least


def test_the_estimate_is_no_less_than_what_a_step_keeps():
    """Tensors that autograd keeps for the backward pass, counted in torch, of a network of the space."""
    import torch

    from nas.network.builder import build

    space = get_space("mnasnet")
    spec = space.decode(space.sample(np.random.default_rng(0))).replace(resolution=64, num_classes=10)
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    model = build(spec, 0).train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(torch.zeros(8, spec.in_channels, 64, 64)).sum()
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    assert loss.requires_grad
    assert sum(kept.values()) + 3 * weights < training_bytes(spec, 8)
