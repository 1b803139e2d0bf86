"""Whether a lost worker was lost alone or with its node: asked of the node, since the answer takes time.

An actor's death is told at once, its node's only when the node has missed several health checks (half a
minute with Ray's own settings). Until then a lost node looks like a worker that died by itself.
"""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

PATIENCE = 90.0
"""Seconds after which a node that gives no answer and isn't called dead is taken to be alive."""


class NodeProbe:
    """A question to a node; it answers if it is alive.

    Args:
        node: its id.
    """

    def __init__(self, node: str) -> None:
        self.asked = time.monotonic()
        here = NodeAffinitySchedulingStrategy(node, soft=False)
        self._answer = ray.remote(num_cpus=0, max_retries=0)(_here).options(scheduling_strategy=here).remote()

    def gone(self) -> bool | None:
        """Whether the node is gone; None: not known yet."""
        if ray.wait([self._answer], timeout=0)[0]:
            try:
                ray.get(self._answer)
            except ray.exceptions.RayError:
                return True
            return False
        return False if time.monotonic() - self.asked > PATIENCE else None


def _here() -> None:
    """Nothing to do: that it runs is the answer."""


def died_on_a_node(error: Any, node: str | None) -> bool:
    """Whether it matters which of the two was lost: an actor died, and it is known where."""
    return node is not None and isinstance(error, ray.exceptions.RayActorError)
