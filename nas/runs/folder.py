"""The run folder: settings, journal, and the results that are written beside it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from controller.registry import CONTROLLERS
from nas.network.cost_words import costs_text
from nas.runs.basis import (
    BASIS,
    basis_of,
    read_basis,
    refusal,
    rewarded,
    steered,
    write_basis,
)
from nas.runs.copies import COPIES, are_begun, begin_copies, renew_copies, with_copies
from nas.runs.flat import read_settings
from nas.runs.link import STORAGE, is_own_link, keep_link
from nas.runs.logs import LOGS
from nas.runs.measured import EXPONENT, MEASURED, MeasuredExponent
from nas.runs.placement import PLACEMENT, TRACKED
from nas.runs.scored_on import SCORED
from nas.runs.settings import SearchSettings
from nas.runs.status import RUNNING
from nas.runs.storage import MODELS
from nas.search.convergence import Convergence
from nas.search.journal import DAMAGED, LOCK, PROPOSALS, TRIALS, Journal, read_records, to_stderr
from nas.search.journal_file import read_files
from nas.search.loop import Observer, SearchLoop
from nas.search.own_cost import OwnCost
from nas.search.results import Results
from nas.search.reward import AUTO
from nas.search.snapshot import SNAPSHOT, read_snapshot, results_digest
from nas.search.trial import Record, Scored, package_versions
from search_spaces.document import (
    check_places,
    is_temporary,
    read_document,
    remove_temporaries,
    write_atomically,
    write_document,
)
from search_spaces.errors import InputError
from search_spaces.notation import network_notation, network_words
from search_spaces.quoting import csv_table, shell_command
from search_spaces.spec import NetworkSpec, read_spec

SETTINGS, BEST, PARETO = "search.yaml", "best.yaml", "pareto.csv"

_WRITTEN = (SETTINGS, BASIS, BEST, PARETO, *COPIES.values(), SNAPSHOT, PLACEMENT, SCORED, STORAGE, RUNNING)
"""What is written anew, whole, at the top of a run's folder."""


_TOP = (*_WRITTEN, TRIALS, DAMAGED, PROPOSALS, LOCK, LOGS, EXPONENT, TRACKED, MODELS)
OURS = "|".join(
    [re.escape(name) for name in _TOP]
    + [
        "checkpoints",
        "ray",
        "points",
        "00000",
        "curves",
        r"projector_config\.pbtxt",
        r"events\.out\.tfevents\..*",
        r"report\.html",
    ]
)
"""What a run and its views write at the top of its folder."""


def is_untouched(folder: Path) -> bool:
    """Whether a new run may begin in a folder: there is none, or nothing but what a killed start has left."""
    if not folder.exists():
        return not folder.is_symlink()
    if not folder.is_dir():
        return False
    of = (SETTINGS, STORAGE, BASIS, *COPIES.values())
    left = {path.name for path in folder.iterdir() if not is_temporary(path.name, of)}
    if STORAGE in left and not is_own_link(folder):
        return False
    copies = left - {STORAGE}
    return not copies or are_begun(folder, copies)


def check_new(folder: Path) -> None:
    """Raise `InputError` unless a new run may begin in a folder."""
    if (folder / SETTINGS).exists():
        raise InputError(
            f"out {folder}: there is a run already; continue it with "
            f"`{shell_command('nas', 'resume', folder)}` or choose another --out"
        )
    if not is_untouched(folder):
        raise InputError(f"out {folder}: exists and is no run; choose another --out")


def sweep(folder: Path) -> None:
    """Remove what a killed driver has left half-written in a run's folder; none may be on it."""
    remove_temporaries(folder, _WRITTEN)
    remove_temporaries(folder / EXPONENT, (Path(MEASURED).name,))


def check_run_places(folder: Path) -> None:
    """Refuse to write into a run's folder that has links elsewhere, pipes or devices; raises `InputError`."""
    check_places(folder, OURS)


