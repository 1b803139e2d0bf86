"""The search loop and its journal, driven in process."""

import json
import math

import numpy as np
import pytest

from controller import make_controller
from nas.search.in_process import run_in_process
from nas.search.journal import PROPOSALS, TRIALS, Journal, read_records
from nas.search.loop import AllTrialsFailedError, SearchLoop
from nas.search.results import Results
from nas.search.reward import make_reward
from nas.search.trial import Record
from search_spaces import InputError, StagedSpace, get_space
from tests.nas.search.fakes import AlwaysFails, FailsSometimes, Fake


def make_loop(journal, trials=30, controller="evolution", space=None, seed=0, **options):
    space = space or get_space("mnasnet")
    made = make_controller(controller, space, seed, options)
    return SearchLoop(made, make_reward("soft", {"macs": "400M"}), journal, trials, seed)


def search(folder, evaluator=None, **kwargs):
    folder.mkdir(exist_ok=True)
    with Journal(folder) as journal:
        run_in_process(make_loop(journal, **kwargs), evaluator or Fake())
    return read_records(folder)


def stable(records):
    """Records without what differs from run to run."""
    return [{**r.to_line(), "started": 0, "seconds": 0} for r in records]


@pytest.fixture
def tiny():
    """Twelve architectures, but only nine networks: the skip has no effect where the width changes."""
    stages = [{"op": "ds", "channels": [8, 16, 32], "kernel": [3, 5], "skip": ["none", "identity"]}]
    return StagedSpace.from_document({"schema": 1, "space": "tiny", "stages": stages})


def test_every_trial_is_in_the_journal_once(tmp_path):
    records = search(tmp_path, FailsSometimes(), trials=60)
    assert sorted(r.trial for r in records) == list(range(60))
    states = [r.state for r in records]
    assert 5 < states.count("failed") < 40
    for record in records:
        line = record.to_line()
        assert {"reward", "macs"} <= set(line)
        assert (record.reward is None) == (record.state == "failed") == (record.reason is not None)
    assert Results(records).best.reward == max(r.reward for r in records if r.reward is not None)


def test_rewards_are_what_the_reward_says(tmp_path):
    for record in search(tmp_path, trials=10):
        assert record.reward == pytest.approx(record.accuracy * (record.macs / 400e6) ** -0.07)
        assert record.accuracy == record.measurements[-1]["accuracy"] == record.seed % 1000 / 1000


def test_equal_networks_are_evaluated_once(tmp_path, tiny):
    starts = []

    class Counting(Fake):
        def start(self, spec, seed):
            starts.append(spec.digest)
            return super().start(spec, seed)

    records = search(tmp_path, Counting(), trials=12, controller="random", space=tiny)
    assert len(records) == 12
    assert len(starts) == len(set(starts)) == len({r.digest for r in records}) == 8
    copies = [r for r in records if r.same_as is not None]
    assert len(copies) == 4
    by_id = {r.trial: r for r in records}
    for copy in copies:
        original = by_id[copy.same_as]
        assert original.same_as is None
        assert (copy.digest, copy.reward, copy.measurements) == (
            original.digest,
            original.reward,
            original.measurements,
        )


def test_a_running_network_is_waited_for(tmp_path, tiny):
    with Journal(tmp_path) as journal:
        loop = make_loop(journal, trials=12, controller="random", space=tiny)
        running = []
        while (trial := loop.next_trial()) is not None:
            running.append(trial)
        assert len(running) == 8
        assert not loop.done
        for trial in reversed(running):
            loop.finish(trial, [{"epoch": 1, "accuracy": 0.5}])
        assert loop.done
        assert sorted(r.trial for r in journal.records) == list(range(12))


def test_an_exhausted_space_ends_the_search(tmp_path, tiny):
    assert len(search(tmp_path, trials=99, controller="ppo", space=tiny)) >= 12


@pytest.mark.parametrize("controller", ["random", "evolution", "ppo", "predictor", "local-search", "nsga2"])
def test_resumed_at_any_trial_it_ends_equal(tmp_path, controller):
    options = {"batch": 4} if controller == "ppo" else {}
    whole = search(tmp_path / "whole", FailsSometimes(), trials=40, controller=controller, **options)
    for stop in (1, 5, 17, 39):
        folder = tmp_path / f"part{stop}"
        search(folder, FailsSometimes(), trials=stop, controller=controller, **options)
        parts = search(folder, FailsSometimes(), trials=40, controller=controller, **options)
        assert stable(parts) == stable(whole)


def drive(loop, rng, ends, k=4):
    """Keep k trials running and end one of them at random; stop after so many ends, the rest running."""
    running = list(loop.running.values())
    while ends:
        while len(running) < k and (trial := loop.next_trial()) is not None:
            running.append(trial)
        if not running:
            return
        trial = running.pop(rng.integers(len(running)))
        loop.finish(trial, [{"epoch": 1, "accuracy": trial.seed % 1000 / 1000}])
        ends -= 1


@pytest.mark.parametrize("controller", ["random", "evolution", "ppo"])
def test_resume_starts_the_trials_that_were_running(tmp_path, controller):
    with Journal(tmp_path) as journal:
        loop = make_loop(journal, 30, controller)
        drive(loop, np.random.default_rng(0), 11)
        left = sorted(loop.running)
        state = loop.controller.state_dict()
    assert len(left) >= 3
    with Journal(tmp_path) as journal:
        loop = make_loop(journal, 30, controller)
        assert loop.retraced
        assert loop.controller.state_dict() == state
        assert [loop.next_trial().id for _ in left] == left
        drive(loop, np.random.default_rng(1), 99)
        assert loop.done
    assert sorted(r.trial for r in read_records(tmp_path)) == list(range(30))


