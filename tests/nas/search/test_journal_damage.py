"""Whatever happens to a line of a journal, the run goes on and ends as if nothing had: at most that trial again."""

import json

import pytest

from controller import make_controller
from nas.search.in_process import run_in_process
from nas.search.journal import DAMAGED, PROPOSALS, TRIALS, Journal, read_records
from nas.search.loop import SearchLoop
from nas.search.reward import make_reward
from search_spaces import InputError, get_space
from tests.nas.search.fakes import FailsSometimes

SPACE = get_space("mnasnet")
REWARD = make_reward("soft", {"macs": "400M"})
TRIALS_OF_A_RUN = 9
OPTIONS = {
    "random": {},
    "evolution": {"population": 4, "tournament": 2},
    "local-search": {"initial": 3},
    "nsga2": {"population": 4},
    "ppo": {"batch": 3},
    "predictor": {"initial": 4},
}


class Counting(FailsSometimes):
    """Every third network fails; notes what it evaluates."""

    def __init__(self):
        super().__init__()
        self.evaluated = []

    def start(self, spec, seed):
        self.evaluated.append(spec.digest)
        return super().start(spec, seed)


def run(folder, controller="random", trials=TRIALS_OF_A_RUN, evaluator=None):
    """Begin a run or go on with it: (the ended trials, how many were evaluated now, its remarks)."""
    folder.mkdir(exist_ok=True)
    evaluator = evaluator or Counting()
    with Journal(folder, SPACE, REWARD) as journal:
        made = make_controller(controller, SPACE, 0, OPTIONS[controller])
        loop = SearchLoop(made, REWARD, journal, trials)
        run_in_process(loop, evaluator)
        assert loop.retraced
        remarks = journal.remarks
    return read_records(folder, SPACE, REWARD), len(evaluator.evaluated), remarks


def stable(records):
    """Records without what differs from run to run."""
    return [{**r.to_line(), "started": 0, "seconds": 0} for r in records]


def changed(**fields):
    return lambda lines, k: [*lines[:k], _with(lines[k], **fields), *lines[k + 1 :]]


def _with(line, **fields):
    return json.dumps(json.loads(line) | fields).encode()


def _without(line, field):
    return json.dumps({name: value for name, value in json.loads(line).items() if name != field}).encode()


def replaced(line):
    return lambda lines, k: [*lines[:k], line, *lines[k + 1 :]]


def swapped(lines, k):
    other = (k + 3) % len(lines)
    lines = list(lines)
    lines[k], lines[other] = lines[other], lines[k]
    return lines


