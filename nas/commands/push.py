"""`nas push`: a trained network as a folder for a model hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from nas.commands.common import out, print_json
from nas.commands.networks import find_network
from nas.commands.outputs import OutPath, owner
from search_spaces.document import MAX_BYTES, write_atomically
from search_spaces.errors import InputError
from search_spaces.quoting import shell_command
from search_spaces.reading import read_regular
from search_spaces.targets import check_folder


@click.command(epilog="Example: nas push winner.pt --out hub/winner")
@click.argument("model", metavar="CHECKPOINT|TRAINING")
@click.option("--out", "folder", type=OutPath(), required=True, help="Folder to make: a model repository.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one JSON document.")
def push(model: str, folder: str, as_json: bool) -> None:
    """Write a trained network as a model hub has it and timm loads it: README.md, config.json, safetensors.

    Nothing is sent anywhere: the last line says how to. A network that timm has no name for comes with
    modeling.py, which is imported first. The folder is loaded by timm and compared before it is written.
    """
    found = find_network(model, weights=True)
    if found.checkpoint is None:
        raise InputError(
            f"model {model!r}: has no weights; expected a checkpoint of nas train, or its folder"
        )
    place = Path(folder)
    check_folder(folder)
    if (whose := owner(place)) is not None:
        raise InputError(f"out {folder!r}: is the folder of a {whose}; choose another")
    if place.exists() and any(place.iterdir()):
        raise InputError(f"out {folder!r}: is not empty; choose another, or remove it")

    from nas.export.hub import hub_files
    from nas.report.hub_card import hub_card
    from nas.training.checkpoint import load_model

    spec, trained, preparation = load_model(found.checkpoint)
    if preparation is None:
        raise InputError(
            f"{found.checkpoint}: an earlier version trained it, which kept no names of its classes"
        )
    preparation = replace(preparation, resolution=spec.resolution)
    files = hub_files(spec, trained, preparation)
    card = hub_card(spec, preparation, "modeling.py" in files, _card(found.checkpoint))
    place.mkdir(parents=True, exist_ok=True)
    for name, content in {"README.md": card.encode(), **files}.items():
        write_atomically(place / name, content)
    written = [str(place / name) for name in ("README.md", *files)]
    send = shell_command("hf", "upload", "USER/NAME", folder)
    if as_json:
        print_json({"model": model, "folder": folder, "files": written, "upload": send})
        return
    for path in written:
        out().print(f"wrote {path}", highlight=False, soft_wrap=True)
    out().print(f"loaded by timm and compared; to send it to a hub: {send}", highlight=False, soft_wrap=True)


def _card(checkpoint: Path) -> str | None:
    """The card that the training left beside its checkpoint."""
    from nas.training.full import CARD

    for place in (checkpoint.parent / CARD, checkpoint.with_suffix("") / CARD):
        if place.is_file():
            return read_regular(place, MAX_BYTES, "model card").decode("utf-8", "replace")
    return None
