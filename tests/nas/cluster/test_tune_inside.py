"""What is changed of Tune's inside, on a controller that stands still."""

from types import SimpleNamespace

import pytest
from ray.tune.execution.tune_controller import TuneController

from nas.cluster.tune_inside import starting_workers_are_kept


class Still:
    """A `TuneController` with two trials: the first's worker starts, the second waits for room."""

    def __init__(self, finished=False, other_resources="room"):
        self.first, self.second = Trial("room"), Trial(other_resources)
        self._trial_to_actor = {self.first: "starting", self.second: "waiting"}
        self._actor_manager = SimpleNamespace(
            _live_actors_to_ray_actors_resources={"starting", "free", "runs"}
        )
        self._started_actors = {"free", "runs"}
        self._search_alg = SimpleNamespace(is_finished=lambda: finished)
        self._pending_trials = {self.first, self.second}
        self._resetting_trials = set()
        self.given = []

    def reuse(self, trial):
        return TuneController._maybe_reuse_cached_actor(self, trial)


class Trial:
    def __init__(self, resources):
        self.placement_group_factory = resources


@pytest.fixture
def patient(monkeypatch):
    def give(self, trial):
        self.given.append(trial)
        return True

    monkeypatch.setattr(TuneController, "_maybe_reuse_cached_actor", give)
    with starting_workers_are_kept():
        yield


@pytest.mark.usefixtures("patient")
def test_a_free_worker_is_not_given_to_a_trial_whose_own_starts():
    still = Still()
    assert still.reuse(still.first) is False
    # it may have the room that the other one waits for
    assert still.given == [still.second]
    assert Still().reuse(Trial("room")) is True  # a trial that has none yet


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("why", ["resources", "resetting", "starting"])
def test_nor_to_another_that_cannot_use_it(why):
    still = Still(other_resources="other" if why == "resources" else "room")
    if why == "resetting":
        still._resetting_trials.add(still.second)
    if why == "starting":
        still._trial_to_actor[still.second] = "starting"
    assert still.reuse(still.first) is False
    assert still.given == []


@pytest.mark.usefixtures("patient")
def test_when_no_trial_is_to_come_it_takes_the_free_worker():
    still = Still(finished=True)
    assert still.reuse(still.first) is True
    assert still.given == [still.first]
