"""The ImageNet benchmark: records, surrogates of them, and what controllers reach on them."""

from nas.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "records": ["BenchmarkRecords", "read_benchmark"],
        "surrogate": ["Surrogate"],
        "load": ["load_surrogate"],
        "evaluator": ["BenchmarkEvaluator"],
        "landmarks": ["Landmarks"],
        "compare": ["Comparison", "compare_controllers"],
        "plan": ["WorkerPlan", "plan_workers"],
    },
)
