"""The files of a journal as they are read: what in them is a trial or a proposal, and what is left out.

Files are edited, merged and copied by people, and disks lose blocks. Each line stands for itself, and says
where in the order of ends its trial belongs; so a line that is damaged, missing, there twice or in another
place costs at most its own trial.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nas.errors import TrialFailedError
from nas.search.journal_line import DamagedLineError, parse_proposal, parse_record
from nas.search.reward import Reward
from nas.search.trial import Record, Scored
from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.reading import read_regular
from search_spaces.space import NotInSpaceError, SearchSpace

TRIALS, PROPOSALS, LOCK = "trials.jsonl", "proposals.jsonl", ".lock"

_SAID = 5
_SAME = 1e-9
"""Relative difference of two rewards that another machine's arithmetic explains."""

Proposals = dict[int, tuple[int, Architecture]]
"""By trial id: how many trials had ended when it was proposed, and what."""


@dataclass
class JournalFiles:
    """What the files of a run hold.

    Attributes:
        records: the ended trials, in the order they ended, each with its place in it.
        proposals: as far as they were kept.
        remarks: what was left out, made good or given anew, for the user, a line each.
        damaged: the lines of trials that were left out and say something that no other line says.
        contents: of each file, by its name, once it is in order: one line for each trial, none else.
        in_order: by the name of a file, whether it has that content already.
    """

    records: list[Record] = field(default_factory=list)
    proposals: Proposals = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    damaged: list[bytes] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    in_order: dict[str, bool] = field(default_factory=dict)


@dataclass
class _Line:
    """A line that is a trial: where it stands, and fields of it that this version doesn't know."""

    number: int
    record: Record
    raw: bytes
    more: dict[str, Any]
    changed: bool = False

    def content(self) -> bytes:
        return dump_line(self.record.to_line() | self.more) if self.changed else self.raw + b"\n"


def dump_line(line: dict[str, Any]) -> bytes:
    """An object as a line of a journal; raises ValueError for NaN and infinity, which JSON can't say."""
    return json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def read_files(
    folder: Path, space: SearchSpace | None = None, reward: Reward | None = None, whole: bool = False
) -> JournalFiles:
    """Read a run's journal; changes nothing.

    Args:
        folder: of the run.
        space: of the run; a trial that is none of it is left out.
        reward: of the run; a trial that has another one is given this, by its accuracy and costs.
        whole: compare networks too, not their choices only.

    Raises:
        InputError: a file can't be read, more of its lines are damaged than not, or a trial was not measured
            for what the reward weighs.
    """
    found = JournalFiles()
    path = folder / TRIALS
    pieces, torn, odd = _split(path)
    proposed = _read_proposals(folder / PROPOSALS, found, space)
    at_most = 2 * (len(pieces) + proposed)
    owners: dict[tuple[int, Architecture], set[int]] = {}
    for trial, proposal in found.proposals.items():
        owners.setdefault(proposal, set()).add(trial)
    lines: dict[int, _Line] = {}
    left_out: list[str] = []
    for index, (number, raw) in enumerate(pieces):
        try:
            line = _parse(number, raw, index, at_most, space, whole)
            _check_proposal(line.record, found.proposals, owners)
        except DamagedLineError as error:
            if not (torn and index == len(pieces) - 1):
                left_out.append(f"line {number} is left out ({error})")
                found.damaged.append(raw)
            continue
        if (first := lines.setdefault(line.record.trial, line)) is not line:
            where = f"trial {line.record.trial} is in line {first.number}"
            left_out.append(f"line {number} is left out ({where})")
            found.damaged += [raw] if raw != first.raw else []
        elif line.more:
            names = ", ".join(map(ascii, sorted(line.more)))
            found.remarks.append(f"{path}: line {number}: nothing is known of {names}; it is kept as it is")
    if len(left_out) > max(1, len(lines)):
        raise InputError(
            f"{path}: {len(left_out)} of {len(left_out) + len(lines)} lines are no trials of this run: "
            f"{left_out[0]}; bring back the file, or remove those lines to have their trials run again"
        )
    found.remarks += _cut(path, left_out, "a trial without a line is run again by a resumed run")
    _place(lines.values(), found.proposals)
    ordered = sorted(lines.values(), key=lambda line: (line.record.ended_after or 0, line.number))
    if reward is not None:
        _rescore(path, ordered, reward, found.remarks)
    found.records = [line.record for line in ordered]
    for record in found.records:
        found.proposals[record.trial] = (record.asked_after, record.architecture)
    sorted_already = ordered == sorted(ordered, key=lambda line: line.number)
    rescored = any(line.changed for line in ordered)
    moved = bool(left_out) or not sorted_already
    found.in_order[TRIALS] = not (odd or rescored or moved)
    if moved:
        for line in ordered:  # where they stand no longer says in which order trials ended
            line.changed = line.changed or b'"ended_after"' not in line.raw
    found.contents[TRIALS] = b"".join(line.content() for line in ordered)
    return found


def _parse(
    number: int, raw: bytes, index: int, at_most: int, space: SearchSpace | None, whole: bool
) -> _Line:
    record, more = parse_record(raw)
    place = index if record.ended_after is None else record.ended_after
    for name, value in (("trial", record.trial), ("asked_after", record.asked_after), ("ended_after", place)):
        if value > at_most:
            raise DamagedLineError(f"{name} {value}: there are not that many")
    if space is not None:
        _check_space(record, space, whole)
    return _Line(number, record, raw, more)


