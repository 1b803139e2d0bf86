"""A network by anything that has one: a name, a spec, a checkpoint, a run or a training's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.commands.common import progress
from nas.commands.outputs import kind_of
from nas.network.resolve import known_networks, resolve_spec
from nas.network.scaling import PUBLISHED
from search_spaces.errors import InputError, unknown
from search_spaces.reference import REFERENCES
from search_spaces.spec import NetworkSpec


@dataclass(frozen=True)
class Found:
    """What stands behind a user's word.

    Attributes:
        spec: the network.
        checkpoint: where its trained weights are; None: it has none.
        inputs: the files that were read.
    """

    spec: NetworkSpec
    checkpoint: Path | None = None
    inputs: tuple[str, ...] = ()


def resolve_network(what: str) -> NetworkSpec:
    """The network alone; see `find_network`."""
    return find_network(what).spec


_CHECKPOINTS = (".pt", ".pth", ".ckpt")


def find_network(what: str, weights: bool = False) -> Found:
    """The network that `what` names.

    Args:
        weights: of a stage two, the winner as it was trained, not as it was searched.
        what: a known name (`efficientnet-b0`); a spec; a checkpoint, whatever it is called; a run's
            folder, for its winner; a training's folder, for its best checkpoint.

    Raises:
        InputError: none of these, or it can't be read.
    """
    if what in REFERENCES or what in PUBLISHED:
        return Found(resolve_spec(what))
    if not what.strip():
        raise unknown("network", what, [*known_networks(), "FILE.yaml"])
    there = True
    try:
        path = Path(what).expanduser() if what.startswith("~") else Path(what)
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        there = False
    except (OSError, ValueError, RuntimeError) as error:  # a long name, a null byte, ~nobody
        raise InputError(f"network {what[:100]!r}: {getattr(error, 'strerror', None) or error}") from None
    if not there:
        if path.is_symlink():
            raise InputError(f"network {what!r}: a link to nothing")
        if path.suffix in _CHECKPOINTS:
            raise InputError(f"{what}: No such file or directory")
        return Found(resolve_spec(what), inputs=(what,))
    if path.is_dir():
        return _in_folder(path, what, weights)
    if not path.is_file():  # a pipe: `nas cost <(nas export ...)`
        return Found(resolve_spec(str(path)), inputs=(what,))
    kind = kind_of(path)
    if kind == "checkpoint" or path.suffix in _CHECKPOINTS:
        return _trained(path, what)
    if kind in ("spec", "something else", "nothing", "space", "arguments", "latency table", "comparison"):
        return Found(resolve_spec(str(path)), inputs=(str(path),))
    raise InputError(f"network {what!r}: holds no spec and no checkpoint, but another kind of file ({kind})")


def _in_folder(path: Path, what: str, weights: bool) -> Found:
    from nas.runs.folder import Run

    if Run.is_run(path):
        return _winner(path, what, weights)
    if checkpoint := _finished_training(path):
        progress().print(f"{what}: its best checkpoint, {checkpoint}", highlight=False, soft_wrap=True)
        return _trained(checkpoint, what)
    raise InputError(
        f"network {what!r}: a folder without a run (search.yaml) or a training (best.pt); "
        f"expected one of {', '.join(known_networks()[:3])}, ..., a spec, a checkpoint or such a folder"
    )


def _finished_training(path: Path) -> Path | None:
    """The best checkpoint in a training's folder, else its last one."""
    places = [path / "best.pt", path / "last.pt"]
    if (path / "train.yaml").is_file():
        named = path if path.name else path.resolve()
        places.append(named.parent / f"{path.resolve().name}.pt")
    return next((place for place in places if place.is_file()), None)


def _winner(path: Path, what: str, weights: bool) -> Found:
    from nas.runs.folder import Run
    from nas.studies.stage_two import STAGE_TWO, full_results

    run = Run.open(path)
    records = run.records()
    best = run.winner(run.results(records))
    if best is None:
        raise InputError(f"{what}: no trial has finished yet")
    spec, read = run.spec(best), tuple(str(file) for file in sorted(path.iterdir()) if file.is_file())
    if weights and run.space.name == STAGE_TWO:
        for result in full_results(run, records):
            if result.digest == best.digest and Path(result.checkpoint).is_file():
                progress().print(f"{what}: trial {best.trial}, {result.checkpoint}", highlight=False)
                found = _trained(Path(result.checkpoint), what)
                return Found(found.spec, found.checkpoint, (*read, *found.inputs))
    progress().print(f"{what}: its winner, trial {best.trial}", highlight=False, soft_wrap=True)
    return Found(spec, inputs=read)


def _trained(checkpoint: Path, what: str) -> Found:
    from nas.training.checkpoint import load_checkpoint

    return Found(load_checkpoint(checkpoint)[0], checkpoint, (str(checkpoint),))
