"""Named recipes, with the source of each of their values, and recipes made of them by a user's changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import get_type_hints

from nas.training.recipe import TAUGHT, Recipe
from search_spaces.errors import InputError, shown, unknown

PRESETS: dict[str, Recipe] = {
    "adamw": Recipe(),
    "efficientnet": Recipe(
        epochs=350,
        batch=256,
        optimizer="rmsprop",
        lr=0.256,
        lr_batch=4096,
        momentum=0.9,
        weight_decay=1e-5,
        schedule="exponential",
        decay_rate=0.97,
        decay_epochs=2.4,
        warmup=5,
        label_smoothing=0.1,
        ema=0.9999,
        bn_momentum=0.01,
        augment="autoaugment",
        stochastic_depth=0.2,
        init="published",
    ),
    "mnasnet-proxy": Recipe(
        epochs=5,
        batch=256,
        optimizer="rmsprop",
        lr=0.256,
        lr_batch=4096,
        momentum=0.9,
        weight_decay=1e-5,
        schedule="exponential",
        decay_rate=0.97,
        decay_epochs=2.4,
        warmup=1,
        bn_momentum=0.01,
        dropout=0.2,
        stochastic_depth=0.0,
        init="published",
    ),
    "sgd": Recipe(
        epochs=30,
        batch=128,
        optimizer="sgd",
        lr=0.1,
        weight_decay=5e-4,
        warmup=2,
        label_smoothing=0.1,
        ema=0.998,
        shift=0.125,
    ),
    "modern": Recipe(
        epochs=50,
        batch=256,
        optimizer="sgd",
        lr=0.5,
        lr_batch=1024,
        weight_decay=2e-5,
        warmup=5,
        label_smoothing=0.1,
        ema=0.9995,
        bn_momentum=0.0,
        augment="randaugment",
        mixup=0.2,
        cutmix=1.0,
        erase=0.1,
        shift=0.125,
    ),
}

_TAN_LE = "Tan & Le 2019 (EfficientNet), section 5.2"
_RELEASED = "the released EfficientNet code"
_TAN = "Tan et al. 2019 (MnasNet), section 5"
_VRYNIOTIS = "Vryniotis 2021, torchvision's new training recipe"
_GOYAL = "Goyal et al. 2017, section 5.1: a residual block's last BN begins at zero"
_HERE = "chosen here for small images (benchmarks/proxy_spread.py, docs/training.md)"

SOURCES: dict[str, dict[str, str]] = {
    "adamw": dict.fromkeys(("epochs", "batch", "optimizer", "lr", "weight_decay", "schedule"), _HERE)
    | {"bn_momentum": "few steps: a tenth of each batch, torch's default", "init": _GOYAL},
    "efficientnet": {
        "epochs": f"{_RELEASED}: 350",
        "batch": "lr grows with it, so any that fits; 4096 in the paper",
        "optimizer": f"{_TAN_LE}: RMSProp, decay 0.9; epsilon 0.001 in {_RELEASED}",
        "lr": f"{_TAN_LE}: 0.256",
        "lr_batch": f"{_RELEASED}: 0.016 per 256 images",
        "momentum": f"{_TAN_LE}: 0.9",
        "weight_decay": f"{_TAN_LE}: 1e-5",
        "schedule": f"{_TAN_LE}: decays by 0.97 every 2.4 epochs",
        "decay_rate": f"{_TAN_LE}: 0.97",
        "decay_epochs": f"{_TAN_LE}: 2.4",
        "warmup": f"{_RELEASED}: 5 epochs",
        "label_smoothing": f"{_RELEASED}: 0.1",
        "ema": f"{_RELEASED}: 0.9999",
        "bn_momentum": f"{_TAN_LE}: 0.99, which torch writes 0.01",
        "augment": f"{_TAN_LE}: AutoAugment",
        "dropout": f"{_TAN_LE}: from 0.2 for B0 to 0.5 for B7, so the network's own",
        "stochastic_depth": f"{_TAN_LE}: survival probability 0.8",
        "init": _RELEASED,
    },
    "mnasnet-proxy": {
        "epochs": f"{_TAN}: 5 epochs for each sampled model",
        "batch": "lr grows with it, so any that fits; 4K in the paper",
        "optimizer": f"{_TAN}: RMSProp, decay 0.9",
        "lr": f"{_TAN}: 0.256",
        "lr_batch": f"{_TAN}: batch 4K",
        "momentum": f"{_TAN}: 0.9",
        "weight_decay": f"{_TAN}: 1e-5",
        "schedule": f"{_TAN}: decays by 0.97 every 2.4 epochs",
        "decay_rate": f"{_TAN}: 0.97",
        "decay_epochs": f"{_TAN}: 2.4",
        "warmup": f"5 epochs in {_TAN}, for the full training; a fifth of the epochs here",
        "bn_momentum": f"{_TAN}: 0.99, which torch writes 0.01",
        "dropout": f"{_TAN}: 0.2",
        "stochastic_depth": f"{_TAN}: none",
        "init": _RELEASED,
    },
    "sgd": {
        "optimizer": "Nesterov momentum: Sutskever et al. 2013",
        "lr": "He et al. 2016, section 4.2 (CIFAR-10): 0.1, batch 128",
        "batch": "He et al. 2016, section 4.2: 128",
        "weight_decay": "Zagoruyko & Komodakis 2016 (Wide ResNets), section 3: 5e-4",
        "schedule": "Loshchilov & Hutter 2017, without restarts",
        "label_smoothing": "Szegedy et al. 2016, section 7: 0.1",
        "shift": "He et al. 2016, section 4.2: 4 of 32 pixels",
        "epochs": _HERE,
        "warmup": _HERE,
        "ema": _HERE,
        "init": _GOYAL,
    },
    "modern": {
        "optimizer": f"{_VRYNIOTIS}: SGD",
        "lr": f"{_VRYNIOTIS}: 0.5",
        "lr_batch": f"{_VRYNIOTIS}: 8 GPUs x 128",
        "weight_decay": f"{_VRYNIOTIS}: 2e-5, none on BN",
        "warmup": f"{_VRYNIOTIS}: 5 epochs",
        "schedule": f"{_VRYNIOTIS}: cosine",
        "label_smoothing": f"{_VRYNIOTIS}: 0.1",
        "mixup": f"{_VRYNIOTIS}: 0.2",
        "cutmix": f"{_VRYNIOTIS}: 1.0",
        "erase": f"{_VRYNIOTIS}: 0.1",
        "augment": "Cubuk et al. 2020 (RandAugment), in place of that recipe's TrivialAugment",
        "epochs": "a twelfth of that recipe's 600: the short one",
        "ema": "0.99998 over 600 epochs there; here over 50",
        "shift": "as in `sgd`",
        "batch": "any that fits, lr grows with it",
        "bn_momentum": "the network's own",
        "init": _GOYAL,
    },
}
"""Where the values of each preset come from, by setting."""


def check_untaught(changes: Mapping[str, object]) -> None:
    """Raise `InputError` for a change of a recipe that does nothing without a teacher."""
    for name in TAUGHT:
        if name in changes:
            raise InputError(f"recipe: {name} {shown(changes[name])}: only with `nas train --teacher`")


def make_recipe(preset: str, changes: Mapping[str, object] | None = None) -> Recipe:
    """The preset with some settings changed; the values may be text, as from a command line.

    Raises:
        InputError: unknown preset or setting, or a value that is none of the setting's.
    """
    if preset not in PRESETS:
        raise unknown("recipe", preset, PRESETS)
    hints = get_type_hints(Recipe)
    values: dict[str, object] = {}
    for name, value in (changes or {}).items():
        if name not in hints:
            raise unknown("recipe setting", name, [field.name for field in fields(Recipe)])
        values[name] = _convert(name, value, hints[name])
    return replace(PRESETS[preset], **values)  # type: ignore[arg-type]


def _convert(name: str, value: object, kind: type) -> object:
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in words:
            raise InputError(f"recipe: {name} {shown(value)}: expected true or false")
        return words[str(value).lower()]
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise InputError(f"recipe: {name} {shown(value)}: expected a value of type {kind.__name__}") from None
