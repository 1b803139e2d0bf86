"""Contract suites for what others add: a controller, an evaluator, a cost, an op, a data set, a space.

They need pytest.

Each is a class of tests; a subclass that makes the thing is a test of it:

    from nas.testing import ControllerContract

    class TestMine(ControllerContract):
        def make_controller(self, space, seed):
            return MyController(space, seed)
"""

from nas.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "controllers": ["ControllerContract", "Driver"],
        "costs": ["CostContract"],
        "data": ["DataContract"],
        "evaluators": ["EvaluatorContract"],
        "ops": ["OpContract"],
        "spaces": ["SpaceContract"],
    },
)
