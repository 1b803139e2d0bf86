"""What images and data sets of strangers could start, or exhaust."""

import configparser
import io
import os
import re
from pathlib import Path

import pytest
from PIL import EpsImagePlugin, Image

from nas.data import images, pixels
from nas.data.load import load_data
from nas.training.check_files import check_files
from search_spaces import InputError
from tests.nas.data.odd import folder


def test_no_file_starts_another_program(tmp_path, monkeypatch):
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    drawn = io.BytesIO()
    Image.new("RGB", (16, 16)).save(drawn, "EPS")
    root = folder(tmp_path / "data", count=30)
    for path in sorted(root.rglob("*.png"))[::30]:
        path.write_bytes(drawn.getvalue())
        path.rename(path.with_suffix(".jpg"))
    for read in (images.check_decodes, images.check_header, images.image_size, images.read_square,
                 lambda content: images.read_image(content, 8)):  # fmt: skip
        with pytest.raises(images.UnreadableImageError, match="PostScript"):
            read(drawn.getvalue())
    monkeypatch.setattr("nas.training.check_files.MAX_UNREADABLE", 0.5)
    monkeypatch.setattr("nas.training.check_files.allowed_unreadable", lambda length: length)
    words = check_files(load_data(f"imagefolder:{root}"), ("train", "held_out", "test"))
    assert any("PostScript" in word for word in words)
    assert not (tmp_path / "started").exists()
    with Image.open(drawn) as image:  # it would have
        try:
            image.load()
        except Exception:
            assert (tmp_path / "started").exists()


@pytest.mark.parametrize(
    ("mode", "side", "form", "fits"),
    [
        ("RGB", 350, "PNG", True),
        ("RGB", 400, "PNG", False),
        ("L", 400, "TIFF", False),
        ("RGBA", 220, "PNG", True),
        ("RGBA", 240, "PNG", False),
        ("I;16", 250, "TIFF", True),
        ("I;16", 300, "TIFF", False),
        ("RGB", 2000, "JPEG", True),
        ("RGB", 2000, "progressive JPEG", False),
        ("RGB", 250, "JPEG2000", False),
    ],
)
def test_an_image_is_bounded_by_the_memory_that_it_takes(mode, side, form, fits, monkeypatch):
    monkeypatch.setattr(pixels, "MOST_BYTES", 1 << 20)
    if pixels.formats().count("JPEG2000") == 0 and form == "JPEG2000":
        pytest.skip("this Pillow reads no JPEG 2000")
    stream = io.BytesIO()
    options = {"progressive": True} if "progressive" in form else {}
    Image.new(mode, (side, side)).save(stream, form.split()[-1], **options)
    loaded = []
    load = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda image: (loaded.append(image.size), load(image))[1])
    for read in (images.check_decodes, lambda content: images.read_image(content, 24), images.read_square):
        small = fits and not (read is images.read_square and side == 2000)
        if small:
            read(stream.getvalue())
        else:
            loaded.clear()
            with pytest.raises(images.UnsupportedImageError, match=r"\d+ x \d+ pixels, which take .* GiB"):
                read(stream.getvalue())
            assert not loaded


def test_no_script_of_a_hub_is_run(monkeypatch):
    datasets = pytest.importorskip("datasets")
    config = configparser.ConfigParser()
    config.read(Path(__file__).parents[3] / "setup.cfg")
    extras = config["options.extras_require"]
    for extra in ("test", "huggingface"):
        assert re.findall(r"^datasets>=(\d+)", extras[extra], re.M) == ["4"]
    monkeypatch.setattr(datasets, "__version__", "3.6.0")
    monkeypatch.setattr(datasets, "load_dataset", lambda *given, **more: pytest.fail("it was loaded"))
    with pytest.raises(InputError, match="datasets 3.6.0 may run a hub's scripts: expected version 4"):
        load_data("huggingface:someone/images")
