"""Training steps as one CUDA graph: of a small network's step on a GPU most is launching kernels."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from nas.training.fused import Optimizer
from search_spaces.quoting import printable

_WARM_UP = 3
"""Steps before the recording, in which libraries choose their kernels and the optimizer's state is made."""


class GraphedStep:
    """Records the training step of batches of one shape, and plays it again for each.

    The first steps, and those of batches of other shapes, run as they are. Where a step can't be recorded (a
    layer waits for the device, say), all of them do, and that is said once in a process. What is recorded
    are kernels on fixed memory: the weights, their gradients and the optimizer's state; whoever replaces the
    latter (a checkpoint that is taken up) makes another `GraphedStep`.

    Args:
        loss_of: images (N, C, H, W) and labels to the loss, its gradient still to be taken.
        optimizer: of the weights; its rates become tensors on the device.
    """

    def __init__(self, loss_of: Callable[[Tensor, Tensor], Tensor], optimizer: Optimizer) -> None:
        self._loss_of, self._optimizer = loss_of, optimizer
        self._warm, self._refused = 0, False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._images = self._labels = self._loss = torch.empty(0)

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """One update; the loss, which the next call overwrites."""
        if self._graph is None and self._warm < _WARM_UP:
            self._warm += 1
            return self._aside(images, labels)
        if self._graph is None and not self._refused:
            self._try_to_record(images, labels)
        if self._graph is None or images.shape != self._images.shape or labels.shape != self._labels.shape:
            return self._eager(images, labels)
        self._images.copy_(images)
        self._labels.copy_(labels)
        self._graph.replay()
        return self._loss

    def _eager(self, images: Tensor, labels: Tensor) -> Tensor:
        loss = self._loss_of(images, labels)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.detach()

    def _aside(self, images: Tensor, labels: Tensor) -> Tensor:
        """On a stream of its own, as the recording will be."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            loss = self._eager(images, labels)
        torch.cuda.current_stream().wait_stream(stream)
        return loss

    def _try_to_record(self, images: Tensor, labels: Tensor) -> None:
        stream = torch.cuda.current_stream()
        try:
            self._record(images, labels)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._refused, self._loss = True, torch.empty(0)
            torch.cuda.set_stream(stream)
            _end_recording(images.device)
            _say_once(str(error).strip().splitlines()[0])

    def _record(self, images: Tensor, labels: Tensor) -> None:
        self._images, self._labels = images.clone(), labels.clone()
        self._optimizer.zero_grad()  # the recording brings gradients of its own
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._loss = self._eager(self._images, self._labels)
        self._graph = graph


def _end_recording(device: torch.device) -> None:
    """After one that failed: the generator that was recorded from draws as before."""
    torch.cuda.synchronize(device)
    seed = torch.cuda.initial_seed()
    index = torch.cuda.current_device() if device.index is None else device.index
    generator = torch.cuda.default_generators[index]
    # the state that took part in it waits for its end for good
    generator.graphsafe_set_state(torch.Generator(device).graphsafe_get_state())
    generator.manual_seed(seed)


@lru_cache(maxsize=8)
def _say_once(reason: str) -> None:
    said = f"training steps are not recorded as a CUDA graph, and slower for it: {printable(reason)}"
    print(said, file=sys.stderr)  # of a trial: into its worker's log
