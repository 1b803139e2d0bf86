"""The idea of a search: a trial's way from a proposal to a journal line, and what makes its reward."""

from nas.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "trial": ["Measurement", "Record", "Scored", "Trial"],
        "results": ["Results"],
        "journal": ["Journal", "MemoryJournal", "read_records"],
        "in_process": ["run_in_process"],
        "loop": ["AllTrialsFailedError", "Observer", "SearchLoop"],
        "simulation": ["simulate"],
        "evaluator": ["Evaluator"],
        "train_evaluator": ["TrainEvaluator"],
        "reward": ["Objective", "Reward", "make_reward", "parse_target"],
        "objective": ["make_objective"],
        "convergence": ["Convergence"],
    },
)
