"""What a supernet's training is made of, as plain data, and the file that it is kept in."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nas.network.cost import cost
from nas.supernet.network import Supernet
from nas.supernet.sampling import PathSampler
from nas.training.proxy import ProxyTask
from nas.training.recipe import Recipe
from nas.training.stored import read_stored, tensors
from nas.training.transfer import trained_weights
from search_spaces.document import write_atomically
from search_spaces.errors import InputError
from search_spaces.mbconv import StagedSpace
from search_spaces.spec import NetworkSpec

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class SupernetPlan:
    """All that decides a supernet and its training.

    Attributes:
        space: as a document.
        recipe: how it is trained.
        proxy: what is trained in place of each network.
        num_classes, in_channels: of the data.
        data: how the data were loaded, as whoever loaded them keeps it (`nas.runs.train_settings`).
        data_digest: of what they are.
        seed: of everything random.
        paths: networks of each step.
        distil: smaller ones learn from the largest.
        transforms: small kernels are transformed centres.
        progressive: kernels, depths and the rest are opened one after the other.
        target: MACs that every other random network has; None: any.
    """

    space: Mapping[str, Any]
    recipe: Recipe
    proxy: ProxyTask
    num_classes: int
    in_channels: int
    data: Mapping[str, Any] = field(default_factory=dict)
    data_digest: str = ""
    seed: int = 0
    paths: int = 4
    distil: bool = True
    transforms: bool = False
    progressive: bool = False
    target: float | None = None

    def make_space(self) -> StagedSpace:
        """Its space; raises `InputError` where the document is none."""
        return StagedSpace.from_document(self.space)

    def make(self) -> Supernet:
        """The supernet with its first weights."""
        trained = partial(_trained, self)
        return Supernet(self.make_space(), trained, self.transforms, self.seed, self.recipe.identity)

    def make_sampler(self, supernet: Supernet) -> PathSampler:
        """Who draws its networks; raises `InputError` for a number of them that can't be."""

        def size(spec: NetworkSpec) -> float:
            return cost(supernet.trained(spec)).macs

        return PathSampler(
            supernet.space, size, self.paths, self.progressive, self.recipe.epochs, self.target
        )

    def to_document(self) -> dict[str, Any]:
        """As plain data; what came later only where it isn't as before."""
        document = {"schema": SCHEMA_VERSION, **asdict(self)}
        return document if self.target is not None else {k: v for k, v in document.items() if k != "target"}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> SupernetPlan:
        """The inverse of `to_document`; raises KeyError, TypeError or `InputError` where it is none."""
        values = {part.name: document[part.name] for part in fields(cls) if part.name != "target"}
        if document["schema"] != SCHEMA_VERSION:
            raise InputError(f"schema {document['schema']!r}: expected {SCHEMA_VERSION}")
        kinds = {"num_classes": int, "in_channels": int, "seed": int, "paths": int, "data_digest": str}
        kinds |= dict.fromkeys(("distil", "transforms", "progressive"), bool)
        kinds |= dict.fromkeys(("space", "data", "recipe", "proxy"), dict)
        for name, kind in kinds.items():
            if type(values[name]) is not kind:
                raise TypeError(f"its {name} is a {type(values[name]).__name__}")
        if (target := document.get("target")) is not None:
            if type(target) is not float or not 0 < target < float("inf"):
                raise TypeError(f"its target is {target!r}")
            values["target"] = target
        values |= {"recipe": Recipe.from_document(values["recipe"]), "proxy": ProxyTask(**values["proxy"])}
        return cls(**values)


def _trained(plan: SupernetPlan, spec: NetworkSpec) -> NetworkSpec:
    """What is trained in place of a network."""
    return plan.recipe.adapt(plan.proxy.apply(spec, plan.num_classes, plan.in_channels))


@dataclass(frozen=True)
class StoredSupernet:
    """What a supernet's file holds.

    Attributes:
        plan: of its training.
        state: of its trainer.
        rows: the measurements of the epochs so far.
        times: when each was measured, Unix time.
    """

    plan: SupernetPlan
    state: dict[str, Any]
    rows: list[dict[str, float]]
    times: list[float]

    def write(self, path: Path) -> None:
        """Into a file, which is replaced as a whole; raises `InputError` where it can't be written."""
        buffer = io.BytesIO()
        about = {"rows": self.rows, "times": self.times}
        torch.save({"supernet": self.plan.to_document(), "state": self.state, "about": about}, buffer)
        write_atomically(path, buffer.getvalue())

    @property
    def done(self) -> bool:
        """Whether all epochs are trained."""
        return len(self.rows) >= self.plan.recipe.epochs

    def make(self) -> Supernet:
        """The supernet with its trained weights, the moving average's where there is one."""
        supernet = self.plan.make()
        supernet.load_state_dict(trained_weights(self.state))
        return supernet.eval()

    @property
    def digest(self) -> str:
        """16 hex digits of its networks and weights."""
        found = hashlib.sha256(repr(sorted(self.plan.space.items())).encode())
        found.update(repr((self.plan.proxy, self.plan.data_digest)).encode())
        for name, tensor in sorted(trained_weights(self.state).items()):
            found.update(name.encode())
            found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()[:16]


def read_supernet(path: Path | str) -> StoredSupernet:
    """What a file by `nas supernet` holds; its weights are those of its space, all numbers finite.

    Raises:
        InputError: missing, unreadable, no supernet, or weights that aren't its own.
    """
    where = f"{path}: no supernet of `nas supernet`"
    try:
        content = read_stored(Path(path), where)
    except OSError as error:
        raise InputError(f"{where}: {error.strerror or error}") from None
    if not isinstance(content, dict) or "supernet" not in content:
        kind = (
            "a checkpoint of one network"
            if isinstance(content, dict) and "spec" in content
            else "another file"
        )
        raise InputError(f"{where}: it is {kind}")
    try:
        plan = SupernetPlan.from_document(content["supernet"])
        about, state = content["about"], content["state"]
        rows = [{str(k): float(v) for k, v in row.items()} for row in about["rows"]]
        stored = StoredSupernet(plan, dict(state), rows, [float(at) for at in about["times"]])
        if len(rows) != state["epoch"]:
            raise TypeError(f"it has {len(rows)} rows of epochs for a state after epoch {state['epoch']}")
        stored.make()
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, InputError) as error:
        cause = (
            f"its {error.args[0]} is missing" if isinstance(error, KeyError) else str(error).splitlines()[0]
        )
        raise InputError(f"{where}: {cause}") from None
    for name, tensor in tensors(state, str(path)):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: {name} has values that are NaN or infinite: expected finite numbers")
    return stored
