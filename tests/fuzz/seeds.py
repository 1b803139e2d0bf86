"""Valid files of every kind that is read, made once: what the fuzz damages."""

import io
import tarfile
from dataclasses import asdict

import numpy as np
from PIL import Image

from nas.network.builder import build
from nas.runs.flat import make_settings
from nas.runs.folder import Run
from nas.runs.status import RunningTrial, Status
from nas.search.in_process import run_in_process
from nas.search.journal import Journal
from nas.training.checkpoint import checkpoint_bytes
from search_spaces import NetworkSpec, StageSpec, StemSpec, reference
from search_spaces.listed import ListedSpace
from tests.nas.search.fakes import Fake

SPEC = NetworkSpec(
    "tiny",
    (StageSpec("ds", 8), StageSpec("mbconv", 8, expansion=3, se_ratio=0.25, stride=2)),
    StemSpec(8),
    16,
    32,
    num_classes=3,
)
BLOCK_SPACE = {
    "schema": 1,
    "space": "own",
    "stem_channels": [8, 16],
    "network": {"head_channels": 16, "resolution": 32, "num_classes": 10},
    "stages": [
        {
            "channels": [16, 24],
            "repeats": [1, 3],
            "stride": 2,
            "blocks": [
                {"op": ["conv", "uib2"], "start_kernel": [0, 3], "kernel": [3]},
                {"op": "uib2", "start_kernel": [0, 3], "kernel": [0, 3]},
            ],
        },
        {"op": "mbconv3", "channels": 16, "gate": "hard_sigmoid", "se_ratio": 0.25, "repeats": [0, 2]},
    ],
    "together": [
        {"fields": ["stage0.block0.op", "stage0.block0.start_kernel"], "choices": [["conv", 0], ["uib2", 3]]}
    ],
}

SMALL_SPACE = {
    "schema": 1,
    "space": "own",
    "network": {
        "stem": {"channels": 8, "stride": 2},
        "head_channels": 16,
        "resolution": 32,
        "num_classes": 10,
    },
    "stages": [
        {"op": ["ds", "mbconv3"], "channels": [8, 16], "kernel": [3, 5], "repeats": [1, 2]},
        {
            "op": ["mbconv3", "mbconv6"],
            "channels": 16,
            "se_ratio": [0, 0.25],
            "skip": ["identity", "none"],
            "stride": 2,
        },
    ],
    "together": [
        {"fields": ["stage1.op", "stage1.se_ratio"], "choices": [["mbconv3", 0], ["mbconv6", 0.25]]}
    ],
}
LISTED = ListedSpace("two", {"a": SPEC, "b": reference("mobilenet-v1")}, {"a": {"phi": 1}}).to_document()


def finished_run(folder):
    """A run of a few trials, with a network of a benchmark."""
    settings = make_settings(
        evaluator="benchmark", space="accel-nasbench", targets={"benchmark_macs": "400M"}, trials=6
    )
    run = Run.create(folder, settings)
    with Journal(folder) as journal:
        run_in_process(run.loop(journal, 6, (), lambda spec: {}), Fake())
        run.write_results(run.results(journal.records))
    return run


def running():
    trial = RunningTrial(3, 1e8, 10, 2, 0.5, 100.0, 1, 1.7e9, "n", "h:1", "0")
    node = {"id": "n", "address": "1.2.3.4", "host": "h", "resources": {"CPU": 2.0}}
    return asdict(Status(1.7e9, 2, [trial], [node], "127.0.0.1:8265"))


def latency_table():
    from nas.latency.parts import parts

    return {
        "schema": 1,
        "setting": {"device": "cpu", "runtime": "torch", "batch": 1, "threads": 1, "hardware": "x", "version": "2"},
        "offset": 0.1, "slope": 1.0, "per_part": 0.0, "about": {"space": "own"},
        "entries": {part.key: 1.0 for part in parts(SPEC)},
    }  # fmt: skip


def checkpoint(**changes):
    model = build(SPEC, 0)
    state = {
        "model": model.state_dict(),
        "ema": None,
        "epoch": 1,
        "optimizer": {"state": {}, "param_groups": []},
    }
    about = {
        "plan": {}, "rows": [{"epoch": 1, "accuracy": 0.5}], "data_digest": "x",
        "input": {"schema": 1, "resolution": 32, "channels": 3, "mean": [0.5] * 3, "std": [0.2] * 3, "crop": 1.0,
                  "classes": ["a", "b", "c"]},
    }  # fmt: skip
    return checkpoint_bytes(SPEC, state, about | changes)


def image(kind, mode="RGB", size=(20, 16)):
    stream = io.BytesIO()
    Image.fromarray(np.arange(size[0] * size[1] * 3, dtype=np.uint8).reshape(size[1], size[0], 3)).convert(
        mode
    ).save(stream, kind)
    return stream.getvalue()


def tar(files, mode="w"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()
