"""A controller as the search algorithm of any `ray.tune.Tuner`, beside anybody's trainable."""

from __future__ import annotations

import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

from ray.tune import tune as tune_module
from ray.tune.search import Searcher

from controller.base import Controller, SpaceExhaustedError
from nas.search.numeric import number
from nas.search.rungs import rungs
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError

_DEFAULT = ("reward", "max")


class ControllerSearch(Searcher):  # type: ignore[misc]
    """A controller as the search algorithm of any `ray.tune.Tuner`.

    Each trial's config has `architecture` (choice indices), `choices` (by decision name) and `spec`
    (the network's document). A trial without a usable value is a failure to the controller, and said once.

        tune.Tuner(trainable, tune_config=tune.TuneConfig(
            search_alg=ControllerSearch(controller, metric="reward", mode="max"), num_samples=100))

    Args:
        controller: asked and told.
        metric: the result's key that the controller maximises; None: the TuneConfig's, else `reward`.
        mode: `max`, or `min` to have it minimised; None: the TuneConfig's, else `max`.
        epochs: results of a whole trial: the controller is told then what a trial that a scheduler ended
            earlier had done of that (its `training_iteration`), and what it showed on its way. None: each
            result at a trial's end is taken for that of a whole one.

    Raises:
        InputError: an unknown mode, or no such number of epochs; later, in a running Tuner, a TuneConfig that
            states another metric or mode, since Tune would call another trial the best than the controller
            does.
    """

    def __init__(
        self,
        controller: Controller,
        metric: str | None = None,
        mode: str | None = None,
        epochs: int | None = None,
    ) -> None:
        if mode not in (None, "min", "max"):
            raise InputError(f"mode {mode!r}: expected 'min' or 'max'")
        if epochs is not None and (type(epochs) is not int or epochs < 1):
            raise InputError(f"epochs {epochs!r}: expected a whole number of at least 1")
        super().__init__(metric=metric, mode=mode or "max")
        self.controller, self.epochs = controller, epochs
        self._stated: tuple[str | None, str | None] = (metric, mode)
        self._aim: tuple[str, str] | None = None
        self._proposals: dict[str, int] = {}
        self._failed: dict[str, list[int]] = {}
        self._said = False

    def set_search_properties(self, metric: str | None, mode: str | None, config: Any, **spec: Any) -> bool:
        """Take metric and mode from the TuneConfig, if it states them.

        Tune calls this only where there is a param_space. Fixed values in it reach the trainable beside the
        controller's own; what should be drawn is refused by Tune.
        """
        self._agree(metric, mode)
        return not config

    def suggest(self, trial_id: str) -> Any:
        """A trial's config, or `FINISHED` when the space is exhausted."""
        if self._aim is None:
            self._agree(*_tunes_own())
        try:
            proposal = self.controller.ask()
        except SpaceExhaustedError:
            return Searcher.FINISHED
        self._proposals[trial_id] = proposal.id
        space = self.controller.space
        return {
            "architecture": list(proposal.architecture),
            "choices": space.choices(proposal.architecture),
            "spec": space.decode(proposal.architecture).to_document(),
        }

    def _agree(self, *tunes: str | None) -> None:
        """Decide what is maximised: what is stated here and in the TuneConfig must be one thing."""
        aim = []
        for name, own, other, usual in zip(("metric", "mode"), self._stated, tunes, _DEFAULT, strict=True):
            if own is not None and other is not None and own != other:
                raise InputError(
                    f"{name} {own!r} of ControllerSearch: the TuneConfig says {other!r}; state it once"
                )
            aim.append(own or other or usual)
        self._aim = (aim[0], aim[1])
        self._metric, self._mode = self._aim

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report a part of a trial, of a whole one's `epochs`."""
        proposal, epochs = self._proposals.get(trial_id), self.epochs or 1
        if proposal is None or result.get("training_iteration") not in rungs(epochs):
            return
        if self._aim is None:
            self._agree(*_tunes_own())
        assert self._aim is not None
        metric, mode = self._aim
        value = number(result.get(metric))
        if value is not None and math.isfinite(value):
            done = result["training_iteration"] / epochs
            self.controller.report(proposal, value if mode == "max" else -value, done)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the controller.

        A trial that had failed and was started again (`Tuner.restore(restart_errored=True)`) counts as a new
        proposal of the same architecture.

        Raises:
            ControllerError: the result has not all that this controller needs.
        """
        proposal = self._proposals.pop(trial_id, None)
        again = self._failed.get(trial_id)
        if proposal is None and (again is None or error):
            return
        self._failed.pop(trial_id, None)
        if self._aim is None:
            self._agree(*_tunes_own())
        assert self._aim is not None
        metric, mode = self._aim
        raw = (result or {}).get(metric)
        value = None if error else number(raw)
        if value is None or not math.isfinite(value):
            self._fail(trial_id, proposal, "trial error" if error else f"{metric} is {raw!r}"[:200], result)
            return
        if proposal is None:
            assert again is not None
            try:
                proposal = self.controller.ask().id
            except SpaceExhaustedError:
                return
            self.controller.amend(proposal, Architecture(again))
        found = {name: number(given) for name, given in (result or {}).items()}
        # what a trainable calls so is its own affair
        numbers = {name: one for name, one in found.items() if one is not None and name != "fidelity"}
        done = numbers.get("training_iteration", 0) / (self.epochs or 1)
        if self.epochs is not None and 0 < done < 1:
            numbers["fidelity"] = done
        self.controller.tell(proposal, value if mode == "max" else -value, numbers)

    def _fail(self, trial_id: str, proposal: int | None, reason: str, result: dict[str, Any] | None) -> None:
        if reason != "trial error" and not self._said:
            self._said = True
            warnings.warn(
                f"ControllerSearch: trial {trial_id} gave no usable {self._metric!r} ({reason}; its result "
                f"has {', '.join(map(str, result or {})) or 'nothing'}): a failure to the controller, as are "
                "others like it",
                stacklevel=3,
            )
        if proposal is None:
            return
        architecture = next((p.architecture for p in self.controller.pending if p.id == proposal), None)
        if architecture is not None:
            self._failed[trial_id] = [int(choice) for choice in architecture]
        self.controller.fail(proposal, reason)

    def save(self, checkpoint_path: str) -> None:
        """Write the controller's state for `Tuner.restore`."""
        state = {
            "controller": self.controller.state_dict(),
            "proposals": self._proposals,
            "failed": self._failed,
            "aim": self._aim,
        }
        Path(checkpoint_path).write_text(json.dumps(state))

    def restore(self, checkpoint_path: str) -> None:
        """Take it back."""
        state = json.loads(Path(checkpoint_path).read_text())
        self.controller.load_state_dict(state["controller"])
        self._proposals, self._failed = state["proposals"], state.get("failed", {})
        if state.get("aim"):
            self._aim = (state["aim"][0], state["aim"][1])
            self._metric, self._mode = self._aim


def _tunes_own() -> tuple[str | None, str | None]:
    """The TuneConfig's metric and mode, of the Tuner that is asking.

    Without a param_space Tune hands them to schedulers and reporters, but not to its search algorithm; they
    are arguments of the `run` that we are called in.
    """
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code is tune_module.run.__code__:
            return frame.f_locals.get("metric"), frame.f_locals.get("mode")
        frame = frame.f_back  # type: ignore[assignment]
    return None, None
