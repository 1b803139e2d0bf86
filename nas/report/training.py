"""What a full training leaves for people: curves, a confusion table, a model card."""

from __future__ import annotations

import csv
import io
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from nas.network.cost import cost
from nas.report.tables import si
from nas.training.full import FullTraining
from nas.training.labels import printable
from search_spaces.document import write_atomically, write_document
from search_spaces.notation import network_notation

_CONFUSED = 8
_LARGEST_TABLE = 200
"""Classes up to which a confusion table is written."""


def write_plan(training: FullTraining) -> None:
    """The effective settings and recipe as `train.yaml`, with the spec beside it as `spec.yaml`."""
    plan, folder = training.plan, training.outputs.folder
    document = {"spec": plan.spec.name, "digest": plan.spec.digest, **plan.to_document()}
    write_document(folder / "train.yaml", document)
    write_document(folder / "spec.yaml", plan.spec.to_document(), network_notation(plan.spec))


def write_result(training: FullTraining, result: Mapping[str, Any]) -> list[Path]:
    """The confusion table (`confusion.csv`) and the model card (`MODEL_CARD.md`); the files written."""
    folder = training.outputs.folder
    names = class_names(training)
    written = []
    if len(names) <= _LARGEST_TABLE:
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["true \\ predicted", *names])
        for name, row in zip(names, result["confusion"], strict=True):
            writer.writerow([name, *row])
        written.append(folder / "confusion.csv")
        write_atomically(written[-1], table.getvalue())
    written.append(folder / "MODEL_CARD.md")
    write_atomically(written[-1], model_card(training, result))
    return written


def class_names(training: FullTraining) -> Sequence[str]:
    """The data set's names of its classes, else their numbers."""
    data = training.data
    return data.classes or [str(index) for index in range(data.num_classes)]


def confused(result: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, str, int, float]]:
    """(true, predicted, count, share of the true class) of the commonest mistakes."""
    found = []
    for true, row in enumerate(result["confusion"]):
        for predicted, count in enumerate(row):
            if true != predicted and count:
                found.append((names[true], names[predicted], count, count / sum(row)))
    return sorted(found, key=lambda mistake: -mistake[2])[:_CONFUSED]


def _cell(text: str) -> str:
    """A text as it stands in a cell of a Markdown table."""
    return re.sub(r"([\\|`*_<\[\]])", r"\\\1", text)


def model_card(training: FullTraining, result: Mapping[str, Any]) -> str:
    """What the model is, what it was trained on, how, and how good it is; in Markdown."""
    plan, data, spec = training.plan, training.data, training.plan.spec
    counted = cost(spec)
    names = class_names(training)
    test, best = result["test"], result["best"]
    started = f", from the weights of `{plan.start}`" if plan.start else ""
    lines = [
        f"# {spec.name}",
        "",
        f"An image classifier of {len(names)} classes, for images of {spec.resolution} x {spec.resolution} "
        f"pixels and {spec.in_channels} channels.",
        "",
        "| | |",
        "|---|---|",
        f"| spec digest | `{spec.digest}` |",
        f"| network | `{network_notation(spec)}` |",
        f"| parameters | {counted.params:,} |",
        f"| MACs (convolutions and linear) | {si(counted.macs)} |",
        f"| data | {_cell(printable(data.name))} (digest `{data.digest}`): {len(data.train):,} to train, "
        f"{len(data.held_out):,} held out, {len(data.test):,} to test |",
        f"| epochs | {len(training.rows)}, seed {plan.seed}{started} |",
        f"| made with | baseline-nas {version('baseline-nas')}, torch {torch.__version__}, "
        f"{training.trainer.device.type}, Python {platform.python_version()} |",
        "",
        "## Results",
        "",
        "| checkpoint | held-out top-1 | test top-1 | test top-5 | test loss |",
        "|---|---|---|---|---|",
        f"| last (`{training.outputs.last.name}`) | {training.rows[-1]['accuracy']:.4f} | "
        f"{test['accuracy']:.4f} | {test['top5']:.4f} | {test['loss']:.4f} |",
        f"| best on held-out, epoch {best['epoch']} | {best['held_out']:.4f} | "
        f"{best['test']['accuracy']:.4f} | {best['test']['top5']:.4f} | {best['test']['loss']:.4f} |",
        "",
        "The test split was not looked at before the end. Commonest mistakes:",
        "",
        "| true | taken for | images | of the class |",
        "|---|---|---|---|",
        *(
            f"| {_cell(a)} | {_cell(b)} | {count} | {share:.1%} |"
            for a, b, count, share in confused(result, names)
        ),
        "",
    ]
    if result["unreadable"]:
        lines += [f"{len(result['unreadable'])} image files could not be read and were left out.", ""]
    recipe = yaml.safe_dump(plan.to_document(), sort_keys=False).strip()
    pixel = f"Pixels are scaled to 0..1, then (x - mean) / std with mean {data.mean} and std {data.std}."
    lines += ["## Training", "", "```yaml", recipe, "```", "", "## Use", "", pixel, ""]
    lines += [f"    nas export {training.outputs.last} --to onnx --out model.onnx", ""]
    return "\n".join(lines)
