"""Odd shards, Hugging Face sets and file formats: the rest of the table of odd inputs."""

import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest

from nas.data.images import read_image
from nas.data.load import load_data
from nas.data.naming import parse_name, with_columns
from search_spaces import InputError
from tests.nas.data.odd import COLOURS, hugging, image, samples, shard, shards
from tests.nas.data.test_odd_data import idx

GOOD = [0, 1] * 3


def special(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def cut(root, bytes_left=None, blocks=None):
    path = root / "train" / "0000.tar"
    content = path.read_bytes()
    end = len(content.rstrip(b"\0")) // 512 * 512 + 512  # of the last member
    path.write_bytes(content[: bytes_left or end - 512 * (blocks or 0)])


def damage(root):
    path = root / "train" / "0000.tar"
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        at = archive.getmembers()[6].offset
    content[at + 148 : at + 156] = b"junkjunk"  # its header's checksum
    path.write_bytes(content)


def joined(root):
    path = root / "train" / "0000.tar"
    path.write_bytes(path.read_bytes() * 2)


def gnu_names(root):
    with tarfile.open(root / "train" / "0000.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in samples(GOOD):
            info = tarfile.TarInfo(f"{'folder/' * 30}{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def second(root, name, members):
    shard(root / "train" / name, members)


FILE = tarfile.REGTYPE
# what is odd -> (members of the training shard, what else to do, training images, words in the remarks)
SHARDS = {
    "nothing odd": (samples(GOOD), None, 6, ()),
    "long names, pax": ([(f"{'folder/' * 30}{n}", c) for n, c in samples(GOOD)], None, 6, ()),
    "long names, GNU": (samples(GOOD), gnu_names, 6, ()),
    "names in ./": ([(f"./{n}", c) for n, c in samples(GOOD)], None, 6, ()),
    "upper case": ([(n.upper(), c) for n, c in samples(GOOD)], None, 6, ()),
    "labels first": (sorted(samples(GOOD), key=lambda m: m[0][-3:]), None, 6, ()),
    "white space and a BOM": ([(n, b"\xef\xbb\xbf " + c + b"\r\n" if n.endswith("cls") else c) for n, c in samples(GOOD)], None, 6, ()),
    "both labels agree": (samples(GOOD) + [m for m in samples(GOOD, "json") if m[0].endswith("json")], None, 6, ()),
    "label without image": ([*samples(GOOD), ("9.cls", b"1")], None, 6, ("1 keys have a label but no image", ": 9")),
    "other fields": ([*samples(GOOD), ("0000.txt", b"a caption")], None, 6, ("skipped 1 entry: .txt 1",)),
    "a mask beside": ([*samples(GOOD), ("0000.seg.png", image())], None, 6, ("not read: .seg.png 1",)),
    "an empty image": ([*samples(GOOD), ("9.png", b""), ("9.cls", b"1")], None, 6, ("empty files 1", "1 keys have a label")),
    "what a Mac leaves": ([*samples(GOOD), ("._0000.png", b"x"), ("__MACOSX/0000.png", b"x")], None, 6, ()),
    "folders": ([special("a", tarfile.DIRTYPE), *samples(GOOD)], None, 6, ()),
    "a FIFO": ([special("9.png", tarfile.FIFOTYPE), *samples(GOOD)], None, 6, ("no regular files 1",)),
    "a device": ([special("9.png", tarfile.CHRTYPE), *samples(GOOD)], None, 6, ("no regular files 1",)),
    "a hard link": ([*samples(GOOD), special("9.png", tarfile.LNKTYPE, "0001.png"), ("9.cls", b"1")], None, 7, ()),
    "a symbolic link": ([("a/1.png", image(COLOURS["bee"])), ("a/1.cls", b"1"), *samples(GOOD), special("b/9.png", tarfile.SYMTYPE, "../a/1.png"), ("b/9.cls", b"1")], None, 8, ()),
    "same keys in two shards": (samples(GOOD), lambda r: second(r, "0001.tar", samples(GOOD)), 12, ("6 keys occur in several shards",)),
    "a shard is missing": (samples(GOOD), lambda r: second(r, "0002.tar", samples(GOOD, start=20)), 12, ("1 shards are missing", "e.g. 1")),
    "a hidden shard": (samples(GOOD), lambda r: (r / "train/._0000.tar").write_bytes(b"x"), 6, ()),
    "one block at the end": (samples(GOOD), lambda r: cut(r, blocks=-1), 6, ()),
}  # fmt: skip


@pytest.mark.parametrize("kind", SHARDS)
def test_shards_are_read_by_rules(kind, tmp_path):
    members, change, count, words = SHARDS[kind]
    root = shards(tmp_path / "data", members)
    if change:
        change(root)
    data = load_data(f"webdataset:{root}")
    assert len(data.train) + len(data.held_out) == count
    assert len(data.test) == 6
    text = "\n".join(data.remarks)
    for word in words:
        assert word in text
    assert bool(words) == bool(text), text
    for split in (data.train, data.held_out, data.test):
        for index, label in enumerate(split.labels):
            pixel = read_image(split.content(index), 4)[:, 2, 2]
            assert tuple(pixel.tolist()) == COLOURS[("ant", "bee")[label]]


REFUSED_SHARDS = {
    "two images": ([*samples(GOOD), ("0000.jpg", image(form="JPEG"))], None, r"key '0000' .*has 2 images: \.png, \.jpg"),
    "the same member twice": ([*samples(GOOD), ("0000.png", image())], None, "'0000.png': its key has the field 'png' twice"),
    "two cases of a member": ([*samples(GOOD), ("0000.PNG", image())], None, "the field 'png' twice"),
    "a label twice": ([*samples(GOOD), ("0000.cls", b"1")], None, "'0000.cls': its key has the field 'cls' twice"),
    "labels disagree": ([*samples(GOOD), ("0000.json", b'{"label": 1}')], None, "its .cls says '0' and its .json 1"),
    "a label twice in the JSON": ([*samples(GOOD, "json"), ("9.png", image()), ("9.json", b'{"label": 1, "label": 0}')], None, "malformed JSON: the name is twice in a mapping"),
    "dots in the keys": ([(f"img.v2.{n}", c) for n, c in samples(GOOD)], None, "ends at the first dot .* --image-column v2.0000.png"),
    "a dot in one key": ([*samples(GOOD), ("a.b.png", image()), ("a.b.cls", b"0")], None, r"key 'a' .*has an image: \.b\.png"),
    "no label": (samples([0, 1, 0, 1, None]), None, "1 of 5 images of train without a label: .*0004.png has no .cls"),
    "JSON without a label": ([*samples(GOOD), ("9.png", image()), ("9.json", b'{"id": 3}')], None, "9.png has no .cls or .json with a label"),
    "a list for JSON": ([*samples(GOOD), ("9.png", image()), ("9.json", b"[1]")], None, "expected a JSON object"),
    "no JSON": ([*samples(GOOD), ("9.png", image()), ("9.json", b"{")], None, "'9.json': malformed JSON"),
    "no text": ([*samples(GOOD), ("9.png", image()), ("9.cls", b"\xff\xfe")], None, "'9.cls': unreadable"),
    "cut off between members": (samples(GOOD), cut, "0000.tar: ends early, at byte"),
    "cut off in a member": (samples(GOOD), lambda r: cut(r, blocks=1), "0000.tar: .*unexpected end of data"),
    "cut off in a header": (samples(GOOD), lambda r: cut(r, bytes_left=512 * 4 + 100), "0000.tar: "),
    "a damaged header": (samples(GOOD), damage, "0000.tar: a damaged header at byte"),
    "two archives joined": (samples(GOOD), joined, "0000.tar: more after the archive's end"),
    "no members": ([], None, "no images in .*0000.tar"),
    "an empty file": (samples(GOOD), lambda r: (r / "train/0000.tar").write_bytes(b""), "0000.tar: an empty file"),
    "compressed": (samples(GOOD), lambda r: (r / "train/0000.tar").rename(r / "train/0000.tar.gz"), "compressed: .*unpack it"),
    "compressed without saying so": (samples(GOOD), lambda r: (r / "train/0000.tar").write_bytes(b"\x1f\x8b" + bytes(600)), "compressed with gzip"),
    "a folder like a shard": (samples(GOOD), lambda r: (r / "train/0001.tar").mkdir(), "0001.tar: no regular file"),
    "a FIFO like a shard": (samples(GOOD), lambda r: os.mkfifo(r / "train/0001.tar"), "0001.tar: no regular file"),
    "a link to nowhere": ([*samples(GOOD), special("9.png", tarfile.SYMTYPE, "gone.png")], None, "is a link to 'gone.png'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED_SHARDS)
def test_shards_that_are_refused(kind, tmp_path):
    members, change, reason = REFUSED_SHARDS[kind]
    root = shards(tmp_path / "data", members)
    if change:
        change(root)
    with pytest.raises(InputError, match=reason) as caught:
        load_data(f"webdataset:{root}")
    assert "\n" not in str(caught.value)


def test_a_sparse_member_is_refused(tmp_path):
    root = shards(tmp_path / "data", samples(GOOD))
    info = tarfile.TarInfo("9.png")
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.map": "0,5",
        "GNU.sparse.size": "9",
    }
    info.size = 5
    with tarfile.open(root / "train/1.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(b"12345"))
    with pytest.raises(InputError, match="'9.png' is a sparse file"):
        load_data(f"webdataset:{root}")


def test_shards_named_by_their_split_or_not_at_all(tmp_path):
    root = tmp_path / "data"
    for name, start in (("set-train-0000.tar", 0), ("set-train-0001.tar", 6), ("set-val-0000.tar", 12)):
        shard(root / name, samples(GOOD, start=start))
    data = load_data(f"webdataset:{root}")
    assert (len(data.train) + len(data.held_out), len(data.test), data.remarks) == (12, 6, ())
    for path in root.iterdir():
        path.rename(root / f"{path.name.replace('train', 'a').replace('val', 'b')}")
    data = load_data(f"webdataset:{root}")
    assert (len(data.train) + len(data.held_out), len(data.test)) == (15, 3)
    assert data.remarks == ("no test split: 3 of the 18 images are set aside as the test split",)
    (root / "set-a-0000.tar").rename(root / "train.tar")
    with pytest.raises(InputError, match="neither train nor"):
        load_data(f"webdataset:{root}")
    with pytest.raises(InputError, match="give the folder, not a pattern"):
        load_data(f"webdataset:{root}/{{000..009}}.tar")


def test_columns_of_shards(tmp_path):
    members = [(n.replace(".png", ".left.png"), c) for n, c in samples(GOOD, "json")]
    members += [(f"{i:04d}.right.png", image((9, 9, 9))) for i in range(6)]
    members += [(f"{i:04d}.cls", b"%d" % (1 - i % 2)) for i in range(6)]
    name = f"webdataset:{shards(tmp_path / 'data', members, members)}"
    with pytest.raises(InputError, match="choose with --image-column left.png"):
        load_data(name)
    left = load_data(with_columns(name, "left.png", "label"))
    right = load_data(with_columns(name, "right.png", "cls"))
    assert left.test.labels == (0, 1) * 3
    assert right.test.labels == (1, 0) * 3
    assert left.digest != right.digest
    assert read_image(right.test.content(0), 4)[0, 2, 2] == 9
    with pytest.raises(InputError, match="key '0000': its .cls says '1' and its .json 0"):
        load_data(with_columns(name, "left.png", None))


# --- Hugging Face --------------------------------------------------------------------------------------

CAT_DOG, DOG_CAT = ["cat", "dog"], ["dog", "cat"]
# what is odd -> (arguments of `hugging`, columns, classes, labels of the test split, words in the remarks)
HUGGING = {
    "classes in another order": ((([0, 1] * 6, CAT_DOG), ([0, 1, 1], DOG_CAT)), "", ("cat", "dog"), (1, 0, 0), ()),
    "names of no images": ((([0, 2] * 6, ["a", "b", "c"]), ([2, 0], ["a", "b", "c"])), "", ("a", "c"), (1, 0), ("no images of class 'b'",)),
    "numbers": (([3, 4] * 6, [4, 3]), "", ("3", "4"), (1, 0), ("labels are column 'label', of type int64", "taken")),
    "texts": ((["x", "y"] * 6, ["y", "x"]), "", ("x", "y"), (1, 0), ("of type string",)),
    "names here, texts there": ((([0, 1] * 6, CAT_DOG), ["dog", "cat"]), "", ("cat", "dog"), (1, 0), ()),
    "no test split": ((([0, 1] * 6, CAT_DOG),), "", ("cat", "dog"), None, ("no test split: 2 of the 12 images",)),
    "a test split of -1": ((([0, 1] * 6, CAT_DOG), ([-1, -1], CAT_DOG)), "", ("cat", "dog"), None, ("test has no labels", "set aside")),
    "a test split without the column": ((([0, 1] * 6, CAT_DOG), ["none", "none"]), "", ("cat", "dog"), None, ("test has no labels",)),
    "validation": ((([0, 1] * 6, CAT_DOG), ([1, 0], CAT_DOG), "validation"), "", ("cat", "dog"), (1, 0), ("validation is the test split",)),
}  # fmt: skip


@pytest.mark.parametrize("kind", HUGGING)
def test_hugging_face_sets_are_read_by_rules(kind, tmp_path):
    arguments, columns, classes, labels, words = HUGGING[kind]
    data = load_data(f"huggingface:{hugging(tmp_path / 'data', *arguments)}{columns}")
    assert data.classes == classes
    if labels is None:
        assert len(data.test) == 2
        assert len(data.train) + len(data.held_out) == 10
    else:
        assert data.test.labels == labels
    text = "\n".join(data.remarks)
    for word in words:
        assert word in text
    assert bool(words) == bool(text), text


def test_a_test_split_without_labels_gives_way_to_validation(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra 'huggingface' is not installed")
    root = hugging(tmp_path / "data", ([0, 1] * 6, CAT_DOG), ([-1, -1], CAT_DOG))
    datasets.load_from_disk(str(root / "train")).select(range(4)).save_to_disk(str(root / "validation"))
    (root / "dataset_dict.json").write_text('{"splits": ["train", "test", "validation"]}')
    data = load_data(f"huggingface:{root}")
    assert len(data.test) == 4
    assert data.remarks == ("test has no labels: it is not used", "validation is the test split")


def test_columns_of_hugging_face_sets(tmp_path):
    more = {
        "fine": (lambda d: d.ClassLabel(names=["f", "g", "h"]), lambda i: i % 3),
        "label2": (lambda d: d.Value("int64"), lambda i: i % 2 + 5),
        "mask": (lambda d: d.Image(), lambda i: {"bytes": image((9, 9, 9)), "path": None}),
        "raw": (lambda d: d.Value("binary"), lambda i: image((7, 7, 7))),
    }
    name = (
        f"huggingface:{hugging(tmp_path / 'data', ([0, 1] * 6, CAT_DOG), ([0, 1] * 3, CAT_DOG), more=more)}"
    )
    data = load_data(name)
    assert data.classes == ("cat", "dog")
    assert sorted(data.remarks) == [
        "image columns 'image', 'mask': 'image' is used; --image-column takes another",
        "label columns 'label', 'fine': 'label' is used; --label-column takes another",
    ]
    other = load_data(f"{name}?image=mask&label=fine")
    assert (other.classes, other.remarks) == (("f", "g", "h"), ())
    assert read_image(other.test.content(0), 4)[0, 2, 2] == 9
    assert other.digest != data.digest
    assert load_data(f"{name}?label=label2").classes == ("5", "6")
    assert read_image(load_data(f"{name}?image=raw").test.content(0), 4)[0, 2, 2] == 7
    for text, reason in (
        ("label=fin", "unknown column 'fin'.*did you mean 'fine'"),
        ("label=image", "that of the images"),
        ("image=fine", "column 'fine': no images"),
        ("size=3", "unknown option 'size'"),
        ("label=a&label=b", "label: expected the name of one column"),
    ):
        with pytest.raises(InputError, match=reason):
            load_data(f"{name}?{text}")


def test_numbers_here_and_names_there_are_refused(tmp_path):
    with pytest.raises(InputError, match="numbers in one split and names in the other"):
        load_data(f"huggingface:{hugging(tmp_path / 'data', ([0, 1] * 6, CAT_DOG), [0, 1])}")


def test_the_name_of_a_data_set(tmp_path):
    name = parse_name("huggingface:org/set?image=a%20b&label=c%26d")
    assert (name.location, name.image, name.label) == ("org/set", "a b", "c&d")
    assert with_columns("huggingface:org/set", "a b", "c&d") == name.text
    assert with_columns("huggingface:org/set?label=c%26d", "a b", None) == name.text
    assert with_columns("digits", None, None) == "digits"
    (tmp_path / "what?image=x").mkdir()
    assert parse_name(f"imagefolder:{tmp_path}/what?image=x").image is None
    for text, image_column, reason in (
        ("digits", "x", "image-column 'x': only webdataset:... and huggingface:..."),
        ("imagefolder:a", "x", "image-column 'x': only"),
        ("huggingface:a?image=b", "x", "has another one"),
        ("huggingface:a", "", "expected the name of a column"),
    ):
        with pytest.raises(InputError, match=reason):
            with_columns(text, image_column, None)


# --- arrays --------------------------------------------------------------------------------------------


def test_files_of_arrays_that_do_not_fit(tmp_path):
    idx(tmp_path, [0, 1] * 6, [0, 1])
    path = tmp_path / "train-images-idx3-ubyte.gz"
    for shape, reason in (
        ((12, 8, 9), "images of 8 x 9 pixels: expected square ones"),
        ((11, 8, 8), "11 images but 12 labels"),
        ((12, 64), "expected 3 .image, row, column. and 1"),
        ((12, 4, 4), "expected the same"),
    ):
        path.write_bytes(
            struct.pack(">HBB", 0, 8, len(shape))
            + struct.pack(f">{len(shape)}I", *shape)
            + bytes(int(np.prod(shape)))
        )
        path.rename(tmp_path / "train-images-idx3-ubyte")
        with pytest.raises(InputError, match=reason):
            load_data("fashion-mnist", str(tmp_path))
        (tmp_path / "train-images-idx3-ubyte").rename(path)


def test_labels_of_cifar_with_gaps(tmp_path, monkeypatch):
    from torchvision import datasets

    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": None})
    place = tmp_path / "cifar-10-batches-py"
    place.mkdir()
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        content = {"data": np.zeros((10, 3072), np.uint8), "labels": [1, 9] * 5}
        (place / name).write_bytes(pickle.dumps(content))
    (place / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    data = load_data("cifar10", str(tmp_path))
    assert data.classes == ("automobile", "truck")
    assert data.remarks == ("labels 1, 9 are taken as classes 0 to 1",)
    (place / "test_batch").write_bytes(b"junk")
    with pytest.raises(InputError, match="cifar-10-batches-py: unreadable"):
        load_data("cifar10", str(tmp_path))
