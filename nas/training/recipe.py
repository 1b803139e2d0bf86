"""The training recipe: every setting that decides a result, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.errors import InputError, shown, unknown
from search_spaces.spec import NetworkSpec

OPTIMIZERS = ("rmsprop", "sgd", "adamw")
SCHEDULES = ("cosine", "exponential", "constant")
INITS = ("identity", "published")
AUGMENTS = ("none", "autoaugment", "randaugment", "trivialaugment")

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
    "lr_batch": (0, 1 << 20),
    "mixup": (0, 100),
    "cutmix": (0, 100),
    "erase": (0, 1),
    "dropout": (-1, 0.999),
    "stochastic_depth": (-1, 0.999),
    "layer_decay": (0.01, 1),
    "magnitude": (0, 30),
    "stages": (1, 100),
    "start_size": (0.1, 1),
    "start_strength": (0, 1),
    "distillation": (0, 1),
    "temperature": (0.1, 100),
}


TAUGHT = ("distillation", "temperature")
"""Settings that act with a teacher alone."""
_LATER = ("magnitude", "stages", "start_size", "start_strength", "init", *TAUGHT)
BEFORE_INIT = "published"
"""How weights began before there was a choice."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: passes over the training images.
        batch: images per step.
        optimizer: `rmsprop` (TensorFlow's, decay .9, epsilon .001), `sgd` (Nesterov), `adamw`.
        lr: peak learning rate, for `lr_batch` images; see `peak_lr`.
        lr_batch: images that `lr` is stated for, it grows in proportion (Goyal et al. 2017, section 2.1);
            0: it is stated for `batch` as it is.
        momentum: of RMSprop and SGD; AdamW's first beta.
        weight_decay: on convolution and linear weights only, not on BN and biases.
        schedule: after the warm-up: `cosine` to 0, `exponential` by `decay_rate` every
            `decay_epochs`, or `constant`.
        warmup: epochs (fractions too) of linear growth from 0, at most half of all.
        decay_rate, decay_epochs: of the exponential schedule.
        label_smoothing: as in Szegedy et al. 2016.
        ema: decay of the weights' moving average, which is then what is evaluated; 0: none. It starts
            lower, at (1 + n) / (10 + n) after n steps, so that a short training isn't an average of its
            beginning (as TensorFlow's ExponentialMovingAverage does it for EfficientNet).
        bn_momentum: replaces the spec's, where few steps are too few for it; 0: the spec's.
        mixed_precision: bfloat16 (or float16) where the device has it; single precision elsewhere.
        channels_last: memory format; about twice as fast for small MBConv networks on CPUs.
        shift: random shift of each image, up to this part of its side.
        flip: mirror half of the images, where the data set allows it.
        augment: a policy of torchvision: `autoaugment` (Cubuk et al. 2019), `randaugment` (Cubuk et al.
            2020: two operations of `magnitude`), `trivialaugment` (Mueller & Hutter 2021), or `none`.
        mixup: alpha of mixup (Zhang et al. 2018); 0: none.
        cutmix: alpha of CutMix (Yun et al. 2019); 0: none. With both, each batch gets one of them.
        erase: chance that a rectangle of an image is erased (Zhong et al. 2020).
        dropout, stochastic_depth: replace the spec's; -1: the spec's.
        layer_decay: of a fine-tuning: each stage's rate is this part of that of the stage behind it.
        compile: run the model through `torch.compile`.
        magnitude: of RandAugment, from 0 to 30.
        stages: of progressive learning (`nas.training.progressive`); 1: none.
        start_size, start_strength: parts of the resolution, and of dropout, `magnitude`, `mixup`, `cutmix`
            and `erase`, that its first stage has; EfficientNetV2-S had 128 of 300 px and a third (table 6).
        init: `identity`: residual blocks begin as the identity, and the classifier's outputs below one,
            however few the classes; `published`: as the released EfficientNet (`nas.network.blocks`).
        distillation, temperature: with a teacher (`nas.training.distillation`), its share of the loss, and T.

    Raises:
        InputError: a value out of its range, or an unknown optimizer, schedule, augmentation or `init`.
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
    lr_batch: int = 0
    augment: str = "none"
    mixup: float = 0.0
    cutmix: float = 0.0
    erase: float = 0.0
    dropout: float = -1.0
    stochastic_depth: float = -1.0
    layer_decay: float = 1.0
    compile: bool = False
    magnitude: float = 9.0
    stages: int = 1
    start_size: float = 0.43
    start_strength: float = 0.33
    distillation: float = 0.5
    temperature: float = 1.0
    init: str = "identity"

    def to_document(self) -> dict[str, Any]:
        """As plain data; what came later only where it isn't as before, so that earlier runs stay equal."""
        before = {name: part.default for name, part in Recipe.__dataclass_fields__.items()}
        before["init"] = BEFORE_INIT
        return {n: v for n, v in vars(self).items() if n not in _LATER or v != before[n]}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Recipe:
        """The inverse of `to_document`; raises TypeError or `InputError` where it is none."""
        return cls(**{"init": BEFORE_INIT, **document})

    def adapt(self, spec: NetworkSpec) -> NetworkSpec:
        """The network with the rates that the recipe replaces: dropout, stochastic depth, BN momentum."""
        return spec.replace(
            dropout=spec.dropout if self.dropout < 0 else self.dropout,
            stochastic_depth=spec.stochastic_depth if self.stochastic_depth < 0 else self.stochastic_depth,
            bn_momentum=self.bn_momentum or spec.bn_momentum,
        )

    @property
    def identity(self) -> bool:
        """How weights begin, as `nas.network.builder.build` takes it."""
        return self.init == "identity"

    @property
    def peak_lr(self) -> float:
        """The highest learning rate, for this batch."""
        return self.lr * self.batch / self.lr_batch if self.lr_batch else self.lr

    def __post_init__(self) -> None:
        if self.augment not in AUGMENTS:
            raise unknown("augment", self.augment, AUGMENTS)
        if self.init not in INITS:
            raise unknown("init", self.init, INITS)
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        if self.schedule not in SCHEDULES:
            raise unknown("schedule", self.schedule, SCHEDULES)
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not low <= value <= high:
                raise InputError(f"recipe: {name} {shown(value)}: expected a number from {low:g} to {high:g}")
        if self.stages > self.epochs:
            raise InputError(
                f"recipe: stages {self.stages}: expected at most one for each of {self.epochs} epochs"
            )
        for name in ("dropout", "stochastic_depth"):
            if -1 < getattr(self, name) < 0:
                raise InputError(f"recipe: {name} {shown(getattr(self, name))}: expected 0 to 0.999, or -1")
