"""Every reader, given odd content: what it can't use is an `InputError`, in seconds and within two gigabytes."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.benchmark.run_surrogate import read_run_surrogate
from nas.data.images import UnreadableImageError, read_image, read_square
from nas.data.load import load_data
from nas.latency.table import LatencyTable
from nas.network.cost import cost
from nas.runs.flat import read_settings
from nas.runs.folder import Run
from nas.runs.measured import MEASURED, read_measured
from nas.runs.placement import PLACEMENT, Placement
from nas.runs.scored_on import SCORED, read_scored
from nas.runs.status import RUNNING, read_status
from nas.search.journal import TRIALS, read_records
from nas.studies.proxy_design import read_proxy
from search_spaces.document import dump_yaml, read_document
from search_spaces.errors import InputError
from search_spaces.mbconv import StagedSpace
from search_spaces.registry import get_space
from search_spaces.spec import read_spec
from tests.fuzz import seeds
from tests.fuzz.documents import odd_bytes, odd_documents
from tests.fuzz.guard import EXAMPLES, fuzz, guarded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def tried(read, content, path, *kinds):
    """Read it; an InputError of one short line is an answer."""
    path.write_bytes(content)
    with guarded(path.name):
        try:
            read(path)
            return
        except (InputError, *kinds) as error:
            line = str(error)
    assert len(line) < 2000
    line.encode("utf-8", "surrogateescape")


def use_spec(path):
    spec = read_spec(str(path))
    cost(spec)
    dump_yaml(spec.to_document()).encode()
    assert len(spec.digest) == 16


def use_space(path):
    space = get_space(str(path))
    dump_yaml(space.to_document()).encode()
    import numpy as np

    architecture = space.sample(np.random.default_rng(0))
    cost(space.decode(architecture))
    assert str(space.size)


def use_settings(path):
    made = read_settings(read_document(path), str(path))
    dump_yaml(made.to_document()).encode()
    made.make_space()
    if made.evaluator.kind == "benchmark":
        made.check()


def use_table(path):
    table = LatencyTable.read(str(path))
    try:
        table(seeds.SPEC)
    finally:
        table.check(StagedSpace.from_document(seeds.SMALL_SPACE))


DOCUMENTS = {
    "spec": ("spec.yaml", use_spec, lambda folder: [seeds.SPEC.to_document()]),
    "space": ("space.yaml", use_space, lambda folder: [seeds.SMALL_SPACE, seeds.BLOCK_SPACE]),
    "json space": ("space.json", use_space, lambda folder: [seeds.SMALL_SPACE, seeds.BLOCK_SPACE]),
    "settings": (
        "search.yaml",
        use_settings,
        lambda folder: [read_document(p) for p in (folder / "run/search.yaml", *FIRST.glob("*/search.yaml"))],
    ),
    "latency table": ("table.json", use_table, lambda folder: [seeds.latency_table()]),
    "benchmark of runs": (
        "benchmark.json",
        lambda path: read_run_surrogate(path).top1([[0] * 7]),
        lambda folder: [run_benchmark()],
    ),
    "proxy": ("proxy.yaml", lambda path: read_proxy(str(path)), lambda folder: [PROXY]),
}
FIRST = Path(__file__).parent.parent / "data/first-version"
PROXY = {
    "schema": 1, "data": "digits", "recipe": "adamw", "recipe_changes": {"epochs": 3}, "resolution": 16, "width": 0.25,
    "stem_stride": 1, "subset": 1.0, "about": {"tau": 0.5},
}  # fmt: skip


def run_benchmark():
    """Of the small space, as `nas benchmark` writes it."""
    space = StagedSpace.from_document(seeds.SMALL_SPACE)
    rows = [list(index) for index in np.ndindex(*(len(decision) for decision in space.decisions))][:24]
    return {
        "schema": 1, "benchmark": "gp", "space": space.to_document(), "rows": rows,
        "accuracies": [[0.5 + place / 100] for place in range(24)], "parameters": [-1.0] * (2 * len(rows[0]) + 3),
        "about": {"noise": 0.2, "targets": {"macs": 1e6}, "networks": 24},
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    seeds.finished_run(folder / "run")
    return folder


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_documents(kind, folder):
    name, read, valid = DOCUMENTS[kind]
    known = valid(folder)
    texts = [dump_yaml(document).encode() for document in known]

    @fuzz(EXAMPLES * 2)
    @given(st.one_of(odd_documents(known), odd_documents(known), odd_bytes(texts)))
    def run(content):
        tried(read, content, folder / name)

    run()


IN_RUN = {
    "running": (RUNNING, lambda run: read_status(run), lambda folder: [seeds.running()]),
    "placement": (
        PLACEMENT,
        lambda run: Placement().kept_in(run),
        lambda folder: [{"schema": 1, "cpus": 1, "gpus": 0}],
    ),
    "scored": (
        SCORED,
        lambda run: read_scored(run).remarks([0.1, 0.5]),
        lambda folder: [{"schema": 1, "images": 50, "chance": 0.3}],
    ),
    "measured": (
        MEASURED,
        lambda run: read_measured(run) and read_measured(run).lines,
        lambda folder: [MEASURED_EXPONENT],
    ),
    "best": ("best.yaml", lambda run: Run.open(run), lambda folder: [seeds.SPEC.to_document()]),
}
MEASURED_EXPONENT = {
    "schema": 1, "exponent": -0.1, "slope": 0.1, "low": 0.05, "high": 0.2, "networks": 5, "trainings": 10, "guessing": 0,
    "change": "a doubling of MACs", "family": "x", "chance": 0.1, "rows": {"a": {"doublings": 1, "accuracies": [0.1]}},
}  # fmt: skip


@pytest.mark.parametrize("kind", IN_RUN)
def test_files_of_a_run(kind, folder):
    name, read, valid = IN_RUN[kind]
    known = valid(folder)
    place = folder / "other"
    (place / "exponent").mkdir(parents=True, exist_ok=True)

    @fuzz(EXAMPLES)
    @given(st.one_of(odd_documents(known), odd_bytes([json.dumps(known[0]).encode()])))
    def run(content):
        tried(lambda path: read(place), content, place / name)

    run()


def test_journals(folder):
    lines = [json.loads(line) for line in (folder / "run" / TRIALS).read_text().splitlines()]
    whole = (folder / "run" / TRIALS).read_bytes()
    place = folder / "journal"
    place.mkdir()

    @fuzz(EXAMPLES * 2)
    @given(
        st.one_of(
            odd_documents(lines).map(lambda line: line.replace(b"\n", b" ") + b"\n"), odd_bytes([whole])
        )
    )
    def run(content):
        tried(lambda path: read_records(place), content, place / TRIALS)

    run()


IMAGES = [
    seeds.image(kind, mode)
    for kind, mode in [
        ("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "P"), ("PNG", "LA"), ("PNG", "1"), ("GIF", "P"), ("BMP", "RGB"), ("TIFF", "RGB"),
        ("WEBP", "RGB"), ("PPM", "RGB"), ("TIFF", "L"), ("JPEG", "CMYK"), ("JPEG2000", "RGB"),
    ]
]  # fmt: skip


def test_images(folder):
    @fuzz(EXAMPLES * 10)
    @given(odd_bytes(IMAGES))
    def run(content):
        for path in ("x.jpg",):
            tried(lambda path: read_image(str(path), 8), content, folder / path, UnreadableImageError)
            tried(lambda path: read_square(content), content, folder / path, UnreadableImageError)

    run()


def test_checkpoints(folder):
    from nas.training.checkpoint import load_model

    whole = seeds.checkpoint()

    @fuzz(EXAMPLES)
    @given(odd_bytes([whole]))
    def run(content):
        tried(load_model, content, folder / "x.pt")

    run()


def test_surrogates(folder):
    from nas.benchmark.surrogate import EMBEDDED
    from nas.benchmark.surrogate_file import read_surrogate

    whole = EMBEDDED.read_bytes()

    @fuzz(EXAMPLES * 0.3)
    @given(odd_bytes([whole]))
    def run(content):
        tried(read_surrogate, content, folder / "x.npz")

    run()


def test_records(folder):
    from nas.benchmark.records import read_benchmark

    record = record_of()
    archives = [
        seeds.tar({"a.json": json.dumps(record).encode()}, mode) for mode in ("w", "w:gz", "w:xz", "w:bz2")
    ]

    @fuzz(EXAMPLES)
    @given(odd_bytes(archives))
    def run(content):
        tried(lambda path: read_benchmark(str(path)), content, folder / "records.tar.gz")

    run()
    place = folder / "records"
    place.mkdir()

    @fuzz(EXAMPLES)
    @given(odd_documents([record]))
    def documents(content):
        tried(lambda path: read_benchmark(str(place)), content, place / "a.json")

    documents()


def record_of():
    from nas.benchmark.records import DEVICES

    architecture = {
        f"block{i}_{f}": v for i in range(7) for f, v in (("e", 1), ("k", 3), ("l", 1), ("se", False))
    }
    performance = {d: {f"{d.partition('_')[0]}_mean": 1.0} for d in DEVICES}
    return {
        "architecture": architecture, "metrics": {"val_top1": 60.0, "train_time": 9.0},
        "model_info": {"macs": 400.0, "params": 5.0}, "platform_perf": performance,
    }  # fmt: skip


def test_shards(folder):
    picture = seeds.image("PNG")
    files = {f"{k:03}.png": picture for k in range(8)} | {
        f"{k:03}.cls": str(k % 2).encode() for k in range(8)
    }
    labels = {f"{k:03}.png": picture for k in range(8)} | {
        f"{k:03}.json": b'{"label": %d}' % (k % 2) for k in range(8)
    }
    (folder / "shards").mkdir()

    @fuzz(EXAMPLES)
    @given(odd_bytes([seeds.tar(dict(sorted(files.items()))), seeds.tar(dict(sorted(labels.items())))]))
    def run(content):
        tried(lambda path: load_data(f"webdataset:{folder}/shards"), content, folder / "shards/a.tar")

    run()


def test_idx_files(folder):
    import gzip
    import struct

    place = folder / "fashion-mnist"
    place.mkdir()

    def idx(values, shape):
        return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + bytes(values)

    for part, count in (("train", 40), ("t10k", 10)):
        (place / f"{part}-labels-idx1-ubyte").write_bytes(idx([k % 4 for k in range(count)], (count,)))
        (place / f"{part}-images-idx3-ubyte").write_bytes(
            idx([k % 251 for k in range(count * 64)], (count, 8, 8))
        )
    whole = (place / "train-images-idx3-ubyte").read_bytes()
    (place / "train-images-idx3-ubyte").unlink()

    @fuzz(EXAMPLES)
    @given(st.one_of(odd_bytes([gzip.compress(whole)]), odd_bytes([whole]).map(gzip.compress)))
    def run(content):
        tried(
            lambda path: load_data("fashion-mnist", str(folder)),
            content,
            place / "train-images-idx3-ubyte.gz",
        )

    run()
