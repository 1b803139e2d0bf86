import json

import pytest

from search_spaces import (
    REFERENCES,
    InputError,
    NetworkSpec,
    StageSpec,
    from_notation,
    network_notation,
    read_spec,
    reference,
    stage_words,
    to_notation,
)
from search_spaces.document import write_document
from search_spaces.layers import make_divisible
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StagedSpace


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_documents_round_trip(name, suffix, tmp_path):
    spec, path = reference(name), tmp_path / f"spec.{suffix}"
    write_document(path, spec.to_document(), "a remark\nof two lines")
    assert read_spec(path) == spec
    assert read_spec(path).digest == spec.digest


@pytest.mark.parametrize("name", REFERENCES)
def test_notation_round_trips(name):
    for stage in reference(name).stages:
        assert from_notation(to_notation(stage)) == stage


def test_notation_of_b0():
    assert network_notation(reference("efficientnet-b0")).startswith(
        "ds_r1_k3_s1_e1_c16_se0.25 ir_r2_k3_s2_e6_c24_se0.25"
    )


@pytest.mark.parametrize("text", ["xx_r1_c8", "ds_r1", "ds_q3_c8", "ir_c8_e0", "ds_c8_e6", "ir_k4_c8_e3"])
def test_broken_notation(text):
    with pytest.raises(InputError):
        from_notation(text)


def test_mbconv1_is_depthwise_separable():
    assert StageSpec("mbconv", 16, expansion=1) == StageSpec("ds", 16)


def test_digest_ignores_what_makes_no_difference():
    b0 = reference("efficientnet-b0")
    assert b0.replace(name="other").digest == b0.digest
    first, second, *rest = b0.stages
    halves = (
        first,
        second.__class__(**{**vars(second), "repeats": 1}),
        StageSpec("mbconv", 24, 3, 1, 6, 1, 0.25),
        *rest,
    )
    assert b0.replace(stages=halves).digest == b0.digest
    for change in ({"resolution": 240}, {"activation": "relu"}, {"dropout": 0.3}, {"num_classes": 10}):
        assert b0.replace(**change).digest != b0.digest


def test_make_divisible_is_the_published_rounding():
    assert [make_divisible(x) for x in (1, 8, 11.9, 12, 17.6, 35.2, 44, 352.0)] == [
        8,
        8,
        16,
        16,
        16,
        32,
        48,
        352,
    ]
    for value in range(1, 2000):
        assert make_divisible(value) % 8 == 0
        assert make_divisible(value) >= 0.9 * value


def document(**changes):
    base = reference("efficientnet-b0").to_document()
    for path, value in changes.items():
        base[path] = value
    return base


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "schema 2 is unknown, this release reads 1"),
        ({"schema": True}, "schema True"),
        ({"resolution": 0}, "resolution 0: expected an integer from 1"),
        ({"resolution": "big"}, "resolution 'big'"),
        ({"activation": "siluu"}, "did you mean 'silu'"),
        ({"activation": ["silu"]}, "activation"),
        ({"dropout": 1.5}, "dropout 1.5"),
        ({"dropout": float("nan")}, "dropout nan"),
        ({"stages": []}, "at least one stage"),
        ({"stages": [3]}, r"stages\[0\]: expected a mapping"),
        ({"stages": [{"op": "ds"}]}, "'channels' is missing"),
        ({"stages": [{"op": "ds", "channels": 8, "kernal": 3}]}, "did you mean 'kernel'"),
        ({"stages": [{"op": "ds", "channels": 8, "expansion": 6}]}, "expansion 6"),
        ({"stages": [{"op": "ds", "channels": [8]}]}, "single value"),
        ({"stages": [{"op": 3, "channels": 8}]}, "expected a text"),
        ({"stages": [{"op": "ds", "channels": 8, "repeats": 10**9}]}, "repeats"),
        ({"stem": {"pool": "max"}}, "pool"),
        ({"name": ""}, "name"),
        ({"extra": 1}, "unknown field 'extra'"),
    ],
)
def test_broken_documents(changes, message):
    with pytest.raises(InputError, match=message) as caught:
        NetworkSpec.from_document(document(**changes), "file.yaml")
    assert "file.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"schema: 1\n  name: x", "malformed YAML at line 2"),
        (b"- 1", "expected a mapping"),
        (b"!!python/object/apply:os.system [echo]", "malformed YAML"),
        (b"\xff\xfe\x00", "UTF-8|malformed"),
        (b"a: " + b"x" * (1 << 20), "larger than"),
        (b"", "expected a mapping"),
    ],
)
def test_broken_files(content, message, tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_spec(path)


def test_missing_file_and_unwritable_place(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_spec(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="cannot write"):
        write_document(tmp_path / "none" / "spec.yaml", {})


def test_writing_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "spec.json"
    write_document(path, {"a": 1})

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(InputError, match="No space left"):
        write_document(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (StageSpec("mbconv", 40, 5, 2, 6, 3, 0.25), "3 x MBConv6 k5 s2 SE c40"),
        (StageSpec("ds", 16), "1 x MBConv1 k3 c16"),
        (StageSpec("mbconv", 24, 3, 1, 2.5, 2, 0.5, "none"), "2 x MBConv2.5 k3 SE0.5 no skip c24"),
        (StageSpec("conv", 8, skip="pooling"), "1 x Conv k3 pool c8"),
        (
            StageSpec("bottleneck", 256, 3, 2, 0.25, 4, skip="projection"),
            "4 x Bottleneck e0.25 k3 s2 proj c256",
        ),
    ],
)
def test_a_stage_in_words(stage, words):
    assert stage_words(stage) == words


def test_words_tell_different_stages_apart():
    stages = [
        StageSpec(op, channels, kernel, stride, expansion, repeats, se, skip)
        for op, expansion in (("conv", 1), ("ds", 1), ("dsa", 1), ("mbconv", 3), ("mbconv", 6), ("basic", 1))
        for channels in (8, 16) for kernel in (3, 5) for stride in (1, 2) for repeats in (1, 2)
        for se in (0, 0.1, 0.25) for skip in ("none", "identity", "pooling", "projection")
    ]  # fmt: skip
    assert len({stage_words(stage) for stage in stages}) == len(set(stages))


@pytest.mark.parametrize("kind", [NetworkSpec, StagedSpace, ListedSpace])
@pytest.mark.parametrize("document", [-1, None, "schema", [1], True])
def test_a_document_that_is_no_mapping_is_refused(kind, document):
    with pytest.raises(InputError, match="expected a mapping"):
        kind.from_document(document)
