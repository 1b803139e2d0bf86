"""Who proposes: the ask/tell contract and the controllers. Loads torch only when PPO is asked for."""

from typing import TYPE_CHECKING, Any

from controller.base import (
    Controller,
    ControllerError,
    Proposal,
    SpaceExhaustedError,
    UnknownProposalError,
)
from controller.evolution import Evolution
from controller.pareto import dominates, hypervolume, pareto_front
from controller.random_search import RandomSearch
from controller.registry import CONTROLLERS, make_controller

if TYPE_CHECKING:
    from controller.ppo import PPO

__all__ = [
    "CONTROLLERS",
    "PPO",
    "Controller",
    "ControllerError",
    "Evolution",
    "Proposal",
    "RandomSearch",
    "SpaceExhaustedError",
    "UnknownProposalError",
    "dominates",
    "hypervolume",
    "make_controller",
    "pareto_front",
]


def __getattr__(name: str) -> Any:
    if name == "PPO":
        from controller.ppo import PPO

        return PPO
    raise AttributeError(f"module 'controller' has no attribute {name!r}")
