"""Searches driven by a virtual clock: the order in which results come, and the loop's rules in it."""

import numpy as np
import pytest

from controller import make_controller
from controller.base import Controller
from nas.errors import TrialFailedError
from nas.search.in_process import run_in_process
from nas.search.journal import Journal, MemoryJournal
from nas.search.loop import AllTrialsFailedError, SearchLoop
from nas.search.reward import Reward, make_reward
from nas.search.simulation import RandomWorkers, TimedWorkers, simulate
from search_spaces import Architecture, StagedSpace, get_space
from tests.nas.search.fakes import Fake

SECONDS = (5, 1, 1, 9, 2, 2, 3, 4)  # of trial 0, 1, ...


@pytest.fixture
def tiny():
    """Twelve architectures, but only eight networks: the skip has no effect where the width changes."""
    stages = [{"op": "ds", "channels": [8, 16, 32], "kernel": [3, 5], "skip": ["none", "identity"]}]
    return StagedSpace.from_document({"schema": 1, "space": "tiny", "stages": stages})


class Listening(Controller):
    """Proposes at random and notes how many results it had at each ask, and whose."""

    def __init__(self, space):
        super().__init__(space)
        self.told, self.knew = [], []

    def _propose(self):
        self.knew.append(list(self.told))
        return self._fresh()

    def _observe(self, proposal, reward, metrics):
        self.told.append(proposal.id)


def run(trials=8, count=2, batch=False, workers=None, evaluate=None, controller=None, **options):
    controller = controller or Listening(get_space("mnasnet"))
    loop = SearchLoop(controller, Reward(), MemoryJournal(), trials, **options)
    if workers is None:
        workers = TimedWorkers(lambda trial: SECONDS[trial.id % len(SECONDS)])
    evaluate = evaluate or (lambda trial: {"epoch": 1, "accuracy": trial.seed % 1000 / 1000})
    return loop, workers, list(simulate(loop, evaluate, workers, count, batch))


def test_a_free_worker_gets_the_next_trial_at_once():
    """Two workers: trial 0 takes 5 s, meanwhile 1, 2 and most of 3 are done by the other."""
    loop, workers, ended = run()
    assert [(second, record.trial) for second, record in ended] == [
        (1, 1), (2, 2), (5, 0), (7, 4), (9, 5), (11, 3), (12, 6), (15, 7),
    ]  # fmt: skip
    assert [(r.started, r.seconds) for r in loop.records] == [
        (0, 1), (1, 1), (0, 5), (5, 2), (7, 2), (2, 9), (9, 3), (11, 4),
    ]  # fmt: skip
    assert workers.busy == sum(SECONDS)


def test_the_controller_knows_what_has_ended_and_no_more():
    loop, _, _ = run()
    assert loop.controller.knew == [
        [], [], [1], [1, 2], [1, 2, 0], [1, 2, 0, 4], [1, 2, 0, 4, 5], [1, 2, 0, 4, 5, 3],
    ]  # fmt: skip
    asked_after = {record.trial: record.asked_after for record in loop.records}
    assert [asked_after[trial] for trial in range(8)] == [0, 0, 1, 2, 3, 4, 5, 6]
    assert len(loop.ask_seconds) == 8


def test_a_batch_waits_for_its_slowest():
    loop, workers, ended = run(count=4, batch=True)
    assert [(second, record.trial) for second, record in ended] == [
        (1, 1), (1, 2), (5, 0), (9, 3), (11, 4), (11, 5), (12, 6), (13, 7),
    ]  # fmt: skip
    assert [len(knew) for knew in loop.controller.knew] == [0] * 4 + [4] * 4
    assert workers.busy == sum(SECONDS)


def test_more_workers_than_trials():
    _, _, ended = run(count=99)
    assert [second for second, _ in ended] == sorted(SECONDS)


def test_any_order_is_one_of_the_running():
    loop, _, ended = run(trials=200, count=5, workers=RandomWorkers(np.random.default_rng(0)))
    order = [record.trial for _, record in ended]
    assert sorted(order) == list(range(200))
    assert order != sorted(order)
    assert [second for second, _ in ended] == list(range(1, 201))
    for place, record in enumerate(loop.records):
        assert record.trial < place + 5  # of five running ones
    again = run(trials=200, count=5, workers=RandomWorkers(np.random.default_rng(0)))[2]
    assert [record.trial for _, record in again] == order


