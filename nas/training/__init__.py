"""One trainer for the proxy task and the full training: its recipe, batches and checkpoints."""

from nas.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "recipe": ["Recipe"],
        "presets": ["PRESETS", "make_recipe"],
        "proxy": ["ProxyTask"],
        "batches": ["Batches"],
        "trainer": ["Trainer"],
        "full": ["FullTraining", "Outputs", "TrainingPlan"],
        "checkpoint": ["load_checkpoint", "load_model"],
        "prediction": ["Prediction", "predict"],
    },
)
