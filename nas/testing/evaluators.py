"""What every evaluator must hold; make a test of it by naming an evaluator and a small network.

class TestMine(EvaluatorContract):
    def make_evaluator(self):
        return MyEvaluator(epochs=2)
"""

from __future__ import annotations

import io
import math
import pickle

import pytest
import torch

from nas.network.cost import COSTS
from nas.search.evaluator import Evaluation, Evaluator
from nas.search.in_process import run_in_process
from nas.search.journal import Journal
from nas.search.loop import SearchLoop
from nas.search.reward import Reward
from nas.search.trial import FINISHED, Measurement
from search_spaces.listed import ListedSpace
from search_spaces.reference import reference
from search_spaces.spec import NetworkSpec


class EvaluatorContract:
    """A stream of measurements, the same for the same seed, that goes on where it was saved."""

    def make_evaluator(self) -> Evaluator:
        """The evaluator under test, as small as it can be: it trains several times."""
        raise NotImplementedError

    def make_spec(self) -> NetworkSpec:
        """A network that it can evaluate."""
        return reference("efficientnet-b0")

    @pytest.fixture
    def evaluator(self) -> Evaluator:
        """As `make_evaluator`."""
        return self.make_evaluator()

    def test_a_measurement_an_epoch_and_then_it_is_finished(self, evaluator: Evaluator) -> None:
        evaluation = evaluator.start(self.make_spec(), 1)
        rows: list[Measurement] = []
        assert not evaluation.finished
        for row in evaluation:
            rows.append(row)
            assert evaluation.finished == (len(rows) == evaluator.epochs)
        assert [row["epoch"] for row in rows] == list(range(1, evaluator.epochs + 1))
        for row in rows:
            assert 0 <= row["accuracy"] <= 1
            assert all(isinstance(value, (int, float)) and math.isfinite(value) for value in row.values())

    def test_the_same_seed_gives_the_same_measurements(self, evaluator: Evaluator) -> None:
        first, second = (_accuracies(evaluator.start(self.make_spec(), 7)) for _ in range(2))
        assert first == second

    def test_it_travels_to_a_worker(self, evaluator: Evaluator) -> None:
        travelled: Evaluator = pickle.loads(pickle.dumps(evaluator))
        spec = self.make_spec()
        assert _accuracies(travelled.start(spec, 3)) == _accuracies(evaluator.start(spec, 3))

    def test_it_goes_on_from_a_checkpoint(self, evaluator: Evaluator) -> None:
        if not evaluator.checkpoints:
            pytest.skip("this evaluator keeps no checkpoints: a lost trial begins anew")
        assert evaluator.epochs > 1, "give the contract an evaluator of two epochs or more"
        spec = self.make_spec()
        whole = _accuracies(evaluator.start(spec, 5))
        first = evaluator.start(spec, 5)
        next(first)
        stream = io.BytesIO()
        torch.save(first.state_dict(), stream)
        again = evaluator.start(spec, 5)
        again.load_state_dict(torch.load(io.BytesIO(stream.getvalue()), weights_only=True))
        assert _accuracies(again) == whole[1:]
        assert again.finished

    def test_costs_are_numbers_of_their_own(self, evaluator: Evaluator) -> None:
        costs = evaluator.costs(self.make_spec())
        assert not set(costs) & set(COSTS)
        assert all(math.isfinite(value) and value > 0 for value in costs.values())
        assert costs == evaluator.costs(self.make_spec())

    def test_it_says_what_it_is(self, evaluator: Evaluator) -> None:
        assert evaluator.describe().strip()
        assert "\n" not in evaluator.describe()
        assert evaluator.without_data().epochs == evaluator.epochs

    def test_a_search_runs_on_it(
        self, evaluator: Evaluator, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        from controller.registry import make_controller

        spec = self.make_spec()
        space = ListedSpace("contract", {"one": spec, "other": spec.replace(dropout=spec.dropout / 2)})
        with Journal(tmp_path_factory.mktemp("run")) as journal:
            loop = SearchLoop(
                make_controller("random", space, 0), Reward(), journal, 2, more_costs=evaluator.costs
            )
            run_in_process(loop, evaluator)
            assert [record.state for record in loop.records] == [FINISHED] * 2


def _accuracies(evaluation: Evaluation) -> list[float]:
    """What an evaluation measures, epoch by epoch."""
    return [row["accuracy"] for row in evaluation]