def test_one_at_a_time_it_is_the_search_in_process(tmp_path):
    """The same records, but for the times and the process."""

    def loop(journal):
        made = make_controller("evolution", get_space("mnasnet"), 0)
        return SearchLoop(made, make_reward("soft", {"macs": "400M"}), journal, 60)

    with Journal(tmp_path) as journal:
        run_in_process(loop(journal), Fake(epochs=1))
        real = journal.records
    simulated = MemoryJournal()
    workers = TimedWorkers(lambda trial: 1)
    for _ in simulate(loop(simulated), lambda t: {"epoch": 1, "accuracy": t.seed % 1000 / 1000}, workers):
        pass

    def lines(records):
        return [{**record.to_line(), "started": 0, "seconds": 0} for record in records]

    assert lines(simulated.records) == lines(real)
    assert workers.busy == sum(record.same_as is None for record in real)


def test_equal_networks_are_evaluated_once(tiny):
    """They are proposals and results like any other, and take no time of a worker's."""
    made = make_controller("random", tiny, 0)
    loop, workers, ended = run(12, 3, workers=TimedWorkers(lambda trial: 1), controller=made)
    assert sorted(record.trial for _, record in ended) == list(range(12))
    assert workers.busy == len({record.digest for record in loop.records}) == 8
    assert sum(record.same_as is not None for record in loop.records) == 4


def test_a_network_with_a_result_has_it_at_once():
    """As soon as it is proposed, also at the very end."""

    class Stubborn(Listening):
        def _propose(self):
            return Architecture([0] * len(self.space.decisions))

    space = get_space("mnasnet")
    loop, workers, ended = run(5, 1, controller=Stubborn(space))
    assert [(second, record.trial, record.same_as) for second, record in ended] == [
        (5, 0, None), (5, 1, 0), (5, 2, 0), (5, 3, 0), (5, 4, 0),
    ]  # fmt: skip
    assert workers.busy == 5
    assert loop.controller.told == [0, 1, 2, 3, 4]


def test_a_trial_without_a_result_takes_its_time_and_is_a_failure():
    def evaluate(trial):
        if trial.id % 2:
            raise TrialFailedError("diverged")
        return {"epoch": 1, "accuracy": 0.5}

    loop, workers, ended = run(evaluate=evaluate)
    assert [record.state for _, record in ended] == [
        "failed" if r.trial % 2 else "finished" for r in loop.records
    ]
    assert loop.controller.told == [2, 0, 4, 6]
    assert workers.busy == sum(SECONDS)


def test_it_gives_up_when_everything_fails():
    def evaluate(trial):
        raise TrialFailedError("no luck")

    with pytest.raises(AllTrialsFailedError, match="first 5 trials all failed; the last: no luck"):
        run(evaluate=evaluate, count=1)


def test_costs_may_come_from_a_table():
    """Instead of being computed from each network."""
    reward = make_reward("soft", {"macs": "400M"})
    controller = make_controller("random", get_space("mnasnet"), 0)
    costs = {"macs": 800e6}
    loop = SearchLoop(controller, reward, MemoryJournal(), 3, costs=lambda architecture: costs)
    list(simulate(loop, lambda trial: {"epoch": 1, "accuracy": 0.5}, TimedWorkers(lambda trial: 1)))
    assert [record.reward for record in loop.records] == [pytest.approx(0.5 * 2**-0.07)] * 3
    assert {record.macs for record in loop.records} == {800e6}


def test_whoever_has_seen_enough_stops_asking():
    controller = Listening(get_space("mnasnet"))
    loop = SearchLoop(controller, Reward(), MemoryJournal(), 99)
    records = simulate(loop, lambda trial: {"epoch": 1, "accuracy": 0.5}, TimedWorkers(lambda trial: 1), 4)
    assert next(records)[1].trial == 0
    assert len(controller.pending) == 3


def test_a_trial_twice_is_refused_in_memory_too():
    loop, _, _ = run()
    with pytest.raises(ValueError, match="trial 1 is in the journal already"):
        loop.journal.append(loop.records[0])
