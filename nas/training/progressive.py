"""Progressive learning: images and regularisation grow together over the stages of a training.

Tan & Le 2021 (EfficientNetV2), section 4.2, algorithm 1: the epochs are cut into M stages of equal length;
stage i trains at size S_0 + (S_e - S_0) i / (M - 1), and every kind of regularisation grows likewise. Small
images need weak regularisation, and are quick. A stage follows from the epoch alone, so a resumed training is
the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nas.training.recipe import Recipe

_SMALLEST = 4
"""Pixels: below, no image says much."""


@dataclass(frozen=True)
class TrainingStage:
    """What some epochs are trained with.

    Attributes:
        resolution: height and width of the images, pixels.
        strength: share of the full regularisation, up to 1.
        recipe: with the strengths of augmentation that it has then.
    """

    resolution: int
    strength: float
    recipe: Recipe


def stage_of(recipe: Recipe, epoch: int, resolution: int) -> TrainingStage:
    """The stage that an epoch belongs to.

    Args:
        recipe: of the whole training; its `stages`, `start_size` and `start_strength`.
        epoch: from 0.
        resolution: of the last stage, and of every evaluation.
    """
    if recipe.stages == 1:
        return TrainingStage(resolution, 1.0, recipe)
    number = min(recipe.stages - 1, epoch * recipe.stages // recipe.epochs)
    done = number / (recipe.stages - 1)
    size = recipe.start_size + (1 - recipe.start_size) * done
    strength = recipe.start_strength + (1 - recipe.start_strength) * done
    changes = {name: getattr(recipe, name) * strength for name in ("magnitude", "mixup", "cutmix", "erase")}
    smallest = min(_SMALLEST, resolution)
    return TrainingStage(max(smallest, round(resolution * size)), strength, replace(recipe, **changes))


def first_resolution(recipe: Recipe, resolution: int) -> int:
    """The smallest that a training sees, pixels."""
    return stage_of(recipe, 0, resolution).resolution
