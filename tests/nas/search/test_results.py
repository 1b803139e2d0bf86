"""Best, ranking and front are one thing, by the costs that were targeted."""

import numpy as np
import pytest

from controller.pareto import pareto_front
from nas.search.results import Results
from nas.search.reward import Objective, Reward
from nas.search.trial import Record, Scored, make_record
from search_spaces import Architecture


def trial(number, accuracy=None, state="finished", **costs):
    costs = {"macs": 4e8, "params": 5e6} | costs
    return make_record(
        trial=number, state=state, architecture=Architecture((number,)), choices={"a": number}, digest=str(number),
        seed=0, reward=accuracy, accuracy=accuracy, macs=costs["macs"], costs=costs,
    )  # fmt: skip


def test_a_record_is_scored_if_it_has_a_reward():
    assert type(trial(0, 0.5)) is Scored
    failed = trial(1, state="failed")
    assert type(failed) is Record
    for record in (trial(0, 0.5), failed):
        assert Record.from_line(record.to_line()) == record
        assert type(Record.from_line(record.to_line())) is type(record)
    with pytest.raises(TypeError):
        Record.from_line({**failed.to_line(), "odd": 1})


def test_a_stopped_trial_is_never_best():
    results = Results([trial(0, 0.5), trial(1, 0.9, "stopped"), trial(2, state="failed"), trial(3, 0.5)])
    assert results.best.trial == 0  # the earliest of equals
    assert [r.trial for r in results.ranked] == [0, 3]
    assert [r.trial for r in results.front] == [0]
    assert [r.trial for r in results.scored] == [0, 1, 3]
    assert (results.failed, results.states["stopped"]) == (1, 1)
    assert Results().best is None
    assert results.chosen(3).trial == 3
    assert results.chosen(1).trial == 0  # stopped: not to be chosen


def test_the_front_is_of_the_targeted_cost():
    records = [trial(0, 0.5, macs=1e8, latency=9), trial(1, 0.6, macs=2e8, latency=3)]
    assert [r.trial for r in Results(records).front] == [1, 0]
    by_latency = Results(records, Reward((Objective("latency", 5),)))
    assert [r.trial for r in by_latency.front] == [1]
    assert (by_latency.cost, by_latency.target, by_latency.ratio(records[0])) == ("latency", 5, 9 / 5)
    both = Results(records, Reward((Objective("latency", 5), Objective("macs", 4e8))))
    assert [r.trial for r in both.front] == [1, 0]
    faster = [trial(0, 0.5, throughput=100), trial(1, 0.4, throughput=200), trial(2, 0.3, throughput=50)]
    assert [r.trial for r in Results(faster, Reward((Objective("throughput", 80),))).front] == [0, 1]


def test_the_front_grows_as_a_front_of_all():
    rng = np.random.default_rng(0)
    records = [
        trial(i, float(a), macs=float(m))
        for i, (a, m) in enumerate(
            zip(rng.integers(20, size=200) / 20, rng.integers(1, 20, size=200), strict=True)
        )
    ]
    points = [(r.accuracy, -r.macs) for r in records]
    assert [r.trial for r in Results(records).front] == [records[i].trial for i in pareto_front(points)]
