"""A trained network classifies image files as its own test did, by names, as a checkpoint and as ONNX."""

import csv
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from nas.data.load import load_data
from nas.data.preparation import Preparation
from nas.training.checkpoint import load_checkpoint, load_model
from search_spaces import InputError
from tests.command import good, nas
from tests.nas.training.test_training import SMALL

FLAGS = ["--resolution", "24", "--stem-stride", "2", "--set", "batch=8", "--set", "lr=0.02"]
COLOURS = {"sky blue": (90, 140, 230), "grass, green": (60, 160, 60), "brick": (170, 70, 50)}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Three classes of noisy colours, in odd sizes; the name of one has a comma."""
    root, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for part, count in (("train", 24), ("val", 8)):
        for name, colour in COLOURS.items():
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                height, width = (int(side) for side in rng.integers(30, 60, 2))
                pixels = np.array(colour) + rng.normal(0, 70, (height, width, 3))
                image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                image.save(folder / f"{index}.{'png' if index % 2 else 'jpg'}")
    return root


@pytest.fixture(scope="module")
def trained(photographs, tmp_path_factory):
    """(checkpoint, what `nas train --json` printed)."""
    path = tmp_path_factory.mktemp("trained") / "m.pt"
    spec = path.with_name("small.json")
    spec.write_text(json.dumps(SMALL.to_document()))
    data = ["--data", f"imagefolder:{photographs}", "--epochs", "3"]
    return path, json.loads(good("train", spec, *data, *FLAGS, "--out", path, "--json"))


def predicted(model, *images, top=1):
    return json.loads(good("predict", model, *images, "--top", top, "--json"))


def test_the_predictions_are_those_of_the_test(photographs, trained, tmp_path):
    path, result = trained
    found = predicted(path, photographs / "val", top=3)
    assert found["classes"] == sorted(COLOURS)
    assert found["agreement"] == {"images": 24, "agree": round(24 * result["test_accuracy"])}
    table = result["confusion"]
    for column, name in enumerate(found["classes"]):
        said = sum(image["class"] == name for image in found["images"])
        assert said == sum(row[column] for row in table)
    for image in found["images"]:
        assert sum(one["probability"] for one in image["top"]) == pytest.approx(1)
        assert image["top"][0] == {"class": image["class"], "probability": image["probability"]}


def test_an_onnx_model_says_the_same(photographs, trained, tmp_path):
    path, _ = trained
    good("export", path, "--to", "onnx", "--out", tmp_path / "m.onnx")
    ours, theirs = (predicted(model, photographs / "val") for model in (path, tmp_path / "m.onnx"))
    assert ours["classes"] == theirs["classes"]
    for a, b in zip(ours["images"], theirs["images"], strict=True):
        assert (a["path"], a["class"]) == (b["path"], b["class"])
        assert a["probability"] == pytest.approx(b["probability"], abs=1e-4)


@pytest.mark.slow
def test_every_export_says_how_its_images_are_prepared(trained, tmp_path):
    path, _ = trained
    want = load_model(path).preparation.to_document()
    assert (want["resolution"], want["crop"]) == (24, 0.875)
    for form, name in (("exported", "m.pt2"), ("torchscript", "m.ts"), ("timm", "m.py")):
        good("export", path, "--to", form, "--out", tmp_path / name)
    kept = {"input.json": ""}
    torch.export.load(str(tmp_path / "m.pt2"), extra_files=kept)
    assert json.loads(kept["input.json"]) == want
    kept = {"input.json": ""}
    torch.jit.load(str(tmp_path / "m.ts"), _extra_files=kept)
    assert json.loads(kept["input.json"]) == want
    module = {}
    exec((tmp_path / "m.py").read_text(), module)
    assert module["INPUT"] == want
    from safetensors import safe_open

    with safe_open(str(tmp_path / "m.safetensors"), "pt") as weights:
        assert json.loads(weights.metadata()["input"]) == want
    # at another resolution it is prepared for that one
    good("export", path, "--to", "onnx", "--resolution", 32, "--out", tmp_path / "m.onnx")
    import onnx

    kept = {entry.key: json.loads(entry.value) for entry in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert kept == want | {"resolution": 32}


def test_a_set_of_arrays_is_prepared_as_it_was_resized(tmp_path):
    """Digits as PNG files, grey and of their own size: the accuracy is that of the test."""
    flags = ["--data", "digits", "--epochs", "2", "--subset", "0.5", *FLAGS]
    (tmp_path / "small.json").write_text(json.dumps(SMALL.to_document()))
    out = good("train", tmp_path / "small.json", *flags, "--out", tmp_path / "d.pt", "--json")
    accuracy = json.loads(out)["test_accuracy"]
    test = load_data("digits").test
    for index, (image, label) in enumerate(zip(test.images, test.labels, strict=True)):
        folder = tmp_path / "pictures" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0], "L").save(folder / f"{index}.png")
    agreement = predicted(tmp_path / "d.pt", tmp_path / "pictures")["agreement"]
    assert agreement["images"] == len(test)
    assert agreement["agree"] == round(len(test) * accuracy)


def test_a_table_has_every_image(photographs, trained, tmp_path):
    path, _ = trained
    good("predict", path, photographs / "val", "--top", "2", "--csv", tmp_path / "t.csv")
    header, *rows = csv.reader((tmp_path / "t.csv").open())
    assert header == ["image", "class1", "probability1", "class2", "probability2"]
    assert len(rows) == 24
    assert {row[1] for row in rows} <= set(COLOURS)
    assert good("predict", path, photographs / "val", "--top", "2", "--csv", "-") == (
        (tmp_path / "t.csv").read_text()
    )
    # it is replaced by another one, and by nothing else
    good("predict", path, photographs / "val", "--csv", tmp_path / "t.csv")
    (tmp_path / "mine.csv").write_text("mine\n")
    done = nas("predict", path, photographs / "val", "--csv", tmp_path / "mine.csv")
    assert (done.returncode, (tmp_path / "mine.csv").read_text()) == (2, "mine\n")


def test_what_cannot_be_read_is_said(photographs, trained, tmp_path):
    path, _ = trained
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no image")
    image = photographs / "val" / "brick" / "0.jpg"
    done = nas("predict", path, image, tmp_path / "broken.jpg", "--json")
    assert done.returncode == 0
    assert f"{tmp_path / 'broken.jpg'}: not classified" in done.stderr
    document = json.loads(done.stdout)
    assert [one["path"] for one in document["images"]] == [str(image)]
    assert [one["path"] for one in document["unreadable"]] == [str(tmp_path / "broken.jpg")]
    done = nas("predict", path, tmp_path / "broken.jpg")
    assert (done.returncode, "none of 1 could be read" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["MODEL", "nowhere"], "no such file or folder"),
        (["MODEL", "."], "no images in this folder"),
        (["MODEL", "VAL", "--top", "4"], "expected 1 to 3"),
        (["MODEL", "VAL", "--top", "0"], "expected 1 to 3"),
        (["MODEL", "VAL", "--csv", "x.png"], "expected a name that ends in .csv"),
        (["MODEL", "VAL", "--csv", "-", "--json"], "expected a file"),
        (["efficientnet-b0", "VAL"], "without trained weights"),
        (["no.onnx", "VAL"], "No such file"),
        (["no.pt", "VAL"], "No such file"),
        (["plain.onnx", "VAL"], "says nothing of its resolution"),
        (["old.pt", "VAL"], "an earlier version"),
        (["wrong.pt", "VAL"], "not those of its spec"),
    ],
)
def test_bad_input(arguments, message, photographs, trained, tmp_path):
    path, _ = trained
    if arguments[0] == "plain.onnx":
        spec = tmp_path / "s.yaml"
        good("export", path, "--to", "yaml", "--out", spec)
        good("export", spec, "--to", "onnx", "--out", tmp_path / "plain.onnx")
        spec.unlink()
    if arguments[0] in ("old.pt", "wrong.pt"):
        spec, state, about = load_checkpoint(path)
        about["input"]["classes"] = ["a", "b"]
        if arguments[0] == "old.pt":
            del about["input"]
        torch.save({"spec": spec.to_document(), "state": state, "about": about}, tmp_path / arguments[0])
    before = sorted(tmp_path.iterdir())
    known = {"MODEL": path, "VAL": photographs / "val"}
    done = nas("predict", *(known.get(word, word) for word in arguments), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "change",
    [
        {"resolution": 0}, {"channels": 2}, {"mean": [0.5]}, {"std": [0.1, 0, 0.1]}, {"crop": 1.5},
        {"classes": ["one"]}, {"classes": "abc"}, {"mean": [float("nan")] * 3}, {"schema": 9}, {"more": 1},
    ],
)  # fmt: skip
def test_a_preparation_is_checked(change):
    document = {
        "schema": 1, "resolution": 64, "channels": 3, "mean": [0.5] * 3, "std": [0.2] * 3, "crop": 0.875,
        "classes": ["a", "b"],
    }  # fmt: skip
    assert Preparation.from_document(document, "x").to_document() == document
    with pytest.raises(InputError, match="^x"):
        Preparation.from_document(document | change, "x")


def test_the_card_says_it_to_people_and_to_the_hub(trained):
    path, result = trained
    card = (path.with_suffix("") / "MODEL_CARD.md").read_text()
    _, front, body = card.split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["pipeline_tag"] == "image-classification"
    (entry,) = front["model-index"]
    (metric,) = entry["results"][0]["metrics"]
    assert metric["value"] == pytest.approx(result["test_accuracy"], abs=1e-4)
    use = body.split("## Use")[1].split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(use) == load_model(path).preparation.to_document()


def test_only_folders_that_were_given_are_labels(photographs, trained, tmp_path):
    """`brick/` far above holds other images: what they are isn't said by it."""
    path, _ = trained
    place = tmp_path / "brick" / "mixed"
    shutil.copytree(photographs / "val" / "grass, green", place)
    assert predicted(path, place)["agreement"] is None
    assert predicted(path, place / "0.jpg")["agreement"] is None
    assert predicted(path, tmp_path / "brick")["agreement"]["images"] == 8
    assert predicted(path, photographs / "val" / "brick" / "0.jpg")["agreement"]["images"] == 1


