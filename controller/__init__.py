"""Who proposes: the ask/tell contract and the controllers. Loads torch only when PPO is asked for."""

import importlib
from typing import TYPE_CHECKING, Any

from controller.base import (
    Controller,
    ControllerError,
    Proposal,
    RewardLine,
    SpaceExhaustedError,
    UnknownProposalError,
)
from controller.evolution import Evolution
from controller.local_search import LocalSearch
from controller.nsga2 import NSGA2
from controller.pareto import dominates, hypervolume, pareto_front
from controller.random_search import RandomSearch
from controller.registry import CONTROLLERS, make_controller

if TYPE_CHECKING:
    from controller.coarse_to_fine import CoarseToFine
    from controller.optuna_search import OptunaSearch
    from controller.ppo import PPO
    from controller.predictor_guided import PredictorGuided

__all__ = [
    "CONTROLLERS",
    "NSGA2",
    "PPO",
    "CoarseToFine",
    "Controller",
    "ControllerError",
    "Evolution",
    "LocalSearch",
    "OptunaSearch",
    "PredictorGuided",
    "Proposal",
    "RandomSearch",
    "RewardLine",
    "SpaceExhaustedError",
    "UnknownProposalError",
    "dominates",
    "hypervolume",
    "make_controller",
    "pareto_front",
]

# these need torch, Optuna or scipy, and load when they are asked for
_LAZY = {
    "PPO": "controller.ppo",
    "OptunaSearch": "controller.optuna_search",
    "PredictorGuided": "controller.predictor_guided",
    "CoarseToFine": "controller.coarse_to_fine",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'controller' has no attribute {name!r}")