def _check_space(record: Record, space: SearchSpace, whole: bool) -> None:
    try:
        choices = space.choices(record.architecture)
    except NotInSpaceError as error:
        raise DamagedLineError(str(error)) from None
    if choices != record.choices or (whole and space.decode(record.architecture).digest != record.digest):
        raise DamagedLineError("its architecture is another one than its choices and digest say")


def _check_proposal(
    record: Record, proposals: Proposals, owners: dict[tuple[int, Architecture], set[int]]
) -> None:
    """Raise `DamagedLineError` for what another trial was proposed as: its id, or what it was asked after."""
    mine = (record.asked_after, record.architecture)
    if record.trial not in (of := owners.get(mine, set())) and of:
        raise DamagedLineError(f"trial {record.trial}: it is what trial {min(of)} was proposed as")
    kept = proposals.get(record.trial)
    if kept is not None and kept[1] == record.architecture and kept != mine:
        raise DamagedLineError(f"asked_after {record.asked_after}: {PROPOSALS} has {kept[0]}")


def _read_proposals(path: Path, found: JournalFiles, space: SearchSpace | None) -> int:
    """Take in the proposals; how many lines there are."""
    pieces, torn, odd = _split(path)
    left_out, kept = [], []
    for index, (number, raw) in enumerate(pieces):
        try:
            trial, asked_after, architecture = parse_proposal(raw)
            if max(trial, asked_after) > 2 * len(pieces):
                raise DamagedLineError(f"trial {trial}: there are not that many")
            if space is not None:
                space.check(architecture)
        except (DamagedLineError, NotInSpaceError) as error:
            if not (torn and index == len(pieces) - 1):
                left_out.append(f"line {number} is left out ({error})")
            continue
        if trial in found.proposals:
            odd = True
            continue
        found.proposals[trial] = (asked_after, architecture)
        kept.append(raw + b"\n")
    found.remarks += _cut(path, left_out, "the controller is asked for it again")
    found.in_order[PROPOSALS] = not (odd or left_out)
    found.contents[PROPOSALS] = b"".join(kept)
    return len(pieces)


_LONGEST = 4 << 30
"""Bytes of a journal; a million trials have about one thousand millions."""


def _split(path: Path) -> tuple[list[tuple[int, bytes]], bool, bool]:
    """The lines of a file that aren't blank, with their numbers; whether the last has no end; whether
    anything else of the file is not as we write it."""
    try:
        content = read_regular(path, _LONGEST, "journal of ours")
    except FileNotFoundError:
        return [], False, False
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path}: line 1 begins a text in UTF-16; save the file as UTF-8")
    text = content.removeprefix(codecs.BOM_UTF8)
    pieces = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    pieces = [(number, line) for number, line in pieces if line]
    torn = not text.endswith(b"\n") and bool(text.strip())
    return pieces, torn, content != b"".join(line + b"\n" for _, line in pieces)


def _place(lines: Iterable[_Line], proposals: Proposals) -> None:
    """Give the trials of an earlier version, which didn't keep it, their place in the order of ends."""
    lines = list(lines)
    asked = [(line.record.trial, line.record.asked_after) for line in lines]
    asked += [(trial, after) for trial, (after, _) in proposals.items()]
    # one at a time, they ended in the order they were proposed in, wherever their lines stand
    one_by_one = all(trial == after for trial, after in asked)
    for index, line in enumerate(lines):
        if line.record.ended_after is None:
            place = line.record.trial if one_by_one else index
            line.record = replace(line.record, ended_after=place)


def _rescore(path: Path, lines: list[_Line], reward: Reward, remarks: list[str]) -> None:
    """Give trials the reward that is the run's, where theirs is another one."""
    changed = []
    for line in lines:
        record = line.record
        if not isinstance(record, Scored):
            continue
        try:
            value = reward(record.accuracy, record.costs)
        except KeyError as error:
            raise InputError(
                f"{path}: line {line.number}: the reward weighs {error}, which was not kept of trial "
                f"{record.trial}: the trials would not compare; put the targets back, or start a new search"
            ) from None
        except (TrialFailedError, OverflowError, ZeroDivisionError) as error:
            raise InputError(
                f"{path}: line {line.number}: trial {record.trial} has no such reward: {error}"
            ) from None
        if not math.isclose(value, record.reward, rel_tol=_SAME, abs_tol=_SAME):
            line.record, line.changed = replace(record, reward=value), True
            changed.append(line.number)
    if changed:
        scored = sum(isinstance(line.record, Scored) for line in lines)
        which = f"line {changed[0]}" if len(changed) == 1 else f"{len(changed)} of {scored} trials"
        remarks.append(
            f"{path}: {which}: the rewards are not what search.yaml's reward makes of the accuracy and the "
            "costs; they are recomputed from those"
        )


def _cut(path: Path, words: list[str], consequence: str) -> list[str]:
    """The first of them as remarks, and how many more there are."""
    said = [f"{path}: {word}; {consequence}" for word in words[:_SAID]]
    if len(words) > _SAID:
        said.append(f"{path}: {len(words) - _SAID} more lines are left out")
    return said
