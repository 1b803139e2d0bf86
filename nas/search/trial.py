"""A trial: one architecture under evaluation, its measurements, and the line the journal keeps of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from controller.base import Proposal
from search_spaces.architecture import Architecture
from search_spaces.decision import Choice
from search_spaces.spec import NetworkSpec

Measurement = dict[str, float]
"""What an evaluator reports after each epoch: `epoch`, `accuracy` (a fraction), and more by name."""

FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
"""States of an ended trial: evaluated to the end; ended early by a scheduler; without a result."""


@dataclass(frozen=True)
class Trial:
    """A proposal on its way to a result.

    Attributes:
        proposal: the controller's.
        spec: the network it describes.
        choices: by decision name.
        costs: of the full network, by name.
        seed: of the evaluation; the same for the same network in the same run.
    """

    proposal: Proposal
    spec: NetworkSpec
    choices: dict[str, Choice]
    costs: dict[str, float]
    seed: int

    @property
    def id(self) -> int:
        """The proposal's id."""
        return self.proposal.id

    @property
    def digest(self) -> str:
        """The spec's."""
        return self.spec.digest


@dataclass(frozen=True)
class Record:
    """An ended trial, as the journal keeps it.

    Attributes:
        trial: id within the run.
        state: `finished`, `stopped` or `failed`.
        architecture: choice indices.
        choices: by decision name.
        digest: of the spec; equal for equal networks.
        seed: of the evaluation.
        reward: None if failed.
        accuracy: the last measurement's, None if failed.
        macs: of the full network.
        costs: all of its costs by name.
        measurements: one a epoch.
        reason: why it failed.
        same_as: the trial whose measurements these are, where the same network was trained before.
        controller: the controller's metrics after it learned of this trial.
        worker: `host:pid` of the evaluation.
        started, seconds: Unix time, and how long the evaluation took.
        versions: of the packages that decide a result.
        asked_after: how many trials had ended when this one was proposed; with it a resumed run
            retraces the controller's steps.
        ended_after: how many trials had ended when this one did: its place among them, wherever its line
            stands; None in a run of an earlier version, where the line's own place says it.
    """

    trial: int
    state: str
    architecture: Architecture
    choices: dict[str, Choice]
    digest: str
    seed: int
    reward: float | None
    accuracy: float | None
    macs: float
    costs: dict[str, float]
    measurements: list[Measurement] = field(default_factory=list)
    reason: str | None = None
    same_as: int | None = None
    controller: dict[str, float] = field(default_factory=dict)
    worker: str | None = None
    started: float = 0
    seconds: float = 0
    versions: dict[str, str] = field(default_factory=dict)
    asked_after: int = 0
    ended_after: int | None = None

    def to_line(self) -> dict[str, Any]:
        """As plain data for one line of JSON."""
        return vars(self) | {"architecture": list(self.architecture)}

    @staticmethod
    def from_line(line: dict[str, Any]) -> Record:
        """The inverse of `to_line`; raises TypeError for missing or unknown fields."""
        return make_record(**line | {"architecture": Architecture(line["architecture"])})


@dataclass(frozen=True)
class Scored(Record):
    """A trial with a result, finished or stopped: it has a reward and an accuracy."""

    reward: float
    accuracy: float


def make_record(**fields: Any) -> Record:
    """A record, scored if it has a reward; raises TypeError for missing or unknown fields."""
    return (Record if fields.get("reward") is None else Scored)(**fields)


def package_versions() -> dict[str, str]:
    """The versions of what decides a result, as records keep them."""
    versions = {}
    for package in ("baseline-nas", "torch", "torchvision", "ray"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
