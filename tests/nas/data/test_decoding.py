"""Files decoded once: the squares are what evaluation sees with a margin, upright, in order, without the broken."""

import io
import os
import signal

import numpy as np
import pytest
from PIL import Image

from nas.data import decoding, memory
from nas.data.dataset import FileSplit
from nas.data.decoding import decode_split, decoding_processes, stored_side
from nas.data.images import CENTRE, read_image
from search_spaces import InputError
from tests.nas.data.odd import turned


def photograph(path, size, seed=0, form="PNG"):
    """Large soft shapes with noise on them."""
    rng = np.random.default_rng(seed)
    soft = np.asarray(Image.fromarray(rng.integers(0, 256, (5, 6, 3), np.uint8)).resize(size, 2)).astype(int)
    noisy = (soft + rng.integers(-20, 21, soft.shape)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(path, form)
    return str(path)


def middle(squares, side):
    start = (squares.shape[-1] - side) // 2
    return squares[..., start : start + side, start : start + side]


@pytest.mark.parametrize("resolution", [4, 16, 31, 64, 100, 128, 224])
def test_a_square_is_the_largest_on_the_grid_of_evaluation(resolution):
    side = stored_side(resolution)
    assert side <= resolution / CENTRE < side + 2
    assert (side - resolution) % 2 == 0
    assert {16: 18, 64: 72, 128: 146, 224: 256}.get(resolution, side) == side


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    ("size", "resolution"), [((90, 70), 32), ((70, 90), 31), ((600, 900), 48), ((20, 20), 24)]
)
def test_its_centre_is_what_evaluation_makes_of_the_file(size, resolution, form, tmp_path):
    split = FileSplit((photograph(tmp_path / "x", size, form=form),), (0,))
    squares, bad = decode_split(split, resolution)
    assert not bad
    assert squares.images.shape == (1, 3, *[stored_side(resolution)] * 2)
    seen = read_image(split.keys[0], resolution).astype(int)
    gap = np.abs(middle(squares.images[0], resolution) - seen)
    assert gap.max() <= 6
    assert gap.mean() < 0.5
    # the margin that a square of the rounded-up side would be off by is seen: half a pixel at the edges
    other = read_image(split.keys[0], stored_side(resolution) + 1, centre=1.0)
    assert np.abs(middle(other, resolution) - seen).mean() > 4 * max(0.1, gap.mean())


def test_pictures_are_stored_upright(tmp_path):
    plain = tmp_path / "1.jpg"
    plain.write_bytes(turned(1))
    for orientation in range(2, 9):
        (tmp_path / f"{orientation}.jpg").write_bytes(turned(orientation))
    keys = tuple(str(tmp_path / f"{orientation}.jpg") for orientation in range(1, 9))
    squares, _ = decode_split(FileSplit(keys, (0,) * 8), 16)
    pixels = squares.images.astype(int)
    assert np.abs(pixels[1:] - pixels[0]).mean((1, 2, 3)).max() < 4
    assert np.abs(np.rot90(pixels[0], 1, (1, 2)) - pixels[0]).mean() > 40  # lying, it would have been seen


@pytest.mark.parametrize("processes", [1, 3])
def test_order_and_labels_are_kept_and_the_broken_left_out(processes, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "decoding_processes", lambda images: processes)
    keys = []
    for index in range(150):
        keys.append(str(tmp_path / f"{index}.png"))
        Image.new("RGB", (9, 8), (index, 0, 0)).save(keys[-1])
    for index in (0, 70, 149):
        (tmp_path / f"{index}.png").write_bytes(b"gone")
    (tmp_path / "80.png").unlink()
    squares, bad = decode_split(FileSplit(tuple(keys), tuple(index % 7 for index in range(150))), 8)
    kept = [index for index in range(150) if index not in (0, 70, 80, 149)]
    assert squares.images[:, 0, 4, 4].tolist() == kept
    assert squares.labels.tolist() == [index % 7 for index in kept]
    assert sorted(bad) == [0, 70, 80, 149]
    assert "No such file" in bad[80]


def test_a_killed_process_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "decoding_processes", lambda images: 2)
    monkeypatch.setattr(decoding, "read_image", lambda *rest: os.kill(os.getpid(), signal.SIGKILL))
    split = FileSplit(tuple(f"{index}.png" for index in range(99)), (0,) * 99)
    with pytest.raises(
        InputError, match=r"one of the 2 processes that decode 0\.png and the other 98 images"
    ):
        decode_split(split, 8)


def test_few_images_are_no_work_for_many(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert [decoding_processes(count) for count in (0, 100, 1000, 100_000)] == [1, 1, 2, 8]


def test_free_memory_is_that_of_the_container(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "none")
    whole = memory.free_memory()
    assert 1 << 26 < whole < 1 << 50
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 200000\n")
    assert memory.free_memory() == 500_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() > 500_000
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "none")
    assert memory.free_memory() > 1 << 26


def test_what_is_stored_has_the_bytes_of_shards_too():
    class Rows:
        def content(self, key):
            stream = io.BytesIO()
            Image.new("RGB", (20, 20), (int(key), 0, 0)).save(stream, "PNG")
            return stream.getvalue()

        def name(self, key):
            return f"row {key}"

    squares, bad = decode_split(FileSplit(("3", "9"), (1, 0), Rows()), 8)
    assert (squares.images[:, 0, 0, 0].tolist(), bad) == ([3, 9], {})
