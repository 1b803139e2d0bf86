"""The evaluators by name: a line for each."""

from nas.runs.benchmark_settings import BenchmarkSettings
from nas.runs.evaluator_settings import EvaluatorSettings
from nas.runs.function_settings import FunctionSettings
from nas.runs.supernet_settings import SupernetSettings
from nas.runs.train_settings import TrainSettings

EVALUATORS: dict[str, type[EvaluatorSettings]] = {
    "train": TrainSettings,
    "supernet": SupernetSettings,
    "benchmark": BenchmarkSettings,
    "function": FunctionSettings,
}
"""The settings of an evaluator by its name."""
