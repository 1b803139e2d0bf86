"""The evaluator contract: a spec in, a stream of measurements out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from nas.search.trial import Measurement
from search_spaces.space import SearchSpace
from search_spaces.spec import NetworkSpec


class Evaluation(ABC, Iterator[Measurement]):
    """One running evaluation; iterate for a measurement per epoch.

    A measurement has `epoch` (from 1) and `accuracy` (a fraction). `TrialFailedError` from `next`
    ends the trial without a result.
    """

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether the measurement given last was the final one."""

    def state_dict(self) -> dict[str, Any]:
        """What another process needs to go on from here, for `torch.save`; empty: it starts anew."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""

    def product(self) -> bytes | None:
        """Of a finished evaluation: a checkpoint of what it trained, if that is worth keeping."""
        return None


class Evaluator(ABC):
    """Measures networks. It is pickled once to every worker, so it carries its data with it.

    Attributes:
        name: `train` ...
        epochs: measurements of one full evaluation.
        instant: it answers at once: one trial follows the other in the driver, no cluster is needed.
        checkpoints: whether evaluations have a state worth saving.
        folders: that it reads while evaluating, so that every node must have them.
        data_digest: of what it measures on, if that could be another one next time.
        decided: fields of its settings that were decided when it was made, kept for a resumed run.
        task: settings of a network that its data decide, such as `num_classes`.
        noisy: whether the same network could have been measured otherwise: then the highest reward
            seen is not always the best network's.
        scores_any: whether it can score networks that are no members of the searched space.
        decodes: it decodes image files while evaluating, by `workers` processes.
        workers: processes that decode for each evaluation; 0: the evaluating one. Whoever places trials
            sets it.
        scored: images that a network's accuracy is of; 0: not known.
        chance: accuracy up to which a network may have learned nothing but to guess; 0: not known.
    """

    name: str
    epochs: int = 1
    instant: bool = False
    checkpoints: bool = False
    folders: tuple[str, ...] = ()
    data_digest: str | None = None
    decided: Mapping[str, Any] = MappingProxyType({})
    task: Mapping[str, int] = MappingProxyType({})
    noisy: bool = True
    scores_any: bool = True
    scored: int = 0
    chance: float = 0.0
    decodes: bool = False
    workers: int = 0

    @abstractmethod
    def start(self, spec: NetworkSpec, seed: int) -> Evaluation:
        """Begin to evaluate the full network `spec`; the same seed gives the same measurements."""

    def costs(self, spec: NetworkSpec) -> dict[str, float]:
        """Costs that the evaluator knows beside the analytic ones, e.g. a measured latency."""
        return {}

    def gpu_memory(self, space: SearchSpace) -> int:
        """Bytes of a GPU that the evaluation of any network of a space may take; 0: it has no use for one."""
        return 0

    def describe(self) -> str:
        """One line for people: what is measured, on what."""
        return self.name

    def without_data(self) -> Evaluator:
        """What a driver needs of it once the workers have it: all but the data itself."""
        return self
