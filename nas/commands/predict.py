"""`nas predict`: what a trained network says of image files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from nas.commands.common import out, print_json, progress, put
from nas.commands.networks import find_network
from nas.commands.outputs import OutPath, Target, declare
from nas.network.at_once import images_at_once
from nas.network.resolve import resolve_spec
from search_spaces.document import write_atomically
from search_spaces.errors import InputError
from search_spaces.quoting import csv_table, printable, shell_command

_TABLE = "table of predictions"
_SHOWN = 40
_AT_ONCE = 64
"""Images, at most: predictions appear as they are made."""
_NAMED = 5
"""Unreadable files that are named."""


@click.command("predict", epilog="Example: nas predict winner.pt photos/ --csv labels.csv")
@click.argument("model", metavar="CHECKPOINT|MODEL.onnx")
@click.argument("images", nargs=-1, required=True)
@click.option("--top", type=int, default=1, help="Classes for each image. Default: 1.")
@click.option("--csv", "table", type=OutPath(), help="Write all predictions to this file; - prints them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def predict_command(model: str, images: tuple[str, ...], top: int, table: str | None, as_json: bool) -> None:
    """Classify image files, and all images in folders, by a trained network.

    Takes a checkpoint, the folder of a training, or an ONNX model that `nas export` made of one; the
    images are prepared as in its training, and classes go by their names. Where the images lie in
    folders named as classes, it says how many predictions agree.
    """
    classify, preparation, at_once, inputs = _load(model)
    if not 1 <= top <= len(preparation.classes):
        raise InputError(f"top {top}: expected 1 to {len(preparation.classes)}, the number of classes")
    if table == "-" and as_json:
        raise InputError("--csv -: expected a file, --json prints the document")
    folders = _files(images)
    paths = list(folders)
    if table not in (None, "-"):
        declare([Target(str(table), _TABLE, "csv")], [*inputs, *paths])

    from rich.progress import Progress

    from nas.training.prediction import predict

    found = []
    with Progress(console=progress(), transient=True, disable=len(paths) < _SHOWN) as bar:
        task = bar.add_task("images", total=len(paths))
        for one in predict(classify, preparation, paths, top, at_once):
            found.append(one)
            bar.advance(task)
    unread = [one for one in found if one.problem is not None]
    for one in unread[:_NAMED]:
        line = printable(f"{one.path}: not classified: {one.problem}")
        progress().print(line, style="yellow", soft_wrap=True, highlight=False)
    if len(unread) > _NAMED:
        progress().print(f"and {len(unread) - _NAMED:,} more that can't be read", style="yellow")
    read = [one for one in found if one.problem is None]
    if not read:
        raise InputError(f"images {images[0]!r}: none of {len(found)} could be read")
    if table is not None:
        text = _csv(read, preparation.classes)
        if table == "-":
            put(text)
            return
        write_atomically(table, text.encode("utf-8", "surrogateescape"))  # names of files may be no UTF-8
    agreement = _agreement(read, folders, preparation.classes)
    if as_json:
        print_json(
            {
                "model": model,
                "classes": list(preparation.classes),
                "images": [
                    {
                        "path": one.path,
                        "class": preparation.classes[one.best],
                        "probability": one.top[0][1],
                        "top": [
                            {"class": preparation.classes[index], "probability": value}
                            for index, value in one.top
                        ],
                    }
                    for one in read
                ],
                "unreadable": [{"path": one.path, "reason": one.problem} for one in unread],
                "agreement": agreement,
            }
        )
        return
    _show(read, preparation.classes, table)
    if agreement is not None:
        out().print(
            f"{agreement['agree']:,} of {agreement['images']:,} are what their folders are called "
            f"({agreement['agree'] / agreement['images']:.1%})",
            highlight=False,
        )


def _load(model: str) -> Any:
    """(what classifies, how its images are prepared, how many at once, the files that were read)."""
    if Path(model).suffix.lower() == ".onnx":
        from nas.export.onnx import load_onnx

        run, read = load_onnx(Path(model))
        # the file doesn't say what its network is: it takes no more memory than the largest one known
        largest = resolve_spec("efficientnet-b7")
        return run, read, images_at_once(largest, read.resolution, _AT_ONCE), (model,)
    found = find_network(model, weights=True)
    if found.checkpoint is None:
        raise InputError(
            f"model {model!r}: a network without trained weights; expected a checkpoint of `nas train`, the "
            "folder of a training, or an ONNX model that `nas export` made of one"
        )
    from nas.training.checkpoint import load_model

    spec, network, preparation = load_model(found.checkpoint)
    if preparation is None:
        again = shell_command("nas", "train", "--from", found.checkpoint)
        raise InputError(
            f"{found.checkpoint}: an earlier version kept neither its classes' names nor how its images are "
            f"prepared; trained on by {again} it will have them"
        )
    at_once = images_at_once(spec, preparation.resolution, _AT_ONCE)
    return network.eval(), preparation, at_once, found.inputs


def _files(images: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The files that are meant, each with the folders that it lies in, the nearest first.

    In folders they are known by their extension. Of what lies above a folder that was given its name counts
    no more: nobody meant it as a label.
    """
    from nas.data.walk import Walk

    paths: dict[str, tuple[str, ...]] = {}
    for given in images:
        if not Path(given).exists():
            raise InputError(f"images {given!r}: no such file or folder")
        above = Path(os.path.abspath(given)).parent
        if not Path(given).is_dir():
            paths[given] = (above.name,)
            continue
        walk = Walk(given)
        inside = [path for path, _, _ in walk.images(given, [])]
        for remark in walk.skipped.remark():
            line = printable(f"{given}: {remark}")
            progress().print(line, style="yellow", soft_wrap=True, highlight=False)
        if not inside:
            raise InputError(f"images {given!r}: no images in this folder")
        for path in inside:
            paths[path] = Path(os.path.abspath(path)).relative_to(above).parts[-2::-1]
    return paths


