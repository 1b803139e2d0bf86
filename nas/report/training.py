"""What a full training leaves for people: curves, a confusion table, a model card."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from nas.data.preparation import Preparation
from nas.network.cost import cost
from nas.network.cost_words import si
from nas.training.full import CARD, PLAN, SPEC, FullTraining
from search_spaces.document import write_atomically, write_document
from search_spaces.notation import network_words
from search_spaces.quoting import (
    csv_table,
    markdown,
    markdown_block,
    printable,
    shell_command,
)

_CONFUSED = 8
_LARGEST_TABLE = 200
"""Classes up to which a confusion table is written."""


def write_plan(training: FullTraining) -> None:
    """The effective settings and recipe as `train.yaml`, with the spec beside it as `spec.yaml`."""
    plan, folder = training.plan, training.outputs.folder
    document = {"spec": plan.spec.name, "digest": plan.spec.digest, **plan.to_document()}
    write_document(folder / PLAN, document)  # first: with it, it is a training that can be gone on with
    write_document(folder / SPEC, plan.spec.to_document(), network_words(plan.spec))


def write_result(training: FullTraining, result: Mapping[str, Any]) -> list[Path]:
    """Write the model card (`MODEL_CARD.md`) and, once tested, the confusion table (`confusion.csv`).

    Returns:
        the files, the card last.
    """
    folder = training.outputs.folder
    names = class_names(training)
    written = []
    if result["confusion"] is not None and len(names) <= _LARGEST_TABLE:
        rows = ([name, *row] for name, row in zip(names, result["confusion"], strict=True))
        written.append(folder / "confusion.csv")
        write_atomically(written[-1], csv_table([["true \\ predicted", *names], *rows]))
    written.append(folder / CARD)
    write_atomically(written[-1], model_card(training, result))
    return written


def result_lines(training: FullTraining, result: Mapping[str, Any]) -> list[str]:
    """The scores for people: of which checkpoint, on which split, on how many images."""
    last, best = training.rows[-1], result["best"]
    average = ", moving average" if training.plan.recipe.ema else ""
    test = result["test"]
    same = best["epoch"] == int(last["epoch"])
    highest = f"held-out accuracy {best['held_out']:.4f}, the highest"
    lines = [
        f"last epoch ({last['epoch']:.0f}{average}): {_scores(test)} ({_images(training, test)}); "
        + (highest if same else f"held-out accuracy {last['accuracy']:.4f}")
    ]
    if not same:
        found = "its checkpoint is gone" if best["test"] is None else _scores(best["test"])
        lines.append(f"best epoch ({best['epoch']}{average}): {found}; {highest}")
    return lines


def _scores(test: Mapping[str, float]) -> str:
    top5 = f", top-5 {test['top5']:.4f}" if "top5" in test else ""
    return f"test accuracy {test['accuracy']:.4f}{top5}"


def _images(training: FullTraining, test: Mapping[str, float]) -> str:
    read, length = int(test["images"]), len(training.data.test)
    return (
        f"{length:,} images" if read == length else f"{read:,} of {length:,} images, the others can't be read"
    )


def result_document(training: FullTraining, result: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with every epoch, as plain data.

    `test_*` are of the last epoch, `best` of the epoch with the highest held-out accuracy; of five classes or
    less there is no top-5.
    """
    plan, data, test = training.plan, training.data, result["test"]
    return {
        "spec": plan.spec.to_document(),
        "digest": plan.spec.digest,
        "data_digest": data.digest,
        "images": {"train": len(data.train), "held_out": len(data.held_out), "test": len(data.test)},
        "scored": "moving average" if plan.recipe.ema else "weights",
        "epochs": [{_NAMES.get(name, name): value for name, value in row.items()} for row in training.rows],
        "test_epoch": int(training.rows[-1]["epoch"]),
        "test_accuracy": test["accuracy"],
        "test_top5": test.get("top5"),
        "test_loss": test["loss"],
        "test_images": int(test["images"]),
        **plan.to_document(),
        **{name: result[name] for name in ("best", "confusion", "unreadable")},
    }


_NAMES = {"accuracy": "held_out_accuracy", "top5": "held_out_top5", "loss": "train_loss"}
"""An epoch's measurements by the split that they are of."""


def _cells(test: Mapping[str, float] | None) -> str:
    """The cells of test top-1, top-5 and loss; dashes for what there is not."""
    values = [None if test is None else test.get(name) for name in ("accuracy", "top5", "loss")]
    return " | ".join("-" if value is None else f"{value:.4f}" for value in values)


def class_names(training: FullTraining) -> Sequence[str]:
    """The data set's names of its classes, else their numbers."""
    data = training.data
    return data.classes or [str(index) for index in range(data.num_classes)]


def confused(result: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, str, int, float]]:
    """(true, predicted, count, share of the true class) of the commonest mistakes."""
    found = []
    for true, row in enumerate(result["confusion"] or []):
        for predicted, count in enumerate(row):
            if true != predicted and count:
                found.append((names[true], names[predicted], count, count / sum(row)))
    return sorted(found, key=lambda mistake: -mistake[2])[:_CONFUSED]