def test_strange_names_of_files(photographs, trained, tmp_path):
    """They reach a terminal as escapes, a table as they are."""
    path, _ = trained
    image = (photographs / "val" / "brick" / "0.jpg").read_bytes()
    names = [b"a\x1b[31m.jpg", b"b\xff.jpg", b'c,"d.jpg', b"[red]e.jpg"]
    for name in names:
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            file.write(image)
    done = nas("predict", path, tmp_path, "--csv", tmp_path / "t.csv")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "[red]e.jpg" in done.stdout
    text = (tmp_path / "t.csv").read_text(errors="surrogateescape")
    rows = list(csv.reader(text.splitlines()))[1:]
    assert sorted(os.fsencode(os.path.basename(row[0])) for row in rows) == sorted(names)


@pytest.mark.parametrize("change", [{"resolution": 16}, {"mean": (0.4,) * 3}, {"std": (0.3,) * 3}, {"crop": 0.5},
                                    {"crop": 1.0}])  # fmt: skip
def test_every_field_of_a_preparation_acts(change, photographs):
    preparation = Preparation(24, 3, (0.5,) * 3, (0.2,) * 3, 0.875, ("a", "b"))
    image = str(photographs / "val" / "brick" / "0.jpg")
    plain, changed = (one.image(image) for one in (preparation, replace(preparation, **change)))
    assert plain.shape != changed.shape or (plain - changed).abs().mean() > 0.01


def test_the_crop_is_the_centre(tmp_path):
    """A white square of half the side on black fills a crop of .5 and a quarter of the whole."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[16:48, 16:48] = 255
    Image.fromarray(pixels).save(tmp_path / "x.png")
    for crop, share in ((0.5, 1.0), (1.0, 0.25), (0.8, 0.25 / 0.64)):
        found = Preparation(32, 3, (0.0,) * 3, (1.0,) * 3, crop, ("a", "b")).image(str(tmp_path / "x.png"))
        assert float(found.mean()) == pytest.approx(share, abs=0.03)
