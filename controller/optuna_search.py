"""Any sampler of Optuna as a controller, through Optuna's ask and tell (extra `optuna`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.base import Controller, Proposal
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError, unknown
from search_spaces.space import SearchSpace

SAMPLERS = {"tpe": "TPESampler", "random": "RandomSampler", "cmaes": "CmaEsSampler", "gp": "GPSampler"}


class OptunaSearch(Controller):
    """Optuna's TPE (Bergstra et al. 2011) or another of its samplers, every decision a categorical.

    Optuna's samplers have no state that can be saved: a controller that continues from a state tells
    a new study the same history, call by call, so it goes on the same.

    Args:
        space: where to search.
        seed: of the sampler.
        sampler: `tpe`, `random`, `cmaes` or `gp`.
        initial: random architectures first (TPE's and GP's `n_startup_trials`).

    Raises:
        InputError: Optuna isn't installed, or an unknown sampler.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, sampler: str = "tpe", initial: int = 10) -> None:
        super().__init__(space, seed)
        if sampler not in SAMPLERS:
            raise unknown("sampler", sampler, SAMPLERS)
        if not 1 <= initial <= 1_000_000:
            raise InputError(f"initial {initial}: expected 1 to 1000000")
        self.sampler, self.initial, self._seed = sampler, initial, seed
        self._calls: list[list[Any]] = []
        self._start()

    def _start(self) -> None:
        try:
            import optuna
        except ImportError:
            raise InputError(
                "controller 'optuna': Optuna is not installed; pip install 'baseline-nas[optuna]'"
            ) from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        options: dict[str, Any] = {"seed": self._seed}
        if self.sampler in ("tpe", "gp", "cmaes"):
            options["n_startup_trials"] = self.initial
        if self.sampler == "tpe":
            options |= {"multivariate": False, "constant_liar": True}
        self._study = optuna.create_study(
            direction="maximize", sampler=getattr(optuna.samplers, SAMPLERS[self.sampler])(**options)
        )
        self._failed = optuna.trial.TrialState.FAIL
        self._fixed = optuna.distributions.CategoricalDistribution
        self._trials: dict[int, Any] = {}

    def _ask_optuna(self) -> tuple[Any, Architecture]:
        trial = self._study.ask()
        indices: list[int] = []
        for position, decision in enumerate(self.space.decisions):
            counts = self.space.counts(position, indices)
            options = list(range(len(decision)))
            indices.append(int(trial.suggest_categorical(decision.name, options)) if counts else 0)
        return trial, Architecture(indices)

    def _propose(self) -> Architecture:
        self._last, wanted = self._ask_optuna()
        for _ in range(8):  # Optuna proposes again what it likes; here a known result is a trial lost
            if wanted not in self._proposed:
                return wanted
            wanted = self.space.mutate(wanted, self.rng)
        return self._fresh()

    def _asked(self, proposal: Proposal) -> None:
        # of an amended proposal Optuna hears when its result comes
        if proposal.id not in self._trials:
            self._trials[proposal.id] = self._last
            self._calls.append(["ask", proposal.id])

    def _observe(self, proposal: Proposal, reward: float, metrics: Mapping[str, float]) -> None:
        self._calls.append(["tell", proposal.id, list(proposal.architecture), reward])
        self._report(proposal.id, proposal.architecture, reward)

    def _observe_failure(self, proposal: Proposal, reason: str) -> None:
        self._calls.append(["fail", proposal.id])
        self._study.tell(self._trials.pop(proposal.id), state=self._failed)

    def _report(self, id: int, architecture: Architecture, reward: float) -> None:
        trial = self._trials.pop(id)
        wanted = [trial.params.get(decision.name, 0) for decision in self.space.decisions]
        if list(architecture) == wanted:
            self._study.tell(trial, reward)
            return
        import optuna

        # another architecture than Optuna's was evaluated (its own was pending): add that one's result
        self._study.tell(trial, state=self._failed)
        counting = [p for p in range(len(architecture)) if self.space.counts(p, architecture)]
        names = [self.space.decisions[p].name for p in counting]
        choices = [self._fixed(list(range(len(self.space.decisions[p])))) for p in counting]
        self._study.add_trial(
            optuna.trial.create_trial(
                params=dict(zip(names, (architecture[p] for p in counting), strict=True)),
                distributions=dict(zip(names, choices, strict=True)),
                value=reward,
            )
        )

    def _state(self) -> dict[str, Any]:
        return {"calls": self._calls, "optuna_seed": self._seed}

    def _load_state(self, state: Mapping[str, Any]) -> None:
        self._seed = state["optuna_seed"]
        self._calls = [list(call) for call in state["calls"]]
        self._start()
        for kind, id, *rest in self._calls:
            if kind == "ask":
                self._trials[id], _ = self._ask_optuna()
            elif kind == "tell":
                self._report(id, Architecture(rest[0]), rest[1])
            elif kind == "fail":
                self._study.tell(self._trials.pop(id), state=self._failed)
