"""The search loop's core: which trial comes next, and what happens when one ends.

It runs nothing itself: `nas.search.in_process` drives it with an evaluator in this process,
`nas.cluster.tune` on a cluster, and `nas.search.simulation` by a virtual clock.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from controller.base import Controller, Proposal, SpaceExhaustedError
from nas.errors import TrialFailedError
from nas.network.analytic import analytic_costs
from nas.search.convergence import Convergence
from nas.search.journal import MemoryJournal
from nas.search.retrace import Replay
from nas.search.reward import Reward
from nas.search.rungs import fidelity_of, rewards_of_parts, rungs
from nas.search.trial import (
    FAILED,
    FINISHED,
    STOPPED,
    Measurement,
    Record,
    Scored,
    Trial,
    make_record,
    package_versions,
)
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.spec import NetworkSpec

_GIVE_UP_AFTER = 5


class Observer(Protocol):
    """Someone who watches a search: tables, event files. Observers write, they never decide."""

    def started(self, trial: Trial) -> None:
        """An evaluation begins."""

    def measured(self, trial: Trial, measurement: Measurement) -> None:
        """An epoch of it is done."""

    def ended(self, record: Record) -> None:
        """A trial has ended and is in the journal."""


class AllTrialsFailedError(InputError):
    """The first trials of this process all failed: the set-up is at fault, going on would only repeat it."""


class SearchLoop:
    """Turns proposals into trials, and results into journal lines and the controller's lessons.

    A network that was evaluated before (another architecture may describe the same one) is not
    evaluated again: its result is taken from the journal, and one that is being evaluated is waited
    for. Every proposal counts as a trial, so the search ends also when the controller has converged.

    Args:
        controller: fresh, as at the start of the run; a journal with trials is replayed into it, up to the
            first whose result the journal has lost: that is evaluated again before the replay goes on.
        reward: of an accuracy and the costs.
        journal: open for writing, or one of this process's memory.
        trials: how many to end with.
        seed: of the run; the seed of an evaluation follows from it and the network.
        observers: told of everything that happens from now on.
        more_costs: of a network, beside the analytic ones; an evaluator's `costs`.
        convergence: ends the search before it has all its trials.
        costs: of an architecture, all that count, from tables; None: computed from its network.
        begun: how many asks and tells of the journal the controller has had already, and whether it repeated
            them by itself.
        epochs: measurements of one full evaluation.

    Attributes:
        running: the trials under evaluation, by id.
        stopping: set to start nothing any more; what was proposed and has no result yet is started
            again by a resumed run.
        ask_seconds: what each ask of the controller took.
    """

    def __init__(
        self,
        controller: Controller,
        reward: Reward,
        journal: MemoryJournal,
        trials: int,
        seed: int = 0,
        observers: Sequence[Observer] = (),
        more_costs: Callable[[NetworkSpec], dict[str, float]] | None = None,
        convergence: Convergence | None = None,
        costs: Callable[[Architecture], dict[str, float]] | None = None,
        begun: tuple[int, int, bool] = (0, 0, True),
        epochs: int = 1,
    ) -> None:
        if trials < 1:
            raise InputError(f"trials {trials}: expected at least 1")
        self.controller, self.reward, self.journal = controller, reward, journal
        self.trials, self.seed, self.observers = trials, seed, observers
        self.more_costs, self.convergence = more_costs, convergence
        self.costs, self.epochs = costs, epochs
        self.running: dict[int, Trial] = {}
        self.stopping = False
        self.ask_seconds: list[float] = []
        self._waiting: dict[str, list[Trial]] = {}  # by the digest of each network that is out
        self._known: dict[str, Record] = {}
        self._exhausted = False
        self._metrics_kept = controller.metrics
        self._versions = package_versions()
        self._to_start: list[Trial] = []
        for record in self.records:
            self._known.setdefault(record.digest, record)
        self._failures: list[str] = []  # of this process, until one of its evaluations has a result
        self._works = False
        self._handed: set[int] = set()
        self._replay = Replay(journal, self._ask, controller.amend, self._teach, begun)
        self._advance()

    @property
    def records(self) -> list[Record]:
        """The ended trials."""
        return self.journal.records

    @property
    def retraced(self) -> bool:
        """Whether a resumed run's controller repeats the journal's proposals, as far as it has been."""
        return self._replay.exact

    @property
    def caught_up(self) -> bool:
        """Whether the controller knows all that the journal has."""
        return self._replay.over

    @property
    def done(self) -> bool:
        """Whether nothing is left to start or to wait for."""
        return self.complete or (self.stopping and not self.running)

    @property
    def complete(self) -> bool:
        """Whether the search has all its trials, or has converged or exhausted its space."""
        return self._replay.over and self._nothing_new and not self.running and not self._to_start

    @property
    def _nothing_new(self) -> bool:
        return self._exhausted or self.converged or len(self.journal.proposals) >= self.trials

    @property
    def converged(self) -> bool:
        """Whether the search has ended itself."""
        return self.convergence is not None and self.convergence.reached

    def next_trial(self) -> Trial | None:
        """The next evaluation to start; None if there is none now (see `done`).

        Raises:
            AllTrialsFailedError: none of this process's first trials gave a result.
        """
        self._check_failures()
        if self.stopping:
            return None
        if self._to_start:
            return self._start(self._to_start.pop(0))
        if not self._replay.over:
            return self._next_lost()
        while not self._nothing_new:
            try:
                proposal = self._ask()
            except SpaceExhaustedError:
                self._exhausted = True
                break
            self.journal.propose(proposal.id, self._replay.told, proposal.architecture)
            trial = self._trial(proposal)
            if not self._settle(trial):
                return self._start(trial)
        return None

    def measure(self, trial: Trial, measurement: Measurement) -> None:
        """Pass on a measurement of a running trial."""
        for observer in self.observers:
            observer.measured(trial, measurement)

    def finish(
        self,
        trial: Trial,
        measurements: Iterable[Measurement],
        stopped: bool = False,
        worker: str | None = None,
        started: float = 0,
        seconds: float = 0,
    ) -> None:
        """End a running trial with its measurements (at least one).

        Args:
            trial: as `next_trial` gave it.
            measurements: one an epoch; the last one's accuracy counts.
            stopped: a scheduler ended it early.
            worker: `host:pid`.
            started: Unix time.
            seconds: how long it took.
        """
        rows = list(measurements)
        try:
            if not rows:
                raise TrialFailedError("the evaluation gave no measurement")
            reward = self.reward(rows[-1]["accuracy"], trial.costs)
        except TrialFailedError as error:
            self.fail(trial, str(error), worker, started, seconds)
            return
        self._end(
            trial,
            state=STOPPED if stopped else FINISHED,
            reward=reward,
            accuracy=rows[-1]["accuracy"],
            measurements=rows,
            worker=worker,
            started=started,
            seconds=seconds,
        )

    def fail(
        self, trial: Trial, reason: str, worker: str | None = None, started: float = 0, seconds: float = 0
    ) -> None:
        """End a running trial without a result."""
        self._end(
            trial,
            state=FAILED,
            reward=None,
            accuracy=None,
            reason=reason,
            worker=worker,
            started=started,
            seconds=seconds,
        )

    def goes_on(self, trial: Trial, measurements: Sequence[Measurement]) -> bool:
        """Whether a running trial is worth its next epoch to the controller, asked after some (`rungs`)."""
        if not self._replay.over or measurements[-1]["epoch"] not in rungs(self.epochs):
            return True
        rewards = rewards_of_parts(measurements, trial.costs, self.epochs, self.reward)
        return not rewards or self.controller.goes_on(trial.id, rewards)

    def again(self, trial: Trial) -> None:
        """Put a running trial, whose worker is gone, first in the queue; it keeps its checkpoint."""
        del self.running[trial.id]
        self._to_start.insert(0, trial)

    def _ask(self) -> Proposal:
        began = time.perf_counter()
        proposal = self.controller.ask()
        self.ask_seconds.append(time.perf_counter() - began)
        if self.convergence is not None:
            self.convergence.asked(self.controller.metrics)
        return proposal

    def _start(self, trial: Trial) -> Trial:
        self.running[trial.id] = trial
        for observer in self.observers:
            observer.started(trial)
        return trial

    def _end(self, trial: Trial, **outcome: object) -> None:
        self.running.pop(trial.id, None)
        record = self._record(trial, **outcome)
        self._works = self._works or record.state != FAILED
        if not self._works:
            self._failures.append(record.reason or "")
        followers = self._waiting.pop(trial.digest, [])
        self._keep(record)
        self._advance()
        for follower in followers:
            self._copy(follower, record)
            self._advance()

    def _record(self, trial: Trial, **outcome: object) -> Record:
        asked_after, architecture = self.journal.proposals[trial.id]
        return make_record(
            trial=trial.id,
            architecture=architecture,
            choices=trial.choices,
            digest=trial.digest,
            seed=trial.seed,
            macs=trial.costs["macs"],
            costs=trial.costs,
            versions=self._versions,
            asked_after=asked_after,
            ended_after=self._replay.place(trial.id),
            **outcome,
        )

    def _keep(self, record: Record) -> None:
        if self._replay.give(record):  # else it is told when its turn comes
            record.controller.update(self._teach(record))
        # if this fails the search ends, and what the controller just learned ends with it: a resumed
        # run learns from the journal alone
        self.journal.append(record)
        self._known.setdefault(record.digest, record)
        for observer in self.observers:
            observer.ended(record)

    def _teach(self, record: Record) -> dict[str, float]:
        """Tell the controller; its metrics if they changed since the last trial (an ask changes them too)."""
        if not isinstance(record, Scored):
            self.controller.fail(record.trial, record.reason or "")
        else:
            parts = rewards_of_parts(record.measurements[:-1], record.costs, self.epochs, self.reward)
            for done, reward in parts.items():
                self.controller.report(record.trial, reward, done)
            metrics = {"accuracy": record.accuracy, **record.costs, **fidelity_of(record, self.epochs)}
            self.controller.tell(record.trial, record.reward, metrics)
        if self.convergence is not None:
            self.convergence.ended(record.reward)
        if self.controller.metrics is self._metrics_kept:
            return {}
        self._metrics_kept = self.controller.metrics
        return self._metrics_kept

    def _settle(self, trial: Trial) -> bool:
        """End the trial at once if its network is known, or queue it behind one that is running."""
        if trial.digest in self._known:
            self._copy(trial, self._known[trial.digest])
            return True
        if trial.digest in self._waiting:
            self._waiting[trial.digest].append(trial)
            return True
        self._waiting[trial.digest] = []
        return False

    def _copy(self, trial: Trial, source: Record) -> None:
        original = source.trial if source.same_as is None else source.same_as
        self._keep(
            self._record(
                trial,
                state=source.state,
                reward=source.reward,
                accuracy=source.accuracy,
                measurements=source.measurements,
                reason=source.reason,
                same_as=None if original == trial.id else original,  # what was copied of it is left of it
                worker=source.worker,
            )
        )

    def _trial(self, proposal: Proposal) -> Trial:
        space = self.controller.space
        spec = space.decode(proposal.architecture)
        spec = spec.replace(name=f"{space.name}-trial{proposal.id}")
        if self.costs is not None:
            costs = self.costs(proposal.architecture)
        else:
            costs = analytic_costs(spec, (objective.cost for objective in self.reward.objectives))
            if self.more_costs is not None:
                costs |= self.more_costs(spec)
        text = f"{self.seed} {spec.digest}".encode()
        seed = int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1
        return Trial(proposal, spec, space.choices(proposal.architecture), costs, seed)

    def _advance(self) -> None:
        """Go on with the replay as far as the results are there; at its end start what was running."""
        while not self._replay.over:
            lost = self._replay.advance()
            if lost is None:
                for proposal in self.controller.pending:
                    self._queue(proposal)
            elif lost in self._handed or self._hand(lost):
                return

    def _queue(self, proposal: Proposal) -> None:
        """Have it started, unless its network's result is known or on its way."""
        trial = self._trial(proposal)
        if not self._settle(trial):
            self._to_start.append(trial)

    def _hand(self, lost: int) -> bool:
        """Queue a lost trial; whether there is now one to wait for."""
        self._handed.add(lost)
        self._queue(Proposal(lost, self.journal.proposals[lost][1]))
        return not self._replay.has(lost)

    def _next_lost(self) -> Trial | None:
        """Another lost trial to start beside the one that the replay waits for."""
        for id in self._replay.lost:
            if id not in self._handed and id in self.journal.proposals:
                self._hand(id)
                if self._to_start:
                    return self._start(self._to_start.pop(0))
        return None

    def _check_failures(self) -> None:
        if (count := len(self._failures)) >= _GIVE_UP_AFTER and not self._works:
            resumed = "" if count == len(self.records) else "since it was resumed, "
            raise AllTrialsFailedError(
                f"{resumed}the first {count} trials all failed; the last: {self._failures[-1]}"
            )
