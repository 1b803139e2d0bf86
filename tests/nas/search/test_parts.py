"""Trials that end early: what their controller is told, when it is asked, and that a resumed run repeats it."""

import pytest

from controller import make_controller
from nas.search.journal import Journal, read_records
from nas.search.loop import SearchLoop
from nas.search.reward import make_reward
from nas.search.rungs import rungs
from nas.session import _scheduler
from search_spaces import InputError, get_space

REWARD = make_reward("soft", {"macs": "400M"})
EPOCHS = 8


class Listening:
    """A controller's ears: notes what the loop tells."""

    def __init__(self, controller):
        self.told = []
        for name in ("report", "tell", "goes_on"):
            setattr(controller, name, self.noted(name, getattr(controller, name)))

    def noted(self, name, method):
        def call(id, *given):
            self.told.append((name, id, *given))
            return method(id, *given)

        return call


def make_loop(journal, controller, epochs=EPOCHS, trials=12):
    return SearchLoop(controller, REWARD, journal, trials, epochs=epochs)


def rows(trial, count):
    """Measurements that rise towards something of the network's own."""
    return [{"epoch": e, "accuracy": (trial.seed % 97 / 97) * e / EPOCHS} for e in range(1, count + 1)]


def run(loop, ends=None):
    """Each trial to the end, or to where its controller ends it; `ends`: after so many trials of this call."""
    while (trial := loop.next_trial()) is not None:
        count = next((e for e in range(1, EPOCHS) if not loop.goes_on(trial, rows(trial, e))), EPOCHS)
        loop.finish(trial, rows(trial, count), stopped=count < EPOCHS)
        ends = ends and ends - 1
        if ends == 0:
            return


@pytest.mark.parametrize(
    ("epochs", "found"),
    [
        (1, ()),
        (2, (1,)),
        (3, (1, 2)),
        (6, (1, 2, 4)),
        (8, (1, 2, 4)),
        (50, (6, 12, 24)),
        (300, (37, 74, 148)),
    ],
)
def test_rungs(epochs, found):
    assert rungs(epochs) == found


def test_a_part_is_told_as_a_part(tmp_path):
    controller = make_controller("random", get_space("efficientnet"), 0)
    ears = Listening(controller)
    with Journal(tmp_path) as journal:
        loop = make_loop(journal, controller, trials=2)
        first, second = loop.next_trial(), loop.next_trial()
        loop.finish(first, rows(first, 8))
        loop.finish(second, rows(second, 2), stopped=True)

    def reward(trial, epoch):
        return pytest.approx(REWARD(rows(trial, 8)[epoch - 1]["accuracy"], trial.costs))

    told = [call[:-1] if call[0] == "tell" else call for call in ears.told]
    assert told == [
        *[("report", 0, reward(first, epoch), epoch / 8) for epoch in (1, 2, 4)],
        ("tell", 0, reward(first, 8)),
        ("report", 1, reward(second, 1), 1 / 8),
        ("tell", 1, reward(second, 2)),
    ]
    metrics = [call[-1] for call in ears.told if call[0] == "tell"]
    assert [found.get("fidelity") for found in metrics] == [None, 0.25]


def test_it_is_asked_after_some_epochs_of_what_there_is(tmp_path):
    controller = make_controller("random", get_space("efficientnet"), 0)
    ears = Listening(controller)
    with Journal(tmp_path) as journal:
        loop = make_loop(journal, controller)
        trial = loop.next_trial()
        assert all(loop.goes_on(trial, rows(trial, epoch)) for epoch in range(1, 9))
    assert [sorted(call[2]) for call in ears.told] == [[1 / 8], [1 / 8, 1 / 4], [1 / 8, 1 / 4, 1 / 2]]


@pytest.mark.parametrize("stop", [1, 7, 11])
def test_a_resumed_run_repeats_it(tmp_path, stop):
    space = get_space("efficientnet")

    def controller():
        return make_controller("predictor", space, 3, {"initial": 5})

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, ends in ((whole, None), (parts, stop), (parts, None)):
        folder.mkdir(exist_ok=True)
        with Journal(folder) as journal:
            loop = make_loop(journal, controller())
            assert loop.retraced
            run(loop, ends)
    found = [[(r.architecture, r.state, r.reward) for r in read_records(f)] for f in (whole, parts)]
    assert found[0] == found[1]
    assert {state for _, state, _ in found[0]} == {"finished", "stopped"}


def test_a_run_that_began_with_a_scheduler_of_no_use_goes_on_without_it():
    said = []
    assert _scheduler("asha", 1, False, said.append) == "none"
    assert ["a trial of 1 epoch is over" in line for line in said] == [True]
    with pytest.raises(InputError, match="scheduler 'asha': a trial of 1 epoch"):
        _scheduler("asha", 1, True, said.append)
    assert _scheduler("asha", 2, True, said.append) == "asha"
    assert _scheduler("none", 1, True, said.append) == "none"
    assert len(said) == 1
