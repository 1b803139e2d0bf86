"""What the first weights do to a short training of photographs: both kinds, three published networks.

    python benchmarks/first_weights.py PHOTOS [EPOCHS [PIXELS [MACS]]]

PHOTOS is a folder of class folders. EfficientNet-B0, MobileNetV2 and MnasNet-A1 in the width that costs MACs
(16e6) at PIXELS (64) are trained for EPOCHS (3) by the recipe `adamw`, two at once, and scored on held-out
images.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console

from nas.network.cost import cost
from nas.network.scaling import scale_by
from nas.runs.flat import make_settings
from nas.runs.placement import Placement
from nas.search.results import Results
from nas.session import start_search
from nas.training.recipe import INITS
from search_spaces import reference

NETWORKS = ("efficientnet-b0", "mobilenet-v2", "mnasnet-a1")


def as_wide(name, pixels, macs):
    spec = scale_by(reference(name), resolution=pixels)
    widths = [scale_by(spec, width=width) for width in np.arange(0.3, 1.5, 0.005)]
    return min(widths, key=lambda each: abs(cost(each).macs / macs - 1))


def main(photos, epochs="3", pixels="64", macs="16e6"):
    networks = {name: as_wide(name, int(pixels), float(macs)) for name in NETWORKS}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for init in INITS:
            settings = make_settings(
                data=f"imagefolder:{Path(photos).absolute()}",
                resolution=int(pixels),
                width=1.0,
                subset=1.0,
                recipe_changes={
                    "epochs": int(epochs),
                    "init": init,
                    "stochastic_depth": 0.0,
                    "dropout": 0.1,
                },
            ).over("published", networks)
            run = start_search(settings, Path(folder) / init, Placement(concurrent=2), Console(stderr=True))
            for record in Results(run.records()).finished:
                rows = record.measurements
                found[run.spec(record).name, init] = (
                    [f"{row['accuracy']:.3f}" for row in rows],
                    rows[0]["loss"],
                )
    for (name, init), rows in sorted(found.items()):
        accuracies = " ".join(f"{row['accuracy']:.3f}" for row in rows)
        print(f"{name:16} {init:10} accuracy by epoch {accuracies}, first epoch's loss {rows[0]['loss']:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