COSTS_ITS_TRIAL = {
    "no json": replaced(b"{not json}"),
    "not an object": replaced(b"[1]"),
    "too little": replaced(b'{"trial": 3}'),
    "binary": replaced(b"\x00\xff\xfe\x80"),
    "nested": replaced(b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "digits": replaced(b'{"trial":' + b"9" * 5000 + b"}"),
    "cut": lambda lines, k: [*lines[:k], lines[k][:-40], *lines[k + 1 :]],
    "joined": lambda lines, k: [*lines[:k], lines[k] + lines[k], *lines[k + 1 :]],
    "missing": lambda lines, k: lines[:k] + lines[k + 1 :],
    "reward of text": changed(reward="x"),
    "reward of true": changed(reward=True),
    "reward NaN": changed(reward=float("nan")),
    "accuracy infinite": changed(accuracy=float("inf")),
    "accuracy above 1": changed(accuracy=1.5),
    "negative trial": changed(trial=-1),
    "trial of text": changed(trial="0"),
    "far trial": changed(trial=10**9),
    "another's trial": lambda lines, k: changed(trial=(json.loads(lines[k])["trial"] + 1) % 20)(lines, k),
    "macs of text": changed(macs="x"),
    "other macs": changed(macs=1),
    "costs a list": changed(costs=[1]),
    "no state": changed(state="lost"),
    "architecture too short": changed(architecture=[0]),
    "architecture of texts": changed(architecture=["a"]),
    "another's architecture": changed(architecture=[0] * len(SPACE.decisions)),
    "foreign choice": changed(architecture=[99] * len(SPACE.decisions)),
    "half a surrogate": changed(worker="\ud800"),
    "no digest": lambda lines, k: [*lines[:k], _without(lines[k], "digest"), *lines[k + 1 :]],
    "other digest": changed(digest="0" * 16),
    "asked after more": changed(asked_after=10**12),
    "ended after more": changed(ended_after=10**12),
}
COSTS_NOTHING = {
    "blank": lambda lines, k: [*lines[:k], b"", b"  ", *lines[k:]],
    "twice": lambda lines, k: [*lines[: k + 1], lines[k], *lines[k + 1 :]],
    "twice at the end": lambda lines, k: [*lines, lines[k]],
    "swapped": swapped,
    "first": lambda lines, k: [lines[k], *lines[:k], *lines[k + 1 :]],
    "carriage return": lambda lines, k: [*lines[:k], lines[k] + b"\r", *lines[k + 1 :]],
    "spaces": lambda lines, k: [*lines[:k], b"  " + lines[k] + b" ", *lines[k + 1 :]],
    "written anew": lambda lines, k: [*lines[:k], json.dumps(json.loads(lines[k])).encode(), *lines[k + 1 :]],
}


@pytest.fixture(scope="module", params=list(OPTIONS))
def whole(request, tmp_path_factory):
    """A finished run of a controller: (its name, folder, trials)."""
    folder = tmp_path_factory.mktemp("whole")
    records, _, _ = run(folder, request.param)
    return request.param, folder, records


def damaged_copy(whole, folder, change, at, proposals=True):
    """The run with a line of its trials changed; without its proposals, if so wished."""
    folder.mkdir()
    lines = (whole / TRIALS).read_bytes().splitlines()
    (folder / TRIALS).write_bytes(b"".join(line + b"\n" for line in change(lines, at)))
    if proposals:
        (folder / PROPOSALS).write_bytes((whole / PROPOSALS).read_bytes())


def check_costs_its_trial(whole, folder, kind, at):
    controller, finished, records = whole
    copy = folder / f"{kind}-{at}"
    damaged_copy(finished, copy, COSTS_ITS_TRIAL[kind], at)
    again, evaluated, remarks = run(copy, controller)
    assert stable(again) == stable(records), (kind, at)
    assert evaluated <= 1, (kind, at)
    if kind != "missing":
        assert f"{TRIALS}: line {at + 1} is left out" in remarks[0], (kind, at, remarks)
        assert len(remarks) == 1
        assert (copy / DAMAGED).is_file()
    assert len((copy / TRIALS).read_bytes().splitlines()) == len(records)
    with Journal(copy, SPACE, REWARD) as journal:  # it is in order now
        assert (len(journal.records), journal.remarks) == (len(records), [])


def check_costs_nothing(whole, folder, kind, at):
    controller, finished, records = whole
    copy = folder / f"{kind}-{at}"
    damaged_copy(finished, copy, COSTS_NOTHING[kind], at)
    assert stable(read_records(copy)) == stable(records), (kind, at)
    again, evaluated, _ = run(copy, controller)
    assert (stable(again), evaluated) == (stable(records), 0), (kind, at)
    assert (copy / TRIALS).read_bytes() == (finished / TRIALS).read_bytes() or kind == "written anew"
    assert not (copy / DAMAGED).exists()


def each(kinds, whole):
    """Every kind of damage once, every line in its turn."""
    step = 1 if whole[0] == "random" else 4
    return [(kind, index % TRIALS_OF_A_RUN) for index, kind in enumerate(kinds)][::step]


def test_a_line_that_says_less_costs_its_trial(whole, tmp_path):
    for kind, at in each(COSTS_ITS_TRIAL, whole):
        check_costs_its_trial(whole, tmp_path, kind, at)


def test_a_line_that_stands_otherwise_costs_nothing(whole, tmp_path):
    for kind, at in each(COSTS_NOTHING, whole):
        check_costs_nothing(whole, tmp_path, kind, at)


@pytest.mark.slow
def test_each_damage_at_each_line(whole, tmp_path):
    for at in range(TRIALS_OF_A_RUN):
        for kind in COSTS_ITS_TRIAL:
            check_costs_its_trial(whole, tmp_path, kind, at)
        for kind in COSTS_NOTHING:
            check_costs_nothing(whole, tmp_path, kind, at)


@pytest.mark.parametrize("change", ["missing", "swapped", "no json"])
def test_its_proposals_may_be_lost_too(whole, tmp_path, change):
    controller, folder, records = whole
    for at in range(0, len(records), 1 if controller == "random" else 4):
        copy = tmp_path / str(at)
        damaged_copy(folder, copy, (COSTS_ITS_TRIAL | COSTS_NOTHING)[change], at, proposals=False)
        again, evaluated, _ = run(copy, controller)
        assert stable(again) == stable(records), at
        assert evaluated <= 1


def test_several_lines_are_lost(whole, tmp_path):
    controller, folder, records = whole
    copy = tmp_path / "copy"
    damaged_copy(folder, copy, lambda lines, _: [lines[1], b"?", *lines[4:6], b"{}", lines[7]], 0)
    again, evaluated, remarks = run(copy, controller, trials=12)
    assert stable(again)[: len(records)] == stable(records)
    assert len(again) == 12
    assert evaluated <= 5 + 3
    assert len(remarks) == 2


@pytest.mark.parametrize(
    "shape",
    [
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: content.replace(b"\n", b"\r"),
        lambda content: content.removesuffix(b"\n"),
        lambda content: content.removesuffix(b"\n") + b"\r\n\r\n",
        lambda content: b"\n\n" + content.replace(b"\n", b"\n\n"),
    ],
)
def test_how_an_editor_saves_it_costs_nothing(tmp_path, shape):
    records, _, _ = run(tmp_path)
    for name in (TRIALS, PROPOSALS):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(shape(content))
        assert stable(read_records(tmp_path)) == stable(records)
        again, evaluated, remarks = run(tmp_path)
        assert (stable(again), evaluated, remarks) == (stable(records), 0, [])
        assert (tmp_path / name).read_bytes() == content


def test_a_damaged_proposal_costs_nothing(whole, tmp_path):
    controller, folder, records = whole
    for at in range(0, len(records), 1 if controller == "random" else 4):
        copy = tmp_path / str(at)
        damaged_copy(folder, copy, lambda lines, _: lines[:-1], at)
        lines = (copy / PROPOSALS).read_bytes().splitlines(True)
        (copy / PROPOSALS).write_bytes(b"".join([*lines[:at], b"[]\n", *lines[at + 1 :]]))
        again, evaluated, remarks = run(copy, controller)
        assert stable(again) == stable(records), at
        assert evaluated <= 1
        assert f"{PROPOSALS}: line {at + 1} is left out" in remarks[0]


@pytest.mark.parametrize("content", [b"\xff\xfe[\x00", b"{}\n" * 5, b"[1]\n[2]\n"])
def test_a_file_that_is_no_journal_is_refused_and_stays(tmp_path, content):
    run(tmp_path)
    (tmp_path / TRIALS).write_bytes(content)
    for attempt in (lambda: read_records(tmp_path), lambda: Journal(tmp_path)):
        with pytest.raises(InputError, match=r"trials\.jsonl.*line 1"):
            attempt()
    assert (tmp_path / TRIALS).read_bytes() == content
    (tmp_path / TRIALS).unlink()
    (tmp_path / TRIALS).symlink_to("/dev/zero")
    with pytest.raises(InputError, match="regular file"):
        Journal(tmp_path)


def test_what_a_later_version_keeps_is_kept(tmp_path):
    run(tmp_path, trials=4)
    lines = [_with(line, energy=3.5) for line in (tmp_path / TRIALS).read_bytes().splitlines()]
    (tmp_path / TRIALS).write_bytes(b"\n".join([*lines, lines[2]]) + b"\n")
    records, _, remarks = run(tmp_path, trials=6)
    assert len(records) == 6
    assert "nothing is known of 'energy'" in remarks[0]
    kept = [json.loads(line) for line in (tmp_path / TRIALS).read_text().splitlines()]
    assert [line.get("energy") for line in kept] == [3.5] * 4 + [None] * 2


def test_foreign_values_are_quoted(tmp_path):
    run(tmp_path, trials=3)
    lines = (tmp_path / TRIALS).read_bytes().splitlines()
    (tmp_path / TRIALS).write_bytes(b"\n".join([_with(lines[0], state="\x1b[31m[red]" * 99), *lines[1:]]))
    said = []
    read_records(tmp_path, say=said.append)
    assert len(said) == 1
    assert "\x1b" not in said[0]
    assert len(said[0]) < 300 + len(str(tmp_path))