def model_card(training: FullTraining, result: Mapping[str, Any]) -> str:
    """What the model is, what it was trained on, how, and how good it is.

    In Markdown, with front matter as Hugging Face's Hub reads it (its documentation, "Model Cards").
    """
    plan, data, spec = training.plan, training.data, training.plan.spec
    counted = cost(spec)
    names = class_names(training)
    test, best, last = result["test"], result["best"], training.rows[-1]
    started = f", from the weights of {markdown(plan.start)}" if plan.start else ""
    lines = [
        "---",
        yaml.safe_dump(_front_matter(training, result), sort_keys=False, allow_unicode=True).strip(),
        "---",
        "",
        f"# {markdown(spec.name)}",
        "",
        f"An image classifier of {len(names)} classes, for images of {spec.resolution} x {spec.resolution} "
        f"pixels and {spec.in_channels} channels.",
        "",
        "| | |",
        "|---|---|",
        f"| spec digest | `{spec.digest}` |",
        f"| network | {network_words(spec)} |",
        f"| parameters | {counted.params:,} |",
        f"| MACs (convolutions and linear) | {si(counted.macs)} |",
        f"| data | {markdown(data.name)} (digest `{data.digest}`): {len(data.train):,} to train, "
        f"{len(data.held_out):,} held out, {len(data.test):,} to test |",
        f"| epochs | {len(training.rows)}, seed {plan.seed}{started} |",
        f"| made with | baseline-nas {version('baseline-nas')}, torch {torch.__version__}, "
        f"{training.trainer.device.type}, Python {platform.python_version()} |",
        "",
        "## Results",
        "",
        "| checkpoint | held-out top-1 | test top-1 | test top-5 | test loss |",
        "|---|---|---|---|---|",
        f"| epoch {last['epoch']:.0f}, the last ({markdown(training.outputs.last.name)}) "
        f"| {last['accuracy']:.4f} | {_cells(test)} |",
        f"| epoch {best['epoch']}, the best on held-out images ({markdown(training.outputs.best.name)}) | "
        f"{best['held_out']:.4f} | {_cells(best['test'])} |",
        "",
        f"Scored is {'the moving average of the weights' if plan.recipe.ema else 'the network as trained'}, "
        f"on {last['held_out_images'] if 'held_out_images' in last else len(data.held_out):,.0f} held-out "
        + ("images." if test is None else f"and {test['images']:,.0f} test images.")
        + ("" if spec.num_classes > 5 else " Of so few classes a top-5 score says nothing."),
        "",
    ]
    if test is None:
        lines += [f"Not scored on the test split: {markdown(result['reason'])}.", ""]
    else:
        lines += [
            "Of the test split nothing was seen before the end but whether its files can be read. Commonest "
            "mistakes of the last epoch:",
            "",
            "| true | taken for | images | of the class |",
            "|---|---|---|---|",
            *(
                f"| {markdown(a)} | {markdown(b)} | {count} | {share:.1%} |"
                for a, b, count, share in confused(result, names)
            ),
            "",
        ]
        unseen = [name for name, row in zip(names, result["confusion"], strict=True) if not sum(row)]
        if unseen:
            lines += [
                f"Classes without a test image that can be read: {', '.join(map(markdown, unseen))}.",
                "",
            ]
    if result["unreadable"]:
        lines += [f"{len(result['unreadable'])} image files could not be read and were left out.", ""]
    recipe = yaml.safe_dump(plan.to_document(), sort_keys=False).strip()
    last_file = training.outputs.last
    use = (
        f"{shell_command('nas', 'predict', last_file)} photos/\n"
        f"{shell_command('nas', 'export', last_file, '--to', 'onnx', '--out', 'model.onnx')}"
    )
    lines += ["## Training", "", markdown_block(recipe, "yaml"), "", "## Use", "", markdown_block(use), ""]
    lines += ["Both know how images are prepared and what the classes are called; by hand it is:", ""]
    prepared = yaml.safe_dump(Preparation.of(data).to_document(), sort_keys=False, allow_unicode=True).strip()
    lines += [markdown_block(prepared, "yaml"), ""]
    lines += [
        "The square in the image's centre whose side is `crop` of the shorter one, resized to `resolution`; "
        "pixels are scaled to 0..1, then (x - mean) / std.",
        "",
    ]
    return "\n".join(lines)


def _front_matter(training: FullTraining, result: Mapping[str, Any]) -> dict[str, Any]:
    """What the Hub lists a model by."""
    spec, test = training.plan.spec, result["test"]
    task = {"type": "image-classification"}
    known: dict[str, Any] = {
        "library_name": "baseline-nas",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "neural-architecture-search"],
    }
    if test is not None:
        name = printable(training.data.name)
        kind, _, place = name.partition(":")
        metric = {"type": "accuracy", "name": "test top-1", "value": round(test["accuracy"], 4)}
        data = {"type": kind, "name": Path(place).name or name}
        known["model-index"] = [
            {"name": spec.name, "results": [{"task": task, "dataset": data, "metrics": [metric]}]}
        ]
    return known
