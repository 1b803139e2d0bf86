"""The one suite that every controller passes."""

import json

import pytest

from controller import CONTROLLERS, make_controller
from nas.testing import ControllerContract
from nas.testing.controllers import Driver
from search_spaces import StagedSpace, get_space

OTHERS = [("ppo", {"policy": "lstm"}), ("ppo", {"batch": 3})]
SLOW = ("botorch",)
"""Each of its proposals takes a tenth of a second or more; the slow tests' environment has it."""
VARIANTS = [
    *(
        pytest.param((name, {}), id=name, marks=pytest.mark.slow if name in SLOW else ())
        for name in CONTROLLERS
    ),
    *(
        pytest.param(
            (name, options), id=" ".join([name, *map(str, options.values())]), marks=pytest.mark.slow
        )
        for name, options in OTHERS
    ),
]


class TestControllers(ControllerContract):
    @pytest.fixture(params=VARIANTS, autouse=True)
    def chosen(self, request):
        self.variant = request.param
        if self.variant[0] in SLOW:
            pytest.importorskip(self.variant[0], reason="its extra is not installed")

    def make_space(self):
        if self.variant[0] not in ("optuna", *SLOW):
            return super().make_space()
        # they take time for each decision: half as many, in 8 million architectures
        stage = {"op": ["ds", "mbconv3", "mbconv6"], "channels": [8, 16, 24], "kernel": [3, 5]}
        stages = [{**stage, "repeats": [1, 2, 3]}] * 4
        return StagedSpace.from_document({"schema": 1, "space": "fourfold", "stages": stages})

    def make_controller(self, space, seed):
        name, options = self.variant
        return make_controller(name, space, seed, options)


def test_the_recurrent_policy_resumes_exactly():
    """The whole suite holds it to more, as a slow test."""
    space, results = get_space("mnasnet"), []
    for stop in (0, 9):
        controller, driver = make_controller("ppo", space, 5, {"policy": "lstm", "batch": 4}), Driver()
        for _ in range(stop):
            driver.step(controller)
        again = make_controller("ppo", space, 99, {"policy": "lstm", "batch": 4})
        again.load_state_dict(json.loads(json.dumps(controller.state_dict())))
        for _ in range(14 - stop):
            driver.step(again)
        results.append((driver.log, again.state_dict()))
    assert results[0] == results[1]
