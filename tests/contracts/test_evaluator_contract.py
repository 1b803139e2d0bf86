"""The one suite that every evaluator passes."""

import numpy as np
import pytest

from nas.benchmark.evaluator import BenchmarkEvaluator
from nas.benchmark.load import load_surrogate
from nas.data.load import load_data
from nas.search.supernet_evaluator import SupernetEvaluator
from nas.search.train_evaluator import TrainEvaluator
from nas.supernet.plan import read_supernet
from nas.testing import EvaluatorContract
from nas.training.presets import make_recipe
from nas.training.proxy import ProxyTask
from search_spaces import NetworkSpec, StageSpec, StemSpec
from tests.nas.search.fakes import Fake
from tests.nas.supernet.test_training import training as supernet_training


class TestFake(EvaluatorContract):
    def make_evaluator(self):
        return Fake()


class TestBenchmark(EvaluatorContract):
    def make_evaluator(self):
        return BenchmarkEvaluator(load_surrogate(), noise=0.3)


class TestSupernet(EvaluatorContract):
    @pytest.fixture(scope="class", autouse=True)
    def trained(self, tmp_path_factory):
        training = supernet_training(tmp_path_factory.mktemp("supernet") / "x.pt", epochs=1)
        training.run()
        type(self).made = SupernetEvaluator(read_supernet(training.path), training.data)

    def make_evaluator(self):
        return self.made

    def make_spec(self):
        space = self.made.stored.plan.make_space()
        return space.decode(space.sample(np.random.default_rng(0)))


class TestTraining(EvaluatorContract):
    def make_evaluator(self):
        recipe = make_recipe("adamw", {"epochs": 2, "batch": 50})
        return TrainEvaluator(load_data("digits").subset(0.1), recipe, ProxyTask(8, 1.0, 1))

    def make_spec(self):
        return NetworkSpec("small", (StageSpec("ds", 8),), stem=StemSpec(8), head_channels=16)
