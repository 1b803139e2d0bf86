"""The one suite that every controller passes."""

import pytest

from controller import CONTROLLERS, make_controller
from nas.testing import ControllerContract

VARIANTS = [*((name, {}) for name in CONTROLLERS), ("ppo", {"policy": "lstm"}), ("ppo", {"batch": 3})]
IDS = [" ".join([name, *map(str, options.values())]) for name, options in VARIANTS]


class TestControllers(ControllerContract):
    @pytest.fixture(params=VARIANTS, ids=IDS, autouse=True)
    def chosen(self, request):
        self.variant = request.param

    def make_controller(self, space, seed):
        name, options = self.variant
        return make_controller(name, space, seed, options)
