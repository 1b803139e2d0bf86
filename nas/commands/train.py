"""`nas train`: train one network on one data set, to a checkpoint."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from nas.commands.common import out, pairs, print_json, progress
from nas.network.resolve import resolve_spec
from nas.search.settings import proxy_defaults
from nas.training.presets import make_recipe
from nas.training.proxy import ProxyTask
from search_spaces.errors import InputError


@click.command(epilog="Example: nas train runs/first/best.yaml --data digits --epochs 30 --out winner.pt")
@click.argument("spec")
@click.option("--data", default="digits", help="As for `nas search`. Default: digits.")
@click.option("--data-root", help="Folder to look for the data set in first.")
@click.option("--download", is_flag=True, help="Fetch the data set if it is missing.")
@click.option("--recipe", "preset", default="adamw", help="adamw, sgd or efficientnet. Default: adamw.")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="A setting of the recipe, e.g. lr=0.01."
)
@click.option("--epochs", type=int, help="Default: the recipe's.")
@click.option("--resolution", type=int, help="Image size, pixels. Default: fit for the data set.")
@click.option("--width", type=float, default=1.0, help="Multiplier of all widths. Default: 1.")
@click.option("--stem-stride", type=int, help="Default: 1 for small images, else the network's.")
@click.option("--seed", type=int, default=0, help="Default: 0.")
@click.option("--out", "target", help="Checkpoint to write. Default: NAME-DATA.pt.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def train(
    spec: str,
    data: str,
    data_root: str | None,
    download: bool,
    preset: str,
    changes: tuple[str, ...],
    epochs: int | None,
    resolution: int | None,
    width: float,
    stem_stride: int | None,
    seed: int,
    target: str | None,
    as_json: bool,
) -> None:
    """Train a network, score it on held-out images each epoch and on the test split at the end."""
    network = resolve_spec(spec)
    values: dict[str, Any] = dict(pairs(changes, "--set"))
    if epochs is not None:
        values["epochs"] = epochs
    recipe = make_recipe(preset, values)
    path = Path(target or f"{network.name}-{data.partition(':')[0]}.pt")
    if path.exists():
        raise InputError(f"out {path}: exists already; choose another --out")

    # the heavy imports wait until the cheap checks have passed
    from nas.network.builder import build
    from nas.network.cost import cost
    from nas.training.batches import Batches
    from nas.training.checkpoint import save_checkpoint
    from nas.training.data import load_data
    from nas.training.trainer import Trainer, pick_device

    dataset = load_data(data, data_root, download)
    small = proxy_defaults(data) if not data.startswith("imagefolder:") else None
    task = ProxyTask(
        resolution or (small.resolution if small else network.resolution),
        width,
        stem_stride or (small.stem_stride if small else network.stem.stride),
    )
    concrete = task.apply(network, dataset.num_classes, dataset.in_channels, recipe.bn_momentum)
    device = pick_device()
    batches = Batches(dataset.at(task.resolution), recipe, device)
    trainer = Trainer(build(concrete, seed), batches, recipe, seed)
    console = progress()
    console.print(
        f"training {concrete.name} on {data}: {len(dataset.train):,} images of {task.resolution} px, stem "
        f"stride {task.stem_stride}, {concrete.num_classes} classes, "
        f"{cost(concrete).macs / 1e6:.1f}M MACs, on {device}",
        highlight=False,
    )
    rows = []
    began = time.time()
    about = {"data": data, "data_digest": dataset.digest, "recipe": dict(vars(recipe)), "seed": seed}
    for _ in range(recipe.epochs):
        row = trainer.run_epoch()
        rows.append(row)
        save_checkpoint(path, concrete, trainer.state_dict(), about)
        console.print(
            f"epoch {row['epoch']}/{recipe.epochs}: loss {row['loss']:.4f}, held-out accuracy "
            f"{row['accuracy']:.4f}, {row['images_per_second']:.0f} images/s",
            highlight=False,
        )
    test = trainer.evaluate("test")
    if as_json:
        print_json(
            {
                "checkpoint": str(path),
                "spec": concrete.to_document(),
                "epochs": rows,
                "test_accuracy": test["accuracy"],
                "test_loss": test["loss"],
                "seconds": time.time() - began,
                **about,
            }
        )
        return
    out().print(
        f"test accuracy {test['accuracy']:.4f} ({len(dataset.test):,} images)\ncheckpoint: {path}",
        highlight=False,
        soft_wrap=True,
    )
