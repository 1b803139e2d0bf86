"""How much of a GPU each trial gets where nobody says: as many share one as its memory allows."""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas.cluster.nodes import Resources, room

_PATIENCE = 60.0
"""Seconds for the nodes to tell their GPUs' memory."""

_MOST = 8
"""Trials on one GPU: its processes take turns, so beyond a few each more one adds little but memory."""

_GIB = 1 << 30


@dataclass(frozen=True)
class Cards:
    """The GPUs of the connected cluster.

    Attributes:
        count: how many Ray has.
        memory: bytes of the smallest; None: some node didn't tell.
        usable: whether torch on every node that tells was built to use them.
        without: nodes that have CPUs and no GPU: trials that ask for one leave them idle.
    """

    count: float
    memory: int | None
    usable: bool = True
    without: int = 0


def look_at_cards() -> Cards:
    """Of the connected cluster; each node that has GPUs is asked for their memory."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    nodes = [node for node in alive if node["Resources"].get("GPU", 0) > 0]
    without = sum(node["Resources"].get("CPU", 0) > 0 for node in alive if node not in nodes)
    count = sum(node["Resources"]["GPU"] for node in nodes)
    if not nodes:
        return Cards(0, None)
    # no CPU and no GPU: other work may have all of them
    task = ray.remote(num_cpus=0, max_retries=1)(_cards_of_this_node)
    asked = [task.options(scheduling_strategy=_at(node)).remote() for node in nodes]
    ready, _ = ray.wait(asked, num_returns=len(asked), timeout=_PATIENCE)
    told: list[tuple[list[int], bool]] = []
    for reference in ready:
        with suppress(ray.exceptions.RayError):  # `check_nodes` says what is wrong with the node
            told.append(ray.get(reference))
    smallest = [min(memories) for memories, _ in told if memories]
    memory = min(smallest) if len(smallest) == len(nodes) else None
    return Cards(count, memory, all(usable for memories, usable in told if memories), without)


def default_gpus(resources: Resources, need: int, cards: Cards | None = None) -> tuple[float, str | None]:
    """GPUs of a trial, and a line for people that says why; of no GPU there is nothing to say.

    A trial gets the largest part of a GPU with which as many run at once as are wanted, or as there is room
    for; at least what it needs. Where a card's memory isn't known, it gets a whole one.

    Args:
        resources: of a trial, its GPUs still open.
        need: bytes of GPU memory that the largest trial may take; 0: it has no use for a GPU.
        cards: of the cluster; None: it is asked.
    """
    if not need:
        return 0.0, None
    cards = look_at_cards() if cards is None else cards
    gpus, remark = _part_of(cards, resources, need)
    if gpus and cards.without:
        nodes = "a node without stays" if cards.without == 1 else f"{cards.without} nodes without stay"
        remark = f"{remark}; {nodes} idle (--gpus-per-trial 0 has all train on CPUs)"
    return gpus, remark


def _part_of(cards: Cards, resources: Resources, need: int) -> tuple[float, str | None]:
    """The same, of these cards."""
    if not cards.count:
        adds = (
            "GPUs: no node has one yet, trials ask for none; --gpus-per-trial 1 has Ray's autoscaler add them"
        )
        return 0.0, adds if resources.autoscaling else None
    has = f"GPUs: {cards.count:g}"
    if not cards.usable:
        return 0.0, f"{has}, but torch there is one without CUDA: trials train on CPUs"
    if cards.memory is None:
        return (
            1.0,
            f"{has}, their memory is not known: a trial gets a whole one (--gpus-per-trial shares them)",
        )
    told = f"{has} of {cards.memory / _GIB:.0f} GiB, the largest trial may need {need / _GIB:.1f} GiB"
    if need > cards.memory:
        return 1.0, f"{told}: it may not fit; a trial gets a whole one"
    most = min(_MOST, int(cards.memory // need))
    has_room = room(replace(resources, gpus=share_of(most)))
    if not has_room:
        return 0.0, f"{has}, on nodes without CPUs for a trial: trials train on CPUs elsewhere"
    wanted = resources.concurrent or has_room
    fit = (n for n in range(1, most) if room(replace(resources, gpus=share_of(n))) >= wanted)
    share = next(fit, most)
    return share_of(share), f"{told}: {share} share one" if share > 1 else f"{told}: each gets one"


def share_of(trials: int) -> float:
    """GPUs of each of so many trials on one, as Ray counts them: in ten-thousandths."""
    return 10_000 // trials / 10_000


def words_for(gpus: float) -> str:
    """GPUs of a trial for people: `1/4 GPU`."""
    if 0 < gpus < 1 and share_of(parts := round(1 / gpus)) == gpus:
        return f"1/{parts} GPU"
    return f"{gpus:g} GPU{'s' * (gpus > 1)}"


def _at(node: dict[str, Any]) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)


def _cards_of_this_node() -> tuple[list[int], bool]:
    """Bytes of each GPU of the node, none where that isn't known; whether torch here can use them."""
    query = ["nvidia-smi", "--query-gpu=memory.total,mig.mode.current", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=_PATIENCE / 2, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return [], True
    return read_memories(said), torch_has_cuda()


def read_memories(said: str) -> list[int]:
    """Bytes of each GPU from lines of `nvidia-smi`; none if one of them is cut up (MIG), or tells none."""
    memories = []
    for line in said.splitlines():
        memory, _, mig = line.partition(",")
        if mig.strip() == "Enabled" or not memory.strip().isdigit():
            return []
        memories.append(int(memory) << 20)
    return memories


def torch_has_cuda() -> bool:
    """Whether torch of this environment was built for GPUs, without loading it; yes where it doesn't say."""
    spec = find_spec("torch")
    path = Path(spec.origin or "").with_name("version.py") if spec is not None else Path()
    if not path.is_file():
        return True
    built = re.findall(r"^(?:cuda|hip)\b.*= *(.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return not built or any(value.strip() != "None" for value in built)
