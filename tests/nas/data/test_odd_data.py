"""Odd inputs and what becomes of them: read right, counted in a remark, or refused in one clear line."""

import gzip
import os
import random
import socket
import struct
import warnings

import numpy as np
import pytest
from PIL.JpegImagePlugin import JpegImageFile

from nas.data.images import UnreadableImageError, read_image
from nas.data.load import load_data
from search_spaces import InputError
from tests.nas.data.odd import (
    QUARTERS,
    big_endian,
    folder,
    frames,
    halves,
    hugging,
    image,
    palette,
    samples,
    shards,
    tiff,
    turned,
)

# what it is -> (bytes, left and right half as they must come)
IMAGES = {
    "grey": (lambda: halves(10, 250), 10, 250),
    "grey and alpha": (lambda: halves((40, 255), (40, 0)), 40, 255),
    "RGBA on white": (lambda: halves((200, 0, 0, 255), (9, 9, 9, 0)), (200, 0, 0), 255),
    "RGBA half through": (lambda: halves((0, 0, 0, 128), (0, 0, 0, 255)), 127, 0),
    "palette": (lambda: palette(255), (200, 0, 0), (0, 0, 200)),
    "palette with a transparent colour": (lambda: palette(0), 255, (0, 0, 200)),
    "palette with alpha": (lambda: palette(b"\x00\xff"), 255, (0, 0, 200)),
    "grey with a transparent value": (lambda: halves(10, 250, transparency=10), 255, 250),
    "black and white": (lambda: halves(0, 255, mode="1"), 0, 255),
    "black and white TIFF, fax": (lambda: halves(0, 255, mode="1", form="TIFF", compression="group4"), 0, 255),
    "16-bit PNG": (lambda: halves(10 * 257, 250 * 257, np.uint16), 10, 250),
    "16-bit TIFF": (lambda: halves(10 * 257, 250 * 257, np.uint16, "TIFF"), 10, 250),
    "16-bit TIFF, big-endian": (lambda: big_endian(10 * 257, 250 * 257), 10, 250),
    "16-bit TIFF, white is zero": (lambda: tiff(10 * 257, 250 * 257, 16, photometric=0), 245, 5),
    "12-bit TIFF": (lambda: tiff(160, 4000, 12), 10, 249),
    "16-bit PGM": (lambda: b"P5 16 16 65535\n" + (b"\x0a\x0a" * 8 + b"\xfa\xfa" * 8) * 16, 10, 250),
    "12-bit PGM": (lambda: b"P5 16 16 4095\n" + struct.pack(">16H", *[161] * 8, *[4015] * 8) * 16, 10, 250),
    "16-bit JPEG 2000": (lambda: halves(2570, 64250, np.uint16, "JPEG2000"), 10, 250),
    "CMYK JPEG as Adobe writes it": (lambda: halves((0, 0, 0), 255, mode="CMYK", form="JPEG"), 0, 255),
    "CMYK TIFF": (lambda: halves((200, 0, 0), (0, 0, 200), mode="CMYK", form="TIFF"), (200, 0, 0), (0, 0, 200)),
    "YCbCr TIFF": (lambda: halves((200, 0, 0), (0, 0, 200), mode="YCbCr", form="TIFF"), (200, 0, 0), (0, 0, 200)),
    "first frame of a GIF": (lambda: frames("GIF"), (200, 0, 0), (200, 0, 0)),
    "first frame of a WebP": (lambda: frames("WEBP"), (200, 0, 0), (200, 0, 0)),
    "first frame of an APNG": (lambda: frames("PNG"), (200, 0, 0), (200, 0, 0)),
    "first page of a TIFF": (lambda: frames("TIFF"), (200, 0, 0), (200, 0, 0)),
    "one pixel": (lambda: image((9, 99, 199), (1, 1)), (9, 99, 199), (9, 99, 199)),
    "one pixel high": (lambda: image((9, 99, 199), (3000, 1)), (9, 99, 199), (9, 99, 199)),
    "one pixel wide, JPEG": (lambda: image((90, 90, 90), (1, 3000), "JPEG"), 90, 90),
    "broken EXIF": (lambda: image((90, 90, 90), form="JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), 90, 90),
}  # fmt: skip


@pytest.mark.parametrize("kind", IMAGES)
def test_images_are_read_as_they_are(kind):
    make, left, right = IMAGES[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = read_image(make(), 8).astype(int)
        assert read_image(make(), 8, random.Random(0)).shape == (3, 8, 8)
    for colour, column in ((left, 1), (right, 6)):
        expected = np.broadcast_to(colour, 3)
        assert np.abs(got[:, 4, column] - expected).max() <= 3, (got[:, 4], expected)


REFUSED_IMAGES = {
    "floats": (lambda: halves(0.1, 0.9, np.float32, "TIFF"), "a TIFF of floats"),
    "32-bit integers": (lambda: halves(1, 1 << 20, np.int32, "TIFF"), "a TIFF of 32-bit signed integers"),
    "signed 16-bit": (lambda: tiff(0, 1000, 16, sample_format=2), "a TIFF of 16-bit signed integers"),
    "Lab": (lambda: halves((100, 128, 128), (0, 9, 9), mode="LAB", form="TIFF"), "CIE Lab"),
    "12-bit JPEG": (lambda: image(form="JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), "a JPEG of 12 bits"),
    "PFM": (lambda: b"Pf 2 2\n-1.0\n" + bytes(16), "a PPM of floats"),
    "HEIC": (lambda: b"\0\0\0\x18ftypheic" + bytes(40), "'heic'"),
    "SVG": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
    "Git LFS": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS"),
    "cut off": (lambda: image((1, 2, 3), (640, 480), "JPEG")[:900], "truncated"),
    "nothing": (lambda: b"", "an empty file"),
    "bomb": (lambda: b"P5 60000 60000 255\n" + bytes(9), "exceeds limit"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED_IMAGES)
def test_images_that_are_refused_by_name(kind):
    make, reason = REFUSED_IMAGES[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnreadableImageError, match=reason) as caught:
            read_image(make(), 8)
    assert "\n" not in str(caught.value)
    assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_shown_upright(orientation, form):
    content = turned(orientation, form)
    got = read_image(content, 16).astype(np.float32)
    corners = [got[:, y, x] for y in (3, 12) for x in (3, 12)]
    for corner, colour in zip(corners, QUARTERS, strict=True):
        assert np.abs(corner - np.array(colour)).max() < 25, (orientation, form)
    # crops at random are drawn from the picture as it is shown, whichever way it is stored
    for seed in range(4):
        crop = read_image(content, 16, random.Random(seed)).astype(np.float32)
        plain = read_image(turned(1, form), 16, random.Random(seed)).astype(np.float32)
        assert np.abs(crop - plain).mean() < 4


def test_a_picture_that_lies_on_its_side_is_decoded_small_too(monkeypatch):
    sizes = []
    original = JpegImageFile.draft

    def draft(self, *args):
        original(self, *args)
        sizes.append(self.size)

    monkeypatch.setattr(JpegImageFile, "draft", draft)
    read_image(turned(6), 16)
    assert sizes == [(40, 80)]  # stored as 320 x 640


# --- folders -------------------------------------------------------------------------------------------


def write(path, content=b"text"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def fifo(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


def unix_socket(path):
    os.chdir(path.parent)  # its name may be long, that of a socket may not
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


# what is odd -> (how to make it so, images read of 24, words in the remarks)
FOLDERS = {
    "nothing odd": (lambda r: None, 24, ()),
    "what systems leave": (lambda r: [write(r / "train/ant" / n) for n in (".DS_Store", "._0.png", "Thumbs.db")], 24, ()),
    "a notebook's checkpoints": (lambda r: write(r / "train/.ipynb_checkpoints/0.png", image()), 24, ("hidden 1",)),
    "checkpoints in a class": (lambda r: write(r / "train/ant/.ipynb_checkpoints/0.png", image()), 24, ("hidden 1",)),
    "archive of a Mac": (lambda r: write(r / "train/__MACOSX/ant/0.png", image()), 24, ()),
    "other files": (lambda r: [write(r / "train/ant/a.txt"), write(r / "val/bee/b.HEIC")], 24, ("skipped 2 entries", ".heic 1", ".txt 1")),
    "no extension": (lambda r: write(r / "train/ant/README"), 24, ("without extension 1",)),
    "upper case": (lambda r: write(r / "train/ant/X.JPG", image(form="JPEG")), 25, ()),
    "TIFF, GIF, JFIF": (lambda r: [write(r / f"train/ant/x.{e}", image(form=f)) for e, f in (("tif", "TIFF"), ("gif", "GIF"), ("jfif", "JPEG"))], 27, ()),
    "folders below a class": (lambda r: write(r / "train/ant/2024/may/x.png", image()), 25, ()),
    "a class by a link": (lambda r: ((r / "train/bee").rename(r / "elsewhere"), link(r / "train/bee", r / "elsewhere")), 24, ("'elsewhere' not read",)),
    "an image by a link": (lambda r: (write(r / "../x.png", image()), link(r / "train/ant/x.png", "../../../x.png")), 25, ()),
    "a dangling link": (lambda r: link(r / "train/ant/x.png", "nowhere.png"), 24, ("dangling links 1", "ant/x.png")),
    "a link to itself": (lambda r: link(r / "train/ant/x.png", "x.png"), 24, ("dangling links 1",)),
    "a loop": (lambda r: link(r / "train/ant/loop", r / "train"), 24, ("links to folders read already 1",)),
    "a loop to the class": (lambda r: link(r / "train/ant/loop", "."), 24, ("links to folders read already 1",)),
    "an image twice": (lambda r: link(r / "train/ant/x.png", "0.png"), 24, ("links to files read already 1",)),
    "an image in two classes": (lambda r: link(r / "train/ant/x.png", "../bee/0.png"), 25, ("1 images are in several",)),
    "a test image trained on": (lambda r: link(r / "train/ant/x.png", "../../val/ant/0.png"), 25, ("1 images are in several",)),
    "a FIFO": (lambda r: fifo(r / "train/ant/x.png"), 24, ("no regular files 1",)),
    "a socket": (lambda r: unix_socket(r / "train/ant/x.png"), 24, ("no regular files 1",)),
    "a device by a link": (lambda r: link(r / "train/ant/x.png", "/dev/zero"), 24, ("no regular files 1",)),
    "an empty file": (lambda r: write(r / "train/ant/x.png", b""), 24, ("empty files 1",)),
    "a folder like an image": (lambda r: write(r / "train/ant/x.png/y.png", image()), 25, ()),
    "images beside classes": (lambda r: write(r / "train/x.png", image()), 24, ("1 images lie in train itself",)),
    "a name that isn't UTF-8": (lambda r: write(r / "train/ant" / os.fsdecode(b"\xff\xfe.png"), image()), 25, ()),
    "class with no test images": (lambda r: [(r / "val/bee" / f"{i}.png").unlink() for i in range(6)], 18, ("no images in val of class 'bee'",)),
    "test/ without labels": (lambda r: write(r / "test/x.png", image()), 24, ("test has no images: it is not used", "val is the test split")),
    "test/ and val/": (lambda r: folder(r, train="test"), 24, ("test is the test split; val not used",)),
    "further folders": (lambda r: write(r / "extra/x.png", image()), 24, ("'extra' not read",)),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _stay(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # and back, whatever a row does


@pytest.mark.parametrize("kind", FOLDERS)
def test_folders_are_walked_by_rules(kind, tmp_path):
    make, count, words = FOLDERS[kind]
    root = folder(tmp_path / "data")
    make(root)
    data = load_data(f"imagefolder:{root}")
    assert len(data.train) + len(data.held_out) + len(data.test) == count
    assert data.classes == ("ant", "bee")
    text = "\n".join(data.remarks)
    for word in words:
        assert word in text
    assert bool(words) == bool(text), text
    for split in (data.train, data.held_out, data.test):
        for index, label in enumerate(split.labels):
            assert f"/{data.classes[label]}/" in split.name(index)
            assert read_image(split.content(index), 4).shape == (3, 4, 4)


REFUSED_FOLDERS = {
    "a file": (lambda r: write(r, b""), "is no folder"),
    "nothing": (lambda r: None, "no folder here"),
    "an empty folder": (lambda r: r.mkdir(), "no folder .*/train"),
    "no train": (lambda r: folder(r, train="val"), r"no folder .*/train .*found 'val'"),
    "no class folders": (lambda r: write(r / "train/x.png", image()), "no class folders with images in train"),
    "a class of HEIC": (lambda r: (folder(r), write(r / "train/wasp/x.heic")), r"class folders 'wasp' \(skipped 1 entry: \.heic"),
    "a class only in val": (lambda r: (folder(r), write(r / "val/wasp/x.png", image())), r"\['wasp'\] are in only one of train and val"),
    "classes in another case": (lambda r: (folder(r), (r / "val/bee").rename(r / "val/Bee")), "'Bee' and 'bee' differ only in case"),
    "one class": (lambda r: folder(r, classes=("ant",)), "all 6 training images are of class 'ant'"),
    "one image of a class": (lambda r: (folder(r), write(r / "train/wasp/x.png", image())), "class 'wasp' has 1 training image"),
    "a class that is a loop": (lambda r: (folder(r), link(r / "train/self", ".")), "no images in class folders 'self'"),
    "floats": (lambda r: (folder(r), [write(p, halves(0.1, 0.9, np.float32, "TIFF")) for p in r.glob("train/*/*.png")]), "images looked at are of a kind .* a TIFF of floats"),
    "columns": (lambda r: folder(r), "imagefolder:.*label=x", "?label=x"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED_FOLDERS)
def test_folders_that_are_refused(kind, tmp_path):
    make, reason, *more = REFUSED_FOLDERS[kind]
    make(tmp_path / "data")
    with pytest.raises(InputError, match=reason):
        load_data(f"imagefolder:{tmp_path / 'data'}{''.join(more)}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read(tmp_path):
    root = folder(tmp_path / "data")
    (root / "train/ant").chmod(0)
    with pytest.raises(InputError, match="ant: cannot be read: Permission denied"):
        load_data(f"imagefolder:{root}")


def test_a_folder_of_classes_without_splits(tmp_path):
    data = load_data(f"imagefolder:{folder(tmp_path / 'data', train='', count=12)}")
    assert (len(data.train), len(data.held_out), len(data.test)) == (17, 3, 4)
    assert not {*data.train.keys, *data.held_out.keys} & {*data.test.keys}
    assert "no train/: the 2 folders are the classes" in data.remarks
    assert "no test split: 4 of the 24 images are set aside as the test split" in data.remarks
    assert "set aside" in load_data(f"imagefolder:{folder(tmp_path / 'more', val='')}").remarks[0]


def test_names_in_all_characters_reach_messages_and_documents(tmp_path):
    from search_spaces.document import dump_yaml
    from search_spaces.quoting import markdown

    odd = ["a\nb", "[red]x", "c|d", os.fsdecode(b"\xff"), "e\u202ef", ":car:"]
    data = load_data(f"imagefolder:{folder(tmp_path / 'data', classes=odd)}")
    assert set(data.classes) == {"a\\nb", "[red]x", "c|d", "\\udcff", "e\\u202ef", ":car:"}
    "".join((*data.classes, *data.remarks)).encode()  # no lone surrogates
    assert "\\udcff" in dump_yaml({"names": list(data.classes)})
    assert markdown("c|d [x]") == r"c\|d \[x\]"


# --- labels --------------------------------------------------------------------------------------------


def idx(root, train, test):
    """Fashion-MNIST's files with these labels."""
    for part, labels in (("train", train), ("t10k", test)):
        pixels = np.zeros((len(labels), 8, 8), np.uint8)
        for name, values in (("images-idx3", pixels), ("labels-idx1", np.array(labels, np.uint8))):
            head = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
            root.mkdir(exist_ok=True)
            (root / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(head + values.tobytes()))


def from_arrays(root, train, test):
    idx(root, train, test)
    return load_data("fashion-mnist", str(root))


def from_cls(root, train, test):
    return load_data(f"webdataset:{shards(root, samples(train), samples(test))}")


def from_json(root, train, test):
    return load_data(f"webdataset:{shards(root, samples(train, 'json'), samples(test, 'json'))}")


def from_hugging(root, train, test):
    return load_data(f"huggingface:{hugging(root, train, test)}")


KINDS = {"arrays": from_arrays, "cls": from_cls, "json": from_json, "huggingface": from_hugging}
NAN, INF = float("nan"), float("inf")
# what is odd -> (labels in turn, classes, words in the remarks, kinds that can have it)
LABELS = {
    "gaps": ([0, 2, 5], ("0", "2", "5"), "labels 0, 2, 5 are taken as classes 0 to 2", KINDS),
    "from one": ([1, 2, 3], ("1", "2", "3"), "labels 1, 2, 3 are taken as classes 0 to 2", KINDS),
    "huge": ([10**12, 3], ("3", "1000000000000"), "3, 1000000000000 are taken", ("cls", "json", "huggingface")),
    "beyond 64 bits": ([10**30, 3], ("3", f"{10**30}"), "are taken", ("cls", "json")),
    "floats of whole numbers": ([0.0, 1.0], ("0", "1"), "", ("json", "huggingface")),
    "texts of numbers": (["10", "2"], ("2", "10"), "labels 2, 10 are taken", ("cls", "json", "huggingface")),
    "names": (["wasp", "ant"], ("ant", "wasp"), "", ("cls", "json", "huggingface")),
    "true and false": ([True, False], ("False", "True"), "", ("cls", "json", "huggingface")),
    "blanks about a name": (["b ", " a"], ("a", "b"), "", ("cls", "json", "huggingface")),
}  # fmt: skip
LABELS_REFUSED = {
    "-1": ([0, 1, -1], r"4 of 12 images of train .*label", ("cls", "json", "huggingface")),
    "None": ([0, 1, None], r"4 of 12 images of train .*label", ("cls", "json", "huggingface")),
    "NaN": ([0.0, 1.0, NAN], r"4 of 12 images of train .*label", ("cls", "json", "huggingface")),
    "empty": (["a", "b", ""], r"4 of 12 images of train .*label", ("cls", "json", "huggingface")),
    "a fraction": ([0.0, 1.0, 2.5], r"label 2\.5: expected a whole number", ("json", "huggingface")),
    "an infinity": ([0.0, 1.0, INF], r"label inf: expected a whole number", ("json", "huggingface")),
    "negative": ([0, 1, -7], r"label '?-7'?: expected a class from 0 on", ("cls", "json", "huggingface")),
    "several": ([[0], [1], [0, 1]], r"label \[0\]: expected one class", ("json", "huggingface")),
    "an object": ([{"x": 1}, {"x": 2}], r"label \{'x': 1\}: expected one class", ("json", "huggingface")),
    "one class": ([7, 7, 7], "all 12 training images are of class '7'", KINDS),
    "a number for each image": (list(range(12)), r"class '0' has 1 training image.*12 classes, 12 images", KINDS),
}  # fmt: skip
EVERY = [
    (name, kind) for table in (LABELS, LABELS_REFUSED) for name, row in table.items() for kind in row[-1]
]


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_labels_are_checked_for_every_kind_of_source(name, kind, tmp_path):
    values, *expected, _ = (LABELS | LABELS_REFUSED)[name]
    train = (values * 12)[:12]
    if name in LABELS_REFUSED:
        with pytest.raises(InputError, match=expected[0]):
            KINDS[kind](tmp_path / "data", train, train)
        return
    classes, word = expected
    data = KINDS[kind](tmp_path / "data", train, train)
    if kind == "arrays":
        known = {
            str(i): n for i, n in enumerate(("t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal"))
        }
        classes = tuple(known[c] for c in classes)
    assert (data.classes, data.num_classes) == (classes, len(classes))
    labels = np.concatenate([np.asarray(s.labels) for s in (data.train, data.held_out)])
    assert np.bincount(labels).tolist() == [12 // len(classes)] * len(classes)
    assert word in "\n".join(data.remarks)
    assert bool(word) == bool([r for r in data.remarks if "taken" in r])
    if kind != "arrays":  # an image keeps its label
        key = [str(v).strip() if not isinstance(v, float) else str(int(v)) for v in train]
        assert [classes[label] for label in data.test.labels] == key


def test_a_class_of_the_test_split_alone_is_refused(tmp_path):
    for name, load in KINDS.items():
        with pytest.raises(
            InputError, match=r"classes \['2', '5'\] are in only one of train and .*1 of them"
        ):
            load(tmp_path / name, [0, 1, 2] * 4, [0, 1, 5] * 4)
