"""What every search space must hold; make a test of it by naming a space.

class TestMine(SpaceContract):
    def make_space(self):
        return StagedSpace.read("my-space.yaml")
"""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from nas.network.cost import COSTS, cost
from nas.network.cost_table import CostTable
from search_spaces.architecture import Architecture
from search_spaces.mbconv import StagedSpace
from search_spaces.space import NotInSpaceError, SearchSpace
from search_spaces.spec import NetworkSpec

_DRAWN = 50


class SpaceContract:
    """Round trips, membership, neighbours and exact costs."""

    def make_space(self) -> SearchSpace:
        """The space under test."""
        raise NotImplementedError

    @pytest.fixture
    def space(self) -> SearchSpace:
        """As `make_space`."""
        return self.make_space()

    @pytest.fixture
    def drawn(self, space: SearchSpace) -> list[Architecture]:
        """Some architectures of it."""
        rng = np.random.default_rng(0)
        return [space.sample(rng) for _ in range(_DRAWN)]

    def test_architectures_and_specs_go_both_ways(
        self, space: SearchSpace, drawn: list[Architecture]
    ) -> None:
        for architecture in drawn:
            assert space.contains(architecture)
            spec = space.decode(architecture)
            assert space.contains(spec)
            # two architectures may describe one network, so it is the network that comes back
            assert space.decode(space.encode(spec)).digest == spec.digest
            assert space.from_choices(space.choices(architecture)) == architecture
            assert NetworkSpec.from_document(json.loads(json.dumps(spec.to_document()))) == spec

    def test_what_is_outside_is_refused(self, space: SearchSpace) -> None:
        sizes = [len(decision.choices) for decision in space.decisions]
        for bad in ([], [-1] * len(sizes), sizes, [0] * (len(sizes) + 1)):
            assert not space.contains(Architecture(bad))
            with pytest.raises(NotInSpaceError):
                space.decode(Architecture(bad))

    def test_mutants_and_neighbours_are_inside_and_near(
        self, space: SearchSpace, drawn: list[Architecture]
    ) -> None:
        rng = np.random.default_rng(1)
        for architecture in drawn[:10]:
            if space.size > 1:
                mutant = space.mutate(architecture, rng)
                assert space.contains(mutant)
                assert mutant != architecture
            for neighbour in space.neighbours(architecture):
                assert space.contains(neighbour)
                # one decision, and those that count with one of its choices alone
                changed = [d for d, (a, b) in enumerate(zip(architecture, neighbour, strict=True)) if a != b]
                on = {space.conditions[d][0] if d in space.conditions else d for d in changed}
                assert len(changed) == 1 or len(on) == 1
            child = space.crossover(architecture, drawn[-1], rng)
            assert all(
                gene in pair
                for gene, pair in zip(child, zip(architecture, drawn[-1], strict=True), strict=True)
            )

    def test_sampling_reaches_every_choice_and_follows_the_seed(self, space: SearchSpace) -> None:
        rng, same = np.random.default_rng(5), np.random.default_rng(5)
        most = max(len(decision.choices) for decision in space.decisions)
        rows = [space.sample(rng) for _ in range(60 * most)]
        assert rows[:20] == [space.sample(same) for _ in range(20)]
        for index, decision in enumerate(space.decisions):
            # of a decision that doesn't always count, what is too rare to be met is left out
            often = [c for c in range(len(decision)) if space.share(index, c) * len(rows) > 20]
            seen = {row[index] for row in rows if space.counts(index, row)}
            assert seen >= set(often)
            if not space.conditions:
                assert len(often) == len(decision)

    def test_its_size_is_what_it_holds(self, space: SearchSpace) -> None:
        assert space.size >= 1
        if space.size <= 2000:
            listed = list(space.enumerate())
            assert len(set(listed)) == len(listed) == space.size
            assert all(space.canonical(architecture) == architecture for architecture in listed)

    def test_what_does_not_count_changes_nothing(self, space: SearchSpace, drawn: list[Architecture]) -> None:
        rng = np.random.default_rng(2)
        for architecture in drawn[:10]:
            assert space.canonical(architecture) == architecture
            for position in np.flatnonzero(~space.counting(architecture)).tolist():
                other = architecture.replace(position, int(rng.integers(len(space.decisions[position]))))
                assert space.canonical(other) == architecture
                assert space.decode(other).digest == space.decode(architecture).digest

    def test_costs_by_table_are_the_specs_own(self, space: SearchSpace, drawn: list[Architecture]) -> None:
        if not isinstance(space, StagedSpace):
            pytest.skip("only staged spaces have a cost table")
        table = CostTable(space)
        for name in COSTS:
            wanted = [getattr(cost(space.decode(architecture)), name) for architecture in drawn]
            assert table(drawn, name).tolist() == wanted

    def test_a_network_has_one_digest(self, space: SearchSpace, drawn: list[Architecture]) -> None:
        shuffled = list(drawn)
        random.Random(0).shuffle(shuffled)
        again = {architecture: space.decode(architecture).digest for architecture in shuffled}
        assert all(space.decode(architecture).digest == again[architecture] for architecture in drawn)
