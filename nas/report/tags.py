"""What a search's curves are called in TensorBoard, what each says, and which come first.

TensorBoard shows groups of tags by the alphabet, so the names decide what is seen first: best, failed, front;
then what explains it: a controller's own, the network, shares of choices, single trials, windows, workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nas.network.cost_words import cost_label

WINDOW = 20
"""Trials that moving averages go over."""

_ABOUT = {
    "best/reward": "reward of the best network so far, by the run's settings; no unit, higher is better",
    "best/accuracy": "accuracy of the best network by reward; a fraction of the scored images",
    "failed/trials": "trials that failed so far; a count. `nas status` and the report have the reasons",
    "front/hypervolume": "share of the rectangle from accuracy 0 and twice the targets that the Pareto front "
    "dominates; a fraction, it never falls",
    "front/size": "networks on the Pareto front of accuracy and the targeted costs; a count",
    "trial/reward": "reward of each trial; no unit",
    "trial/accuracy": "accuracy of each trial; a fraction of the scored images",
    "trial/seconds": "time that each trial took on its worker; seconds",
    "window/reward": f"average reward of the last {WINDOW} trials; no unit",
    "window/accuracy": f"average accuracy of the last {WINDOW} trials; a fraction",
    "workers/at_once": f"trials at the same time, on average over the last {WINDOW}; a count",
    "losses/policy": "PPO: the clipped objective of its last update; no unit",
    "losses/entropy": "PPO: entropy of the policy; nats, 0 when it always proposes the same",
    "losses/approx_kl": "PPO: how far the last update moved the policy; nats",
    "losses/clipfrac": "PPO: part of the ratios that were clipped; a fraction",
    "predictor/rank_correlation": "rank correlation of predicted and seen rewards; -1 to 1",
    "predictor/expected": "reward that the predictor expects of its proposal; no unit",
    "pareto/size": "NSGA-II: networks on the front of its population; a count",
}


def describe(tag: str) -> str:
    """What a curve says, with its unit; empty for one that isn't known."""
    if tag in _ABOUT:
        return _ABOUT[tag]
    group, _, name = tag.partition("/")
    label = cost_label(name)
    unit = label if "," in label or name.startswith("latency") else f"{label}, a count"
    if name.startswith(("throughput", "train_time")):
        unit = label
    return {
        "best": f"{unit}: of the best network by reward, at full size",
        "trial": f"{unit}: of each trial's network, at full size",
    }.get(group, "")


_SEARCH = {
    "reward: best and average": ["best/reward", "window/reward"],
    "accuracy: best and average": ["best/accuracy", "window/accuracy"],
}
_FRONT = {"hypervolume of the front": ["front/hypervolume"], "failed trials": ["failed/trials"]}
_CONTROLLERS = {
    "ppo": {
        "losses": ["losses/policy", "losses/entropy"],
        "of the update": ["losses/approx_kl", "losses/clipfrac"],
    },
    "predictor": {
        "rank correlation of predicted and seen": ["predictor/rank_correlation"],
        "reward expected of the next trial": ["predictor/expected"],
    },
    "nsga2": {"front": ["pareto/size"]},
}


def screens(
    controller: str, costs: Iterable[str], trained: bool
) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """TensorBoard's Custom Scalars dashboard: tags by chart, charts by category, what matters first.

    Args:
        controller: its name.
        costs: those that are targeted.
        trained: whether trials take workers' time; where they don't there is nothing to show of it.
    """
    shown = {f"{cost_label(name)} of the best": [f"best/{name}"] for name in costs}
    found: dict[str, Mapping[str, Sequence[str]]] = {"search": {**_SEARCH, **shown, **_FRONT}}
    if trained:
        found["workers"] = {
            "trials at once": ["workers/at_once"],
            "seconds of a trial": ["trial/seconds"],
        }
    if controller in _CONTROLLERS:
        found["controller"] = _CONTROLLERS[controller]
    return found
