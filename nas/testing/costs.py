"""What a cost of one's own must hold; make a test of it by naming the function.

class TestMine(CostContract):
    def make_cost(self):
        return my_cost
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from nas.search.objective import make_objective
from nas.search.own_cost import OwnCost
from nas.search.own_function import OwnFunction
from nas.search.reward import reward_of
from search_spaces.mbconv import StagedSpace
from search_spaces.reference import REFERENCES, reference
from search_spaces.registry import get_space
from search_spaces.spec import NetworkSpec


class CostContract:
    """A positive number, of the network alone; told to the controller as it is."""

    def make_cost(self) -> OwnFunction:
        """The function under test."""
        raise NotImplementedError

    def make_space(self) -> StagedSpace:
        """A space that it is meant for."""
        return get_space("mnasnet")

    @pytest.fixture
    def networks(self) -> list[NetworkSpec]:
        """The references, and some of the space."""
        space, rng = self.make_space(), np.random.default_rng(0)
        drawn = [space.decode(space.sample(rng)) for _ in range(10)]
        return [*map(reference, REFERENCES), *drawn]

    def test_it_is_a_positive_number(self, networks: list[NetworkSpec]) -> None:
        for spec in networks:
            value = float(self.make_cost()(spec))
            assert value > 0, spec
            assert math.isfinite(value), spec

    def test_the_same_network_has_the_same(self, networks: list[NetworkSpec]) -> None:
        function = self.make_cost()
        if not getattr(function, "exact", True):
            pytest.skip("it says exact = False of itself: it may differ")
        first = [function(spec) for spec in networks]
        again = [function(NetworkSpec.from_document(spec.to_document())) for spec in reversed(networks)]
        assert first == again[::-1]
        assert first == [function(spec.replace(name="another name")) for spec in networks]

    def test_the_controller_is_told_it(self) -> None:
        function, space = self.make_cost(), self.make_space()
        rng = np.random.default_rng(1)
        drawn = [space.sample(rng) for _ in range(10)]
        values = np.array([float(function(space.decode(architecture))) for architecture in drawn])
        target = float(values.mean())
        own = {"mine": OwnCost("mine", function, "mine")}
        slope, _ = make_objective(space, reward_of("soft", {"mine": target}), own=own)(np.array(drawn))
        if getattr(function, "exact", True):
            np.testing.assert_allclose(slope, (values / target) ** -0.07, rtol=1e-9)
