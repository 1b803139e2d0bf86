"""The training recipe: every setting that decides a result, as plain data, and named presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import get_type_hints

from search_spaces.errors import InputError, unknown

OPTIMIZERS = ("rmsprop", "sgd", "adamw")
SCHEDULES = ("cosine", "exponential", "constant")

_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, 100_000),
    "batch": (1, 1 << 16),
    "lr": (1e-9, 100),
    "momentum": (0, 0.9999),
    "weight_decay": (0, 10),
    "warmup": (0, 100_000),
    "decay_rate": (1e-6, 1),
    "decay_epochs": (1e-3, 100_000),
    "label_smoothing": (0, 0.99),
    "ema": (0, 0.999999),
    "bn_momentum": (0, 1),
    "shift": (0, 0.5),
}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: passes over the training images.
        batch: images per step.
        optimizer: `rmsprop` (decay .9, epsilon .001), `sgd` (Nesterov), `adamw`.
        lr: peak learning rate, for this batch.
        momentum: of RMSprop and SGD; AdamW's first beta.
        weight_decay: on convolution and linear weights only, not on BN and biases.
        schedule: after the warm-up: `cosine` to 0, `exponential` by `decay_rate` every
            `decay_epochs`, or `constant`.
        warmup: epochs (fractions too) of linear growth from 0, at most half of all.
        decay_rate, decay_epochs: of the exponential schedule.
        label_smoothing: as in Szegedy et al. 2016.
        ema: decay of the weights' moving average, which is then what is evaluated; 0: none.
        bn_momentum: replaces the spec's, where few steps are too few for it; 0: the spec's.
        mixed_precision: bfloat16 (or float16) where the device has it; single precision elsewhere.
        channels_last: memory format; about twice as fast for small MBConv networks on CPUs.
        shift: random shift of each image, up to this part of its side.
        flip: mirror half of the images, where the data set allows it.

    Raises:
        InputError: a value out of its range, or an unknown optimizer or schedule.
    """

    epochs: int = 6
    batch: int = 50
    optimizer: str = "adamw"
    lr: float = 0.004
    momentum: float = 0.9
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warmup: float = 1.0
    decay_rate: float = 0.97
    decay_epochs: float = 2.4
    label_smoothing: float = 0.0
    ema: float = 0.0
    bn_momentum: float = 0.1
    mixed_precision: bool = True
    channels_last: bool = True
    shift: float = 0.0
    flip: bool = True

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        if self.schedule not in SCHEDULES:
            raise unknown("schedule", self.schedule, SCHEDULES)
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not low <= value <= high:
                raise InputError(f"recipe: {name} {value!r}: expected a number from {low:g} to {high:g}")


PRESETS: dict[str, Recipe] = {
    # quick ranking of small networks on small images: peaks early, discriminates after few epochs
    "adamw": Recipe(),
    # Tan & Le 2019, section 5 and the released code: .256 per 4096 images is .016 per 256
    "efficientnet": Recipe(
        epochs=350,
        batch=256,
        optimizer="rmsprop",
        lr=0.016,
        weight_decay=1e-5,
        schedule="exponential",
        warmup=5,
        label_smoothing=0.1,
        ema=0.9999,
        bn_momentum=0,
    ),
    "sgd": Recipe(
        epochs=30,
        batch=128,
        optimizer="sgd",
        lr=0.1,
        weight_decay=5e-4,
        warmup=2,
        label_smoothing=0.1,
        shift=0.125,
    ),
}


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
            raise InputError(f"recipe: {name} {value!r}: expected true or false")
        return words[str(value).lower()]
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise InputError(f"recipe: {name} {value!r}: expected a value of type {kind.__name__}") from None
