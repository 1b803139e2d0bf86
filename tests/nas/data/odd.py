"""Odd inputs, made small: images of all kinds, folders, shards, Hugging Face sets."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

COLOURS = {"ant": (200, 40, 40), "bee": (40, 200, 40)}


def image(colour=(10, 20, 30), size=(16, 12), form="PNG", **options):
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, form, **options)
    return stream.getvalue()


def halves(left, right, dtype=np.uint8, form="PNG", mode=None, **options):
    """An image of two halves, by the values they are stored as."""
    pixels = np.empty((16, 16, *np.shape(left)), dtype)
    pixels[:, :8], pixels[:, 8:] = left, right
    made = Image.fromarray(pixels)
    if mode:
        made = made.convert(mode)
    stream = io.BytesIO()
    made.save(stream, form, **options)
    return stream.getvalue()


def big_endian(left, right):
    pixels = np.empty((16, 16), ">u2")
    pixels[:, :8], pixels[:, 8:] = left, right
    stream = io.BytesIO()
    Image.frombytes("I;16B", (16, 16), pixels.tobytes()).save(stream, "TIFF")
    return stream.getvalue()


def tiff(left, right, bits, photometric=1, sample_format=1):
    """A TIFF written by hand (TIFF 6.0): 16 x 16 in grey, of 12 or 16 bits, little-endian."""
    values = [left] * 8 + [right] * 8
    if bits == 12:
        row = b"".join(
            bytes((a >> 4, (a & 15) << 4 | b >> 8, b & 255))
            for a, b in zip(values[::2], values[1::2], strict=True)
        )
    else:
        row = np.array(values, "<i2" if sample_format == 2 else "<u2").tobytes()
    strip = row * 16
    entries = [
        (256, 3, 16), (257, 3, 16), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8),
        (277, 3, 1), (278, 3, 16), (279, 4, len(strip)), (339, 3, sample_format),
    ]  # fmt: skip
    directory = len(entries).to_bytes(2, "little")
    for tag, kind, value in entries:
        directory += b"".join(
            n.to_bytes(size, "little") for n, size in ((tag, 2), (kind, 2), (1, 4), (value, 4))
        )
    return b"II*\0" + (8 + len(strip)).to_bytes(4, "little") + strip + directory + bytes(4)


def turned(orientation, form="JPEG"):
    """The picture of `QUARTERS`, stored so that this EXIF orientation shows it upright."""
    back = {
        1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
        6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270",
    }[orientation]  # fmt: skip
    made = Image.fromarray(quarters())
    if back:
        made = made.transpose(Image.Transpose[back])
    exif = Image.Exif()
    exif[274] = orientation
    stream = io.BytesIO()
    made.save(stream, form, exif=exif, **({"quality": 95} if form == "JPEG" else {}))
    return stream.getvalue()


QUARTERS = ((250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0))
"""Upper left, upper right, lower left, lower right."""


def quarters(width=640, height=320):
    pixels = np.empty((height, width, 3), np.uint8)
    half, middle = height // 2, width // 2
    pixels[:half, :middle], pixels[:half, middle:] = QUARTERS[0], QUARTERS[1]
    pixels[half:, :middle], pixels[half:, middle:] = QUARTERS[2], QUARTERS[3]
    return pixels


def frames(form):
    stream = io.BytesIO()
    made = [Image.new("RGB", (16, 16), colour) for colour in ((200, 0, 0), (0, 200, 0))]
    options = {"lossless": True} if form == "WEBP" else {}
    made[0].save(stream, form, save_all=True, append_images=made[1:], **options)
    return stream.getvalue()


def palette(transparent):
    made = Image.new("P", (16, 16), 0)
    made.putpalette([200, 0, 0, 0, 0, 200] + [0] * 762)
    made.paste(1, (8, 0, 16, 16))
    stream = io.BytesIO()
    made.save(stream, "PNG", transparency=transparent)
    return stream.getvalue()


def folder(root, count=6, train="train", val="val", classes=tuple(COLOURS)):
    """An image folder; `train` or `val` may be empty names: no such split, or no split at all."""
    for part in filter(None, (train, val)) if train else ("",):
        for label in classes:
            place = root / part / label
            place.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                (place / f"{index}.png").write_bytes(image(COLOURS.get(label, (1, 2, 3))))
    return root


def shard(path, members, end=True):
    """A tar file of (name, bytes), or of `TarInfo`s that are no files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, content = member
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def samples(labels, suffix="cls", start=0):
    """Members of a shard: an image and a label for each of `labels`; None: no label."""
    made = []
    for index, label in enumerate(labels, start):
        made.append((f"{index:04d}.png", image(list(COLOURS.values())[index % 2])))
        if label is None:
            continue
        content = json.dumps({"label": label}) if suffix == "json" else str(label)
        made.append((f"{index:04d}.{suffix}", content if isinstance(content, bytes) else content.encode()))
    return made


def shards(root, train, val=None):
    """A WebDataset of one shard a split, of the members given."""
    shard(root / "train" / "0000.tar", train)
    shard(root / "val" / "0000.tar", samples([0, 1] * 3) if val is None else val)
    return root


def hugging(root, train, test=None, name="test", more=None, columns=None):
    """A saved Hugging Face set.

    Args:
        train, test: labels, or (labels, names of a ClassLabel).
        name: of the second split.
        more: further columns of both: name -> (feature, value of every row).
    """
    datasets = pytest.importorskip("datasets", reason="the extra 'huggingface' is not installed")
    datasets.disable_progress_bars()

    def made(split):
        labels, names = split if isinstance(split, tuple) else (split, None)
        rows = [{"bytes": image(list(COLOURS.values())[i % 2]), "path": None} for i in range(len(labels))]
        table, features = {"image": rows}, {"image": datasets.Image()}
        if labels and labels[0] != "none":
            table["label"] = labels
            if names:
                features["label"] = datasets.ClassLabel(names=names)
        for column, (feature, value) in (more or {}).items():
            table[column] = [value(i) for i in range(len(labels))]
            features[column] = feature(datasets)
        for column in table.keys() - features.keys():
            features[column] = datasets.Dataset.from_dict({column: table[column]}).features[column]
        return datasets.Dataset.from_dict(table, features=datasets.Features(features))

    splits = {"train": made(train)} | ({} if test is None else {name: made(test)})
    for part, rows in splits.items():
        rows.save_to_disk(str(root / part))
    (root / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return root
