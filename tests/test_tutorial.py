"""The tutorial's commands, as they stand there, on a folder of images."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import nas

TUTORIAL = Path(__file__).parent.parent / "docs" / "tutorial.md"


def commands():
    return [shlex.split(line) for line in re.findall(r"^    (nas .*)$", TUTORIAL.read_text(), re.M)]


def make_photos(folder, classes=("cat", "dog", "horse"), count=60):
    """Images of a coloured disc at a place of its class, in noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:48, :64]
    for index, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 160, (48, 64, 3), dtype=np.uint8)
            x = 12 + 18 * index + rng.integers(-4, 5)
            pixels[(rows - rng.integers(16, 32)) ** 2 + (columns - x) ** 2 < 90, index] = 255
            Image.fromarray(pixels).save(folder / name / f"{number}.jpg")


def test_it_begins_with_a_plan_and_ends_with_predictions():
    names = [command[1] for command in commands()]
    assert names[:2] == ["start", "start"]
    assert {"show", "report", "predict", "scale"} <= set(names)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_its_commands_work_as_they_stand_there(tmp_path):
    make_photos(tmp_path / "photos")
    for command in commands():
        done = nas(*command[1:], cwd=tmp_path)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    labels = (tmp_path / "mine" / "labels.csv").read_text().splitlines()
    assert len(labels) == 1 + 180
    right = sum(Path(line.split(",")[0]).parent.name == line.split(",")[1] for line in labels[1:])
    assert right > 90  # of three classes 60 are right by guessing
