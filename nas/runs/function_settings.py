"""The settings of the evaluator that asks a user's own function, on Ray."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from nas.data.place import absolute
from nas.runs.checked import check_types
from nas.runs.evaluator_settings import EvaluatorSettings
from nas.runs.own_names import name_in_folder, name_of, was_handed
from nas.runs.train_settings import SCHEDULERS
from nas.search.function_evaluator import FunctionEvaluator, find_function
from nas.search.own_function import OwnFunction, code_digest
from search_spaces.errors import InputError, shown, unknown
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace


@dataclass(frozen=True)
class FunctionSettings(EvaluatorSettings):
    """Networks are scored by a function of the user's.

    Attributes:
        function: `module:function`, as `FunctionEvaluator` takes it.
        module_folder: where the module was found; None: where Python finds its packages.
        epochs: that the function yields.
        scheduler: one of `SCHEDULERS`: ends trials early.
        code: digest of the function's file when the run was started.

    Raises:
        InputError: a value of another type, or out of its range.
    """

    kind: ClassVar[str] = "function"
    flat_names: ClassVar[dict[str, str]] = {"epochs": "function_epochs", "code": "function_code"}

    function: str = ""
    module_folder: str | None = None
    epochs: int = 1
    scheduler: str = "none"
    code: str | None = None

    def __post_init__(self) -> None:
        check_types(self)
        if self.function and not re.fullmatch(r"\w+(\.\w+)*:[\w.<>]+", self.function):
            raise InputError(f"evaluator {shown(self.function)}: expected module:function")
        if self.module_folder is not None:
            object.__setattr__(self, "module_folder", absolute(self.module_folder))
        if not 1 <= self.epochs <= 1_000_000:
            raise InputError(f"epochs {self.epochs}: expected 1 or more")
        if self.scheduler not in SCHEDULERS:
            raise unknown("scheduler", self.scheduler, SCHEDULERS)

    @staticmethod
    def named(name: str) -> dict[str, Any]:
        """The settings for `module:function`, whose module may stand in the current folder."""
        function, folder = name_in_folder(name)
        return {"function": function, "module_folder": folder}

    @staticmethod
    def handed(function: OwnFunction, kept: str | None = None) -> dict[str, Any]:
        """The settings for a function itself, as `name_of` names it."""
        name, folder = name_of(function, kept)
        return {"function": name, "module_folder": folder}

    def make(
        self, download: bool = False, say: Callable[[str], None] = lambda text: None
    ) -> FunctionEvaluator:
        """The evaluator, which needs no download."""
        function = self._function()
        # what a worker can't import travels itself
        local = getattr(function, "__module__", "__main__") == "__main__" or "<" in self.function
        by_value = function if local else None
        made = FunctionEvaluator(self.function, self.epochs, self.module_folder, by_value)
        if self.code not in (None, code_digest(function)):
            say(
                f"{self.function}: its file has changed since the run was started; results compare only "
                "where it still measures the same"
            )
        return made

    def _function(self) -> OwnFunction:
        if not self.function:
            raise InputError("evaluator 'function': give --evaluator MODULE:FUNCTION")
        known = was_handed(self.function, self.module_folder)
        if known is None and self.function.startswith("__main__:"):
            raise InputError(
                f"evaluator {self.function!r}: it was defined in a notebook; define it there again and go on "
                "with nas.open(RUN).resume(evaluate=FUNCTION)"
            )
        return known or find_function(self.function, self.module_folder)

    def kept(self, digest: str | None) -> FunctionSettings:
        """As it is: a function has no data that are known here."""
        return replace(self)

    @property
    def digest(self) -> str | None:
        """None: what it scores on is the function's matter."""
        return None

    def check(self, space: StagedSpace | ListedSpace, say: Callable[[str], None] = lambda text: None) -> None:
        """Raise `InputError` unless the function can be imported."""
        self.make()

    @property
    def depends_on(self) -> dict[str, Any]:
        """The function and its epochs, wherever its file lies."""
        return {"function": self.function, "epochs": self.epochs}

    @property
    def early_stopping(self) -> str:
        """Its scheduler."""
        return self.scheduler

    @property
    def accuracy_of(self) -> str:
        """What the accuracies are of, for whoever reads them."""
        return f"as {self.function} measures it"
