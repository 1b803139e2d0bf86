"""Distillation: a larger, trained network says of every training image how alike the classes look in it.

Hinton et al. 2015, section 2: the student's loss is a mean of the usual one and of its distance to the
teacher's softened outputs, times T^2, which keeps its gradients' size. The teacher sees the very images that
the student sees (Beyer et al. 2022), at its own resolution.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.data.preparation import Preparation
from nas.training.checkpoint import checkpoint_file, load_model
from search_spaces.errors import InputError


class Teacher(nn.Module):
    """What a trained network teaches.

    Args:
        path: its checkpoint, or a training's folder.
        student: how the images come that it is to judge, and their classes.
        temperature: T.

    Raises:
        InputError: no checkpoint, or one of other classes or channels.
    """

    def __init__(self, path: str, student: Preparation, temperature: float) -> None:
        super().__init__()
        _, model, own = load_model(path)
        if own is None:
            raise InputError(f"teacher {path}: it doesn't say how its images were prepared, or its classes")
        if (own.classes, own.channels) != (student.classes, student.channels):
            raise InputError(
                f"teacher {path}: its {len(own.classes)} classes and {own.channels} channels are not the "
                f"{len(student.classes)} classes and {student.channels} channels that are trained on"
            )
        self.model, self.resolution, self.temperature = model.eval(), own.resolution, temperature
        given = (student.mean, student.std, own.mean, own.std)
        mean, std, own_mean, own_std = (torch.tensor(values).view(1, -1, 1, 1) for values in given)
        # from the student's normalisation to its own
        self.scale, self.shift = nn.Buffer(std / own_std), nn.Buffer((mean - own_mean) / own_std)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """The student's inputs (N, C, H, W) -> the teacher's logits (N, classes)."""
        if images.shape[-1] != self.resolution:
            size = (self.resolution, self.resolution)
            images = F.interpolate(images, size=size, mode="bilinear", antialias=True)
        logits: Tensor = self.model(images * self.scale + self.shift)
        return logits

    def distance(self, images: Tensor, logits: Tensor) -> Tensor:
        """T^2 times the mean divergence of the student's softened outputs from the teacher's, a number."""
        soft = F.log_softmax(logits.float() / self.temperature, 1)
        wanted = F.log_softmax(self(images).float() / self.temperature, 1)
        found = F.kl_div(soft, wanted, reduction="batchmean", log_target=True)
        return found * self.temperature**2


def teacher_digest(path: str) -> str:
    """16 hex digits of a teacher's file: another one would make another training.

    Raises:
        InputError: it can't be read.
    """
    file = checkpoint_file(Path(path))
    try:
        found = hashlib.sha256()
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                found.update(block)
        return found.hexdigest()[:16]
    except OSError as error:
        raise InputError(f"teacher {path}: {error.strerror}") from None
