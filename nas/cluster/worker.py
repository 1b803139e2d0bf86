"""One evaluation as a Ray Tune trial: what runs in the worker processes, an epoch a step."""

from __future__ import annotations

import contextlib
import importlib
import io
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import ray
from ray import tune

from nas.errors import TrialFailedError
from nas.runs.storage import Checkpoints
from nas.search.evaluator import Evaluation, Evaluator
from nas.search.numeric import plain
from nas.search.reward import Reward
from nas.search.trial import Measurement
from search_spaces.architecture import Architecture
from search_spaces.space import SearchSpace

_NEIGHBOURS = 1 << 30
"""Bytes of a GPU that other processes have, from which on a lack of memory may be theirs."""

MAX_LOG = 100_000
"""Characters of output that one step hands on; what a network prints in excess stays in Ray's log."""


class EvaluatorTrainable(tune.Trainable):  # type: ignore[misc]
    """Evaluates one trial after the other; the actor is reused.

    After each epoch the state goes into the run's storage, before the result is handed on: whoever
    starts the trial again, on this node or another, in this run of the driver or the next, continues
    there. (Tune's own checkpoints belong to one `Tuner` and end with it.)
    """

    def setup(
        self,
        config: dict[str, Any],
        evaluator: list[Any] | None = None,
        space: SearchSpace | None = None,
        reward: Reward | None = None,
        checkpoints: Checkpoints | None = None,
        threads: int = 1,
    ) -> None:
        """Once in an actor: bound its threads and GPU memory, take the evaluator out of the object store.

        The evaluator comes as a reference in a list, which Ray hands on as it is.
        """
        assert evaluator is not None
        assert space is not None
        assert reward is not None
        assert checkpoints is not None
        self.evaluator: Evaluator = ray.get(evaluator[0])
        self.gpus = float(config.get("gpus", 0))  # an actor takes trials that are to have the same
        # torch writes checkpoints, and bounds what a trial takes of a GPU, whoever's its evaluator is;
        # loading it is none of the first trial's time
        if self.evaluator.checkpoints or self.gpus:
            importlib.import_module("torch")
            importlib.import_module("nas.training.gpu_share").cap_memory(self.gpus)
        # an evaluator that computes with torch has brought it along; others are spared loading it
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(threads)
        self.space, self.reward, self.checkpoints = space, reward, checkpoints
        context = ray.get_runtime_context()
        self.place = {"node": context.get_node_id(), "gpus": ",".join(map(str, ray.get_gpu_ids()))}
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take on another trial."""
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self.trial, self.costs = int(config["trial"]), config["costs"]
        self.rows: list[Measurement] = []
        self.told = 0
        # the evaluation itself starts in the first step, where an error is this trial's own
        self.evaluation: Evaluation | None = None
        if (share := sys.modules.get("nas.training.gpu_share")) is not None:
            share.forget_memory()  # of the trial before
        spec = self.space.decode(Architecture(config["architecture"]))
        self.task = spec.replace(name=f"{spec.name}-trial{self.trial}"), config["seed"]

    def step(self) -> dict[str, Any]:
        """One epoch. A trial without a result says so; anything unforeseen ends the actor."""
        result: dict[str, Any] = dict(self.place)
        with _output() as printed:
            try:
                result |= self._epoch()
            except TrialFailedError as error:
                result |= {"failed": str(error), "done": True}
            except MemoryError:
                result |= {"failed": "out of memory", "done": True}
            except Exception as error:
                if not out_of_gpu_memory(error):
                    raise
                self.evaluation = None
                result |= self._without_gpu_memory() | {"done": True}
        if text := printed.getvalue():
            result["printed"] = text[:MAX_LOG]
        # an actor that continues another's trial tells of its epochs too: the driver may be a new one
        result["rows"] = pickle.dumps(self.rows[self.told :])
        self.told = len(self.rows)
        return result

    def _epoch(self) -> dict[str, Any]:
        if self.evaluation is None:
            self.evaluation = self.evaluator.start(*self.task)
            state = self.checkpoints.load(self.trial) if self.evaluator.checkpoints else None
            if state is not None:
                self.evaluation.load_state_dict(state["evaluation"])
                self.rows = list(state["rows"])
        problem = None
        if not self.evaluation.finished:  # else its process died after the last checkpoint
            self.rows.append(plain(next(self.evaluation)))
            if self.evaluator.checkpoints:
                problem = self._save()
        reward = self.reward(self.rows[-1]["accuracy"], self.costs)
        done = self.evaluation.finished
        if done and problem is None and (product := self.evaluation.product()) is not None:
            problem = self._write(lambda: self.checkpoints.keep(self.trial, product))
        result = {"epoch": len(self.rows), "reward": reward, "last": done, "done": done}
        return result if problem is None else result | {"unsaved": problem}

    def _without_gpu_memory(self) -> dict[str, Any]:
        """Whose doing it was: the network's alone, where no one else had any of the GPU."""
        share = importlib.import_module("nas.training.gpu_share")
        share.forget_memory()
        if 0 < self.gpus < 1:
            return {"crowded": f"out of GPU memory with {self.gpus:g} GPU"}
        others = share.memory_of_others()
        if others > _NEIGHBOURS:
            return {"crowded": f"out of GPU memory, of which other processes have {others / 2**30:.1f} GiB"}
        return {"failed": "out of GPU memory"}

    def _save(self) -> str | None:
        """Keep the state; the reason if that can't be done, which is not this network's fault."""
        assert self.evaluation is not None
        state = {"rows": self.rows, "evaluation": self.evaluation.state_dict()}
        return self._write(lambda: self.checkpoints.save(self.trial, state))

    def _write(self, write: Callable[[], None]) -> str | None:
        try:
            write()
        except OSError as error:
            return f"{self.checkpoints.url}: cannot write a checkpoint: {error.strerror or error}"
        return None


def out_of_gpu_memory(error: Exception) -> bool:
    """Whether an evaluation ended for want of GPU memory: torch's, or a library's that it calls."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(error, RuntimeError):
        return False
    text = str(error)
    libraries = "CUDA error: out of memory" in text or re.search(r"CU\w+_STATUS_ALLOC_FAILED", text)
    return isinstance(error, torch.cuda.OutOfMemoryError) or bool(libraries)


class _Tee(io.StringIO):
    """Keeps what is written, and passes it on."""

    def __init__(self, to: TextIO) -> None:
        super().__init__()
        self.to = to

    def write(self, text: str) -> int:
        self.to.write(text)
        return super().write(text) if self.tell() < MAX_LOG else len(text)

    def flush(self) -> None:
        self.to.flush()


@contextlib.contextmanager
def _output() -> Iterator[io.StringIO]:
    """Collects what is printed meanwhile, on either stream."""
    tee = _Tee(sys.stderr)
    with contextlib.redirect_stdout(tee), contextlib.redirect_stderr(tee):
        yield tee


def worker_name(result: dict[str, Any]) -> str | None:
    """`host:pid` of the process that gave a result."""
    return f"{result['hostname']}:{result['pid']}" if "pid" in result else None