class Run:
    """A run folder, `runs/<name>/`.

    Attributes:
        folder: its path.
        settings: what was searched, as kept in `search.yaml`.
    """

    def __init__(self, folder: Path, settings: SearchSettings) -> None:
        self.folder, self.settings = folder, settings
        self.space = settings.make_space()

    @classmethod
    def create(cls, folder: Path, settings: SearchSettings, copy: str | None = None) -> Run:
        """Make a new run folder.

        Args:
            folder: where.
            settings: of the run.
            copy: where its copy will be kept, if it is.

        Raises:
            InputError: it exists and isn't empty, can't be made, or a setting breaks its rule.
        """
        check_new(folder)
        settings.check()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"out {folder}: cannot be made: {error.strerror}") from None
        if copy is not None:
            keep_link(folder, copy)
        else:
            (folder / STORAGE).unlink(missing_ok=True)  # of a start that was killed
        begin_copies(folder, settings)
        # from here on it is a run, that can be gone on with
        write_document(folder / SETTINGS, settings.to_document())
        return cls(folder, with_copies(folder, settings))

    @classmethod
    def open(cls, folder: Path) -> Run:
        """The run in an existing folder; raises `InputError` if there is none."""
        if not (folder / SETTINGS).is_file():
            raise InputError(f"{folder}: no run there (no {SETTINGS})")
        return cls(folder, with_copies(folder, _written(folder)))

    def keep_copies(self) -> None:
        """Keep copies of the files that the settings name, unless there are some of them."""
        self.settings = renew_copies(self.folder, self.settings, _written(self.folder))

    def keep_exponent(self, measured: MeasuredExponent) -> None:
        """Take a measured exponent over into the settings, here and in `search.yaml`, before the search."""
        reward = replace(self.settings.reward, exponent=measured.exponent)
        self.settings = replace(self.settings, reward=reward)
        measured.write(self.folder)
        path = self.folder / SETTINGS
        document = read_document(path)  # what else stands there stays: a resumed run's data may have moved
        document["reward"]["exponent"] = measured.exponent
        write_document(path, document)
        write_basis(self.folder, basis_of(self.settings))

    def records(self, say: Callable[[str], None] | None = None) -> list[Record]:
        """The ended trials, rewarded as the settings say; `say` as `read_records` takes it.

        Raises:
            InputError: as `read_records`.
        """
        kept, now = read_basis(self.folder), basis_of(self.settings)
        why = None if kept is None else refusal(kept, now, read=True)
        try:
            records = read_records(self.folder, self.space, self.settings.make_reward(), say)
        except InputError as error:
            if why is None:
                raise
            raise InputError(f"{self.folder}: its trials were scored by other settings: {why}") from error
        if why is not None and records:
            (say or to_stderr)(f"{self.folder}: its trials were scored by other settings: {why}")
        return records

    def journal(self, say: Callable[[str], None] = lambda text: None) -> Journal:
        """The journal, open for writing; what was put in order and what has changed is said.

        Raises:
            InputError: as `Journal`; or the ended trials would not compare with what the settings give now.
        """
        kept, now = read_basis(self.folder), basis_of(self.settings)

        why = None if kept is None else refusal(kept, now)
        if (why is not None or self.settings.reward.exponent == AUTO) and self._ended:
            if why is None:
                raise InputError(
                    f"exponent {AUTO!r}: it is measured before a search, and {self._ended} trials of "
                    f"{self.folder} have ended; give a number"
                )
            raise InputError(
                f"{self.folder}: its {self._ended} trials were scored by other settings than those of "
                f"{SETTINGS}: {why}; put that back, or start a new search: their results would not compare"
            )
        journal = Journal(self.folder, self.space, self.settings.make_reward())
        try:
            if kept is not None and journal.records:
                for word in (rewarded(kept, now), steered(kept, now)):
                    if word is not None:
                        say(f"{self.folder}: changed since its trials ended: {word}")
            for remark in journal.remarks:
                say(remark)
            if now != kept:
                write_basis(self.folder, now)
        except BaseException:
            journal.close()
            raise
        return journal

    def recall_costs(self, own: Mapping[str, OwnCost], records: Sequence[Record]) -> None:
        """Own costs of ended trials, as they are kept; those of the first and the last are asked for again.

        Raises:
            InputError: another one is given now.
        """
        if own:
            ends = [(record, self.spec(record)) for record in (*records[:3], *records[3:][-3:])]
            for cost in own.values():
                cost.check(ends)
                cost.recall(records)

    def keep_trials(self, trials: int) -> None:
        """Take another number of trials over into the settings, here and in `search.yaml`."""
        if trials == self.settings.trials:
            return
        self.settings = replace(self.settings, trials=trials)
        path = self.folder / SETTINGS
        write_document(path, {**read_document(path), "trials": trials})  # what else stands there stays

    def goal(self, ended: int) -> int:
        """How many trials the run goes on to; of a run of an earlier version never fewer than have ended."""
        return max(self.settings.trials, ended)

    def loop(
        self,
        journal: Journal,
        trials: int,
        observers: Sequence[Observer],
        more_costs: Callable[[NetworkSpec], dict[str, float]] | None = None,
        epochs: int = 1,
    ) -> SearchLoop:
        """The search loop over this run's journal, brought to where the journal ends."""
        settings, controller = self.settings, self.settings.make_controller()
        convergence = Convergence(settings.price) if settings.until == "converged" else None
        begun = (0, 0, True)
        snapshot = None
        if settings.controller.name in CONTROLLERS.built_in:
            snapshot = read_snapshot(self.folder, self.steering, journal.records, journal.proposals)
        if snapshot is not None:
            if snapshot.restore(controller, convergence):
                begun = snapshot.asked, snapshot.told, snapshot.exact
            else:
                controller = settings.make_controller()
                convergence = convergence and Convergence(settings.price)
        return SearchLoop(
            controller,
            settings.make_reward(),
            journal,
            trials,
            settings.seed,
            observers,
            more_costs,
            convergence,
            begun=begun,
            epochs=epochs,
        )

    @property
    def steering(self) -> str:
        """Digest of what decides the controller's proposals, beside the results."""
        settings = self.settings
        decisive = [basis_of(settings), settings.until, settings.price, package_versions()["baseline-nas"]]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True, default=str).encode()).hexdigest()

    def is_over(self, trials: int) -> bool:
        """Whether a search of so many trials has ended here, and left all that it leaves.

        False where it would take more than the files themselves to say so.
        """
        kept, now = read_basis(self.folder), basis_of(self.settings)
        if kept is None or any(changed(kept, now) for changed in (refusal, steered, rewarded)):
            return False
        found = read_files(self.folder, self.space, self.settings.make_reward())
        records, proposals = found.records, found.proposals
        if found.remarks or not all(found.in_order.values()) or len(records) != len(proposals):
            return False
        if trials != self.settings.trials or not any(self.folder.glob("events.out.tfevents.*")):
            return False
        snapshot = read_snapshot(self.folder, self.steering, records, proposals)
        if snapshot is None or not snapshot.trials or (snapshot.asked, snapshot.told) != (len(records),) * 2:
            return False
        return trials == snapshot.trials and snapshot.results == results_digest(self.folder)

    def results(self, records: Iterable[Record]) -> Results:
        """What these trials found, by the costs that the run's reward weighs."""
        return Results(records, self.settings.make_reward())

    def winner(self, results: Results) -> Scored | None:
        """The trial in `best.yaml`; while there is none, the one with the highest reward.

        A controller that knows of noise may have chosen another one than the highest reward seen.
        """
        if results.best is not None and (self.folder / BEST).is_file() and not self._rewarded_anew:
            digest = read_spec(str(self.folder / BEST)).digest
            return next((r for r in results.finished if r.digest == digest), results.best)
        return results.best

    @property
    def _ended(self) -> int:
        """How many trials have ended, whatever they were scored by."""
        return len(read_records(self.folder, say=lambda text: None))

    @property
    def _rewarded_anew(self) -> bool:
        """Whether `best.yaml` was chosen by another reward than the settings'."""
        kept = read_basis(self.folder)
        return kept is not None and rewarded(kept, basis_of(self.settings)) is not None

    def spec(self, record: Record) -> NetworkSpec:
        """The network of a trial."""
        spec = self.space.decode(record.architecture)
        return spec.replace(name=f"{self.space.name}-trial{record.trial}")

    def write_results(self, results: Results, incumbent: int | None = None) -> None:
        """Write `best.yaml` and `pareto.csv` from the trials so far (neither, if none was finished).

        Args:
            results: of the ended trials.
            incumbent: the trial that the controller believes to be best; None: the highest reward.
        """
        best = results.chosen(incumbent)
        if best is None:
            return
        accuracy = f"accuracy {best.accuracy:.4f} ({self.settings.evaluator.accuracy_of})"
        comment = (
            f"trial {best.trial} of {self.folder.name}: reward {best.reward:.4f}, {accuracy}, "
            f"{costs_text(best.costs, results.costs)}\n"
            f"{network_words(self.spec(best))}"
        )
        write_document(self.folder / BEST, self.spec(best).to_document(), comment)
        # the columns that scripts know, and the targeted costs that aren't among them
        more = [o.cost for o in results.objectives if o.cost not in ("macs", "params")]
        rows: list[list[object]] = [["trial", "accuracy", "macs", "params", *more, "reward", "network"]]
        for record in results.front:
            spec = self.spec(record)
            row = [record.trial, record.accuracy, int(record.macs), int(record.costs["params"])]
            others = [record.costs[name] for name in more]
            rows.append([*row, *others, record.reward, network_notation(spec)])
        write_atomically(self.folder / PARETO, csv_table(rows))

    @staticmethod
    def is_run(path: Path) -> bool:
        """Whether a path is a run folder."""
        # unlike Path.is_file, this is false of a name that no file can have
        return os.path.isfile(path / SETTINGS) or os.path.isfile(path / TRIALS)


def _written(folder: Path) -> SearchSettings:
    """The settings as `search.yaml` has them."""
    path = folder / SETTINGS
    return read_settings(read_document(path), str(path))