def test_a_run_of_another_version_goes_on(tmp_path):
    search(tmp_path, trials=10, controller="evolution")
    with Journal(tmp_path) as journal:
        loop = make_loop(journal, 20, "random", seed=7)  # proposes other architectures than the journal has
        assert not loop.retraced
        run_in_process(loop, Fake())
    records = read_records(tmp_path)
    assert sorted(r.trial for r in records) == list(range(20))


def test_it_gives_up_when_everything_fails(tmp_path):
    with pytest.raises(AllTrialsFailedError, match="first 5 trials all failed; the last: no luck"):
        search(tmp_path, AlwaysFails())
    assert len(read_records(tmp_path)) == 5


def test_failures_of_an_earlier_process_end_no_other(tmp_path):
    with pytest.raises(AllTrialsFailedError, match=r"^the first 5 trials all failed"):
        search(tmp_path, AlwaysFails())
    records = search(tmp_path, trials=12)  # whose set-up is mended
    assert [r.state for r in records] == ["failed"] * 5 + ["finished"] * 7


def test_a_resumed_search_gives_up_when_everything_fails_now(tmp_path):
    search(tmp_path, trials=3)
    for count in (8, 13):  # what failed before counts no more
        with pytest.raises(AllTrialsFailedError, match="since it was resumed, the first 5 trials all failed"):
            search(tmp_path, AlwaysFails())
        assert len(read_records(tmp_path)) == count


def test_the_front_of_a_search(tmp_path):
    records = search(tmp_path, trials=40)
    front = Results(records).front
    assert front[0].accuracy == max(r.accuracy for r in records)
    for worse, better in zip(front[1:], front, strict=False):
        assert worse.accuracy < better.accuracy
        assert worse.macs < better.macs


def test_a_torn_last_line_is_recovered_from(tmp_path):
    whole = search(tmp_path, trials=8)
    path = tmp_path / TRIALS
    content = path.read_bytes()
    path.write_bytes(content[:-25])
    (tmp_path / PROPOSALS).write_bytes((tmp_path / PROPOSALS).read_bytes()[:-3])
    assert len(read_records(tmp_path)) == 7
    assert path.read_bytes() == content[:-25]  # reading changes nothing
    again = search(tmp_path, trials=8)
    assert stable(again) == stable(whole)


def test_a_trial_twice_is_refused(tmp_path):
    records = search(tmp_path, trials=3)
    with Journal(tmp_path) as journal, pytest.raises(ValueError, match="already"):
        journal.append(records[0])


def test_one_writer_at_a_time(tmp_path):
    with Journal(tmp_path), pytest.raises(InputError, match="another process"):
        Journal(tmp_path)
    Journal(tmp_path).close()


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    """A write that stops halfway is undone, so that the journal stays readable."""
    import os

    real, calls = os.write, []

    def full(handle, data):
        calls.append(handle)
        if len(calls) > 9:
            real(handle, data[:20])
            raise OSError(28, "No space left on device")
        return real(handle, data)

    monkeypatch.setattr("os.write", full)
    with pytest.raises(InputError, match="No space left on device.*nas resume"):
        search(tmp_path, trials=20)
    monkeypatch.undo()
    kept = len(read_records(tmp_path))
    assert kept == 4
    assert len(search(tmp_path, trials=20)) == 20


def test_records_are_plain_json(tmp_path):
    search(tmp_path, trials=3)
    for line in (tmp_path / TRIALS).read_text().splitlines():
        document = json.loads(line)
        assert Record.from_line(document).to_line() == document
        assert math.isfinite(document["reward"])
        assert document["versions"]["torch"]


@pytest.mark.parametrize("controller", ["random", "evolution", "ppo"])
def test_a_line_lost_of_several_at_once_is_evaluated_in_its_place(tmp_path, controller):
    with Journal(tmp_path) as journal:
        loop = make_loop(journal, 16, controller)
        drive(loop, np.random.default_rng(0), 99)
        state = loop.controller.state_dict()
    whole, content = read_records(tmp_path), (tmp_path / TRIALS).read_bytes().splitlines(True)
    for at in range(0, len(whole), 2):
        (tmp_path / TRIALS).write_bytes(b"".join(content[:at] + content[at + 1 :]))
        with Journal(tmp_path) as journal:
            loop = make_loop(journal, 16, controller)
            assert not loop.done
            drive(loop, np.random.default_rng(1), 99)
            assert loop.retraced
            assert loop.done
            assert loop.controller.state_dict() == state
        assert stable(read_records(tmp_path)) == stable(whole)


def test_all_that_is_lost_starts_at_once(tmp_path):
    with Journal(tmp_path) as journal:
        drive(make_loop(journal, 16, "random"), np.random.default_rng(0), 99)
    whole = read_records(tmp_path)
    (tmp_path / TRIALS).write_bytes(b"")
    with Journal(tmp_path) as journal:
        loop = make_loop(journal, 16, "random")
        running = [loop.next_trial() for _ in range(8)]
        assert len({trial.id for trial in running}) == 8
        for trial in reversed(running):
            loop.finish(trial, [{"epoch": 1, "accuracy": trial.seed % 1000 / 1000}])
        drive(loop, np.random.default_rng(1), 99)
        assert loop.done
    again = {record.trial: record for record in read_records(tmp_path)}
    assert [again[r.trial].reward for r in whole] == [r.reward for r in whole]
    assert len(again) == 16
