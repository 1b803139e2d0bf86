"""A process's part of a GPU that others have parts of too."""

from __future__ import annotations

import gc

import torch

from nas.training.gpu_memory import CONTEXT

_share = 1.0
"""Part of the GPU that tensors of this process may take."""


def cap_memory(gpus: float) -> None:
    """Bound what tensors of this process take of its GPU, so that no neighbour's are in want.

    Beside tensors CUDA itself takes some; more than the part fails as torch.cuda.OutOfMemoryError.

    Args:
        gpus: of this process; a whole one or more, and none, are not bounded.
    """
    global _share
    if not 0 < gpus < 1 or not torch.cuda.is_available():
        return
    total = torch.cuda.get_device_properties(0).total_memory
    _share = max(gpus / 2, gpus - CONTEXT / total)
    torch.cuda.set_per_process_memory_fraction(_share, 0)


def memory_left(device: torch.device) -> int:
    """Bytes of a GPU that tensors of this process may still take."""
    free, total = torch.cuda.mem_get_info(device)
    return int(min(free, _share * total - torch.cuda.memory_reserved(device)))


def memory_of_others(device: torch.device | None = None) -> int:
    """Bytes of a GPU that other processes have, about; 0 where there is no GPU."""
    if not torch.cuda.is_available():
        return 0
    free, total = torch.cuda.mem_get_info(device)
    return int(max(0, total - free - torch.cuda.memory_reserved(device) - CONTEXT))


def forget_memory() -> None:
    """Give back what a training that has ended took of the GPU, if this process uses one.

    A trainer and its recorded step know each other, so nothing of them is freed until garbage is collected.
    """
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        gc.collect()
        torch.cuda.empty_cache()