def _agreement(
    found: Sequence[Any], folders: Mapping[str, Sequence[str]], classes: Sequence[str]
) -> dict[str, int] | None:
    """How many images got the name of the folder they lie in, or of one above it; None: some have none."""
    numbers = {name: index for index, name in enumerate(classes)}
    labels = [next((numbers[part] for part in folders[one.path] if part in numbers), None) for one in found]
    if None in labels:
        return None
    agree = sum(one.best == label for one, label in zip(found, labels, strict=True))
    return {"images": len(found), "agree": agree}


def _csv(found: Sequence[Any], classes: Sequence[str]) -> str:
    numbers = range(1, len(found[0].top) + 1)
    head = ["image", *(f"{name}{n}" for n in numbers for name in ("class", "probability"))]
    rows = (
        [one.path, *(cell for index, value in one.top for cell in (classes[index], f"{value:.6f}"))]
        for one in found
    )
    return csv_table([head, *rows])


def _show(found: Sequence[Any], names: Sequence[str], table: str | None) -> None:
    from rich.table import Table

    classes = [printable(name) for name in names]
    shown = Table(box=None, pad_edge=False)
    shown.add_column("image", overflow="fold")
    shown.add_column("class")
    shown.add_column("p", justify="right")
    for one in found[:_SHOWN]:
        for row, (index, value) in enumerate(one.top):
            shown.add_row(printable(one.path) if row == 0 else "", classes[index], f"{value:.3f}")
    out().print(shown)
    if len(found) > _SHOWN:
        all_of_them = f"all in {table}" if table else "--csv FILE writes them all, --json prints them"
        out().print(f"... {len(found) - _SHOWN:,} more; {all_of_them}", highlight=False, soft_wrap=True)
        counts = Counter(classes[one.best] for one in found)
        words = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(10))
        others = f", {len(counts) - 10} other classes" if len(counts) > 10 else ""
        out().print(f"{len(found):,} images: {words}{others}", highlight=False, soft_wrap=True)
    elif table:
        out().print(f"wrote {table}", highlight=False, soft_wrap=True)
