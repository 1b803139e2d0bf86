"""The evaluator that asks a user's own function: training code that takes a spec and yields accuracies."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from nas.errors import TrialFailedError
from nas.search.evaluator import Evaluation, Evaluator
from nas.search.own_function import OwnFunction, code_digest, import_function
from nas.search.trial import Measurement
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec

_GIVEN = ("spec", "seed", "epochs", "state")
_ABOUT = ("num_classes", "in_channels")
"""Attributes of the function: of the full networks, as its data need them."""


def find_function(name: str, folder: str | None) -> OwnFunction:
    """The function that `module:function` names, the module looked for in `folder` first.

    Raises:
        InputError: no such module or function, the module can't be imported, or it is no function of a spec.
    """
    found = import_function("evaluator", name, folder)
    parameters_of(found, name)
    return found


def parameters_of(function: object, name: str) -> tuple[str, ...]:
    """What of `spec`, `seed`, `epochs`, `state` a function takes; raises `InputError` where it needs more."""
    if not callable(function):
        raise InputError(f"evaluator {name!r}: is no function")
    kinds = inspect.Parameter
    parameters = inspect.signature(function).parameters.values()
    named = [p for p in parameters if p.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)]
    odd = [p.name for p in named if p.name not in _GIVEN and p.default is kinds.empty]
    if odd or not any(p.name == "spec" for p in named):
        raise InputError(
            f"evaluator {name!r}: takes ({', '.join(p.name for p in named)}), expected spec, and any of "
            f"{', '.join(_GIVEN[1:])}"
        )
    return tuple(p.name for p in named if p.name in _GIVEN)


class FunctionEvaluator(Evaluator):
    """Scores networks by a user's function, called once for each trial, on Ray's workers.

    The function takes `spec` (a `NetworkSpec`) and, where it names them, `seed` (an integer, the same for the
    same network in the same run), `epochs` and `state`. It yields, after each epoch, the accuracy (a
    fraction) or a mapping with `accuracy` and other numbers; of one epoch it may return it. One that takes
    `state` yields pairs (accuracy, state): a trial whose worker was lost is called with the state that it
    yielded last (plain data and tensors, for `torch.save`), else with None. Its attributes `num_classes` and
    `in_channels`, where it has them, are those of the full networks.

    Args:
        name: `module:function`.
        epochs: that it yields.
        folder: where the module is; None: where Python finds it.
        function: itself, where it can't be imported by the workers (one of a notebook or a script).

    Raises:
        InputError: as `find_function`.
    """

    def __init__(
        self, name: str, epochs: int = 1, folder: str | None = None, function: OwnFunction | None = None
    ) -> None:
        self.name, self.epochs, self.folder = name, epochs, folder
        self._sent = function  # pickled by value; what can be imported is imported by each worker
        self._found: OwnFunction | None = function or find_function(name, folder)
        takes = parameters_of(self._found, name)
        self.checkpoints = "state" in takes
        self.folders = (folder,) if folder is not None and function is None else ()
        self.task = {key: int(getattr(self._found, key)) for key in _ABOUT if hasattr(self._found, key)}
        if (classes := self.task.get("num_classes", 0)) > 1:
            self.chance = 1 / classes
        self.decided = {"code": code_digest(self._found)}

    def start(self, spec: NetworkSpec, seed: int) -> Evaluation:
        """Call it, in the first step."""
        return _Calls(self, spec, seed)

    def describe(self) -> str:
        """The function and where it stands."""
        where = "" if self.folder is None else f" in {self.folder}"
        return f"{self.name}{where}, {self.epochs} epoch{'s' * (self.epochs > 1)}"

    @property
    def function(self) -> OwnFunction:
        """The function, imported where it is called."""
        if self._found is None:
            self._found = find_function(self.name, self.folder)
        return self._found

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_found": self._sent}


class _Calls(Evaluation):
    def __init__(self, evaluator: FunctionEvaluator, spec: NetworkSpec, seed: int) -> None:
        self.evaluator, self.spec, self.seed = evaluator, spec, seed
        self.epoch, self.state = 0, None
        self._rows: Iterator[Any] | None = None

    def __next__(self) -> Measurement:
        if self.finished:
            raise StopIteration
        try:
            if self._rows is None:
                self._rows = self._call()
            value = next(self._rows)
            if self.evaluator.checkpoints:
                value, self.state = value
            row = dict(value) if isinstance(value, Mapping) else {"accuracy": value}
            row = {name: float(number) for name, number in row.items()}
        except StopIteration:
            raise TrialFailedError(
                f"{self.evaluator.name} yielded {self.epoch} times, expected {self.evaluator.epochs} "
                "(its epochs)"
            ) from None
        except (TrialFailedError, MemoryError):
            raise
        except Exception as error:  # the trial's log has where
            traceback.print_exc()
            raise TrialFailedError(
                f"{self.evaluator.name}: {type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
        if "accuracy" not in row:
            raise TrialFailedError(f"{self.evaluator.name} yielded {', '.join(row)}, expected accuracy")
        self.epoch += 1
        return {**row, "epoch": self.epoch}

    def _call(self) -> Iterator[Any]:
        own = self.evaluator
        given = {"spec": self.spec, "seed": self.seed, "epochs": own.epochs, "state": self.state}
        takes = parameters_of(own.function, own.name)
        answer = own.function(**{name: given[name] for name in takes})
        one = isinstance(answer, (Mapping, tuple)) or not hasattr(answer, "__iter__")
        return iter([answer]) if one else iter(answer)

    @property
    def finished(self) -> bool:
        return self.epoch >= self.evaluator.epochs

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "state": self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.state = state["epoch"], state["state"]
