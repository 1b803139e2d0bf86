"""A process keeps to its part of a GPU, and a step that can't be recorded is trained all the same. No GPU."""

import sys
from types import SimpleNamespace

import pytest
import torch

from nas.cluster.worker import EvaluatorTrainable
from nas.training import batches, gpu_share, graphed
from nas.training.fused import SGD
from nas.training.gpu_memory import CONTEXT
from nas.training.graphed import GraphedStep

GIB = 1 << 30
GPU = torch.device("cuda")


@pytest.fixture
def card(monkeypatch):
    """A GPU of 16 GiB that is there in name only; what was set of it."""
    said = SimpleNamespace(fraction=None, free=16 * GIB, reserved=0)
    monkeypatch.setattr(gpu_share, "_share", 1.0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=16 * GIB)
    )
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda part, device: setattr(said, "fraction", part)
    )
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (said.free, 16 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device=None: said.reserved)
    return said


@pytest.mark.parametrize("gpus", [1, 2, 0])
def test_a_whole_gpu_is_not_bounded(card, gpus):
    gpu_share.cap_memory(gpus)
    assert card.fraction is None
    assert gpu_share.memory_left(GPU) == 16 * GIB


def test_a_part_is_with_what_cuda_takes_beside_tensors(card):
    gpu_share.cap_memory(0.25)
    assert card.fraction * 16 * GIB == pytest.approx(4 * GIB - CONTEXT)
    assert gpu_share.memory_left(GPU) == pytest.approx(4 * GIB - CONTEXT)
    assert batches._has_room(GPU, GIB // 2)
    assert not batches._has_room(GPU, GIB)  # a quarter of its part, not of the card
    card.reserved = 3 * GIB
    assert gpu_share.memory_left(GPU) == pytest.approx(GIB - CONTEXT)
    card.free = 1000  # neighbours have it
    assert gpu_share.memory_left(GPU) == 1000


def test_what_others_have_of_a_card(card):
    card.reserved, card.free = 3 * GIB, 13 * GIB - CONTEXT
    assert gpu_share.memory_of_others() == 0
    card.free -= 5 * GIB
    assert gpu_share.memory_of_others() == 5 * GIB


def test_an_evaluator_that_keeps_no_checkpoints_lacks_memory_like_any_other(card, monkeypatch):
    """Its worker may have loaded nothing of ours that trains: a function of the user's is evaluated."""
    worker = EvaluatorTrainable.__new__(EvaluatorTrainable)
    monkeypatch.delitem(sys.modules, "nas.training.gpu_share")
    worker.gpus = 0.5
    assert worker._without_gpu_memory() == {"crowded": "out of GPU memory with 0.5 GPU"}
    worker.gpus = 1
    assert worker._without_gpu_memory() == {"failed": "out of GPU memory"}


def test_a_step_that_cannot_be_recorded_runs_as_it_is_and_that_is_said_once(monkeypatch, capsys):
    monkeypatch.setattr(graphed, "_end_recording", lambda device: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
    monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: None)
    monkeypatch.setattr(GraphedStep, "_aside", GraphedStep._eager)
    graphed._say_once.cache_clear()
    tried = []

    def refuse(self, images, labels):
        tried.append(1)
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore of it")

    monkeypatch.setattr(GraphedStep, "_record", refuse)

    def train(step_of):
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        optimizer = SGD([{"params": model.parameters()}], 0.1)
        step = step_of(lambda x, y: torch.nn.functional.cross_entropy(model(x), y), optimizer)
        for _ in range(6):
            step(torch.randn(4, 3), torch.randint(2, (4,)))
        return model.weight.detach()

    weights = [train(GraphedStep) for _ in range(2)]
    assert len(tried) == 2  # once for each network
    said = capsys.readouterr().err
    assert said.count("not recorded as a CUDA graph") == 1
    assert "when stream is capturing" in said
    assert "more of it" not in said
    expected = train(lambda loss_of, optimizer: GraphedStep(loss_of, optimizer)._eager)
    assert torch.equal(weights[0], expected)

    def full(self, images, labels):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(GraphedStep, "_record", full)
    with pytest.raises(torch.cuda.OutOfMemoryError):  # none of the recording's doing
        train(GraphedStep)
