"""What every op must hold; make a test of it by naming an op.

class TestMine(OpContract):
    def make_op(self):
        return MINE
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from fvcore.nn import FlopCountAnalysis

from nas.network.builder import build
from nas.network.cost import cost
from nas.report.diagram import terminal_diagram, to_svg
from search_spaces.block import OPS, Op, register_op
from search_spaces.mbconv import StagedSpace
from search_spaces.notation import from_notation, to_notation
from search_spaces.spec import NetworkSpec, StageSpec

_PIXELS = 24


class OpContract:
    """Counted as it is built, in every form that a stage can have; written, read and drawn."""

    def make_op(self) -> Op:
        """The op under test."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def op(self) -> Iterator[Op]:
        """As `make_op`, known while a test runs."""
        op = self.make_op()
        known = op.name in OPS.present
        if not known:
            register_op(op)
        yield op
        if not known:
            del OPS[op.name]

    @pytest.fixture
    def networks(self, op: Op) -> list[NetworkSpec]:
        """Of one stage of it each: kernels, strides, widths, SE, and expansions where it has some."""
        stages = [
            StageSpec(op.name, channels, kernel, stride, expansion, repeats, se)
            for channels, kernel, stride, repeats in ((16, 3, 1, 1), (24, 5, 2, 2), (32, 3, 2, 3))
            for expansion in ((1, 4) if op.expands else (1,))
            for se in (0.0, 0.25)
        ]
        return [NetworkSpec("one", (stage,), resolution=_PIXELS, num_classes=5) for stage in stages]

    def test_it_costs_what_is_built(self, networks: list[NetworkSpec]) -> None:
        for spec in networks:
            model, counted = build(spec, 0).eval(), cost(spec)
            assert counted.params == sum(p.numel() for p in model.parameters()), spec
            counter = FlopCountAnalysis(model, torch.zeros(1, 3, _PIXELS, _PIXELS))
            operators = counter.unsupported_ops_warnings(False).by_operator()
            assert counted.macs == operators["conv"] + operators["linear"], spec

    def test_all_of_it_learns(self, networks: list[NetworkSpec]) -> None:
        for spec in networks:
            model = build(spec, 0)
            model(torch.randn(4, 3, _PIXELS, _PIXELS)).square().sum().backward()
            idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
            assert not idle, f"{idle} get no gradient in {spec}"

    def test_it_goes_both_ways(self, networks: list[NetworkSpec]) -> None:
        for spec in networks:
            assert NetworkSpec.from_document(spec.to_document()) == spec
            assert from_notation(to_notation(spec.stages[0])) == spec.stages[0]

    def test_it_is_drawn(self, op: Op, networks: list[NetworkSpec]) -> None:
        for spec in networks:
            assert op.label in to_svg(spec)
            assert terminal_diagram(spec).plain.strip()

    def test_it_is_a_choice_of_a_space(self, op: Op) -> None:
        choices = [f"{op.name}4" if op.expands else op.name, "ds"]
        stages = [{"op": choices, "channels": [16, 24], "repeats": [1, 2]}]
        space = StagedSpace.from_document({"schema": 1, "space": "contract", "stages": stages})
        found = {space.decode(architecture).stages[0].op for architecture in space.enumerate()}
        assert found == {op.name, "ds"}
        for architecture in space.enumerate():
            assert space.encode(space.decode(architecture)) == architecture
