import json
import tarfile

import numpy as np
import pytest

from nas.benchmark.records import DEVICES, read_benchmark
from search_spaces import InputError, accel_nasbench, reference
from tests.conftest import RECORDS

SPACE = accel_nasbench()


def record(seed, **changes):
    """A made-up record of a random architecture."""
    rng = np.random.default_rng(seed)
    choices = SPACE.choices(SPACE.sample(rng))
    architecture = {}
    for block in range(7):
        architecture[f"block{block}_e"] = {"ds": 1, "mbconv4": 4, "mbconv6": 6}[choices[f"stage{block}.op"]]
        architecture[f"block{block}_k"] = choices[f"stage{block}.kernel"]
        architecture[f"block{block}_l"] = choices[f"stage{block}.repeats"]
        architecture[f"block{block}_se"] = bool(choices[f"stage{block}.se_ratio"])
    document = {
        "architecture": architecture,
        "metrics": {"val_top1": 60 + rng.random(), "val_top5": 80.0, "train_time": 2000.0},
        "model_info": {"macs": 400.0, "params": 5.0},
        "platform_perf": {name: {f"{name.split('_')[0]}_mean": 5 + rng.random()} for name in DEVICES},
    }
    for path, value in changes.items():
        *parents, field = path.split("__")
        target = document
        for parent in parents:
            target = target[parent]
        if value is KeyError:
            del target[field]
        else:
            target[field] = value
    return document


def folder(tmp_path, records):
    (tmp_path / "jsons").mkdir()
    for index, document in enumerate(records):
        (tmp_path / "jsons" / f"result_{index}.json").write_text(json.dumps(document))
    return str(tmp_path / "jsons")


def test_a_folder_and_an_archive_read_the_same(tmp_path):
    path = folder(tmp_path, [record(seed) for seed in range(5)])
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        archive.add(path, "somewhere")
    a, b = read_benchmark(path), read_benchmark(str(tmp_path / "all.tar.gz"))
    assert a.digest == b.digest
    assert len(a) == 5
    assert (a.top1 == b.top1).all()
    assert a.noise() == 0


def test_noise_is_the_spread_of_repeated_trainings(tmp_path):
    pairs = [record(1, metrics__val_top1=60.0), record(1, metrics__val_top1=60.2), record(2)]
    assert read_benchmark(folder(tmp_path, pairs)).noise() == pytest.approx(0.2 / 2**0.5)


def test_an_unmeasured_device_is_nan(tmp_path):
    null = record(3, platform_perf__throughput_a100={"throughput_mean": None})
    assert np.isnan(read_benchmark(folder(tmp_path, [null])).devices["throughput_a100"][0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics__val_top1": KeyError}, "result_0.json: field 'val_top1' is missing"),
        ({"metrics__val_top1": 101}, "val_top1 101"),
        ({"metrics__train_time": "long"}, "train_time 'long'"),
        ({"metrics__val_top1": float("nan")}, "val_top1 nan"),
        ({"architecture__block3_k": KeyError}, "field 'block3_k' is missing"),
        ({"architecture__block3_e": 3}, "block3_e 3: expected one of 1, 4, 6"),
        ({"architecture__block3_l": 9}, "stage3.repeats"),
        ({"architecture": KeyError}, "field 'architecture' is missing"),
        ({"platform_perf__latency_zcu102": KeyError}, "field 'latency_zcu102' is missing"),
    ],
)
def test_broken_records(tmp_path, changes, message):
    with pytest.raises(InputError, match="result_0") as caught:
        read_benchmark(folder(tmp_path, [record(0, **changes)]))
    assert message in str(caught.value)


def test_wrong_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_benchmark(str(tmp_path / "nowhere.tar.gz"))
    (tmp_path / "text.tar.gz").write_text("not an archive")
    with pytest.raises(InputError, match="unreadable as an archive"):
        read_benchmark(str(tmp_path / "text.tar.gz"))
    path = folder(tmp_path, [record(0)])
    (tmp_path / "jsons" / "result_0.json").write_text("[1, 2")
    with pytest.raises(InputError, match="not a JSON document"):
        read_benchmark(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no records"):
        read_benchmark(str(tmp_path / "empty"))


def test_a_truncated_archive(tmp_path):
    path = folder(tmp_path, [record(seed) for seed in range(50)])
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        archive.add(path, "somewhere")
    content = (tmp_path / "all.tar.gz").read_bytes()
    (tmp_path / "half.tar.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="unreadable"):
        read_benchmark(str(tmp_path / "half.tar.gz"))


def test_the_real_ones():
    if not RECORDS.is_file():
        pytest.skip(f"Accel-NASBench's records are not at {RECORDS} (NAS_BENCHMARK_DATA names another place)")
    records = read_benchmark(str(RECORDS))
    assert len(records) == 5138
    assert records.noise() == pytest.approx(0.27, abs=0.005)
    assert np.isfinite(records.train_time).all()
    assert SPACE.contains(reference("efficientnet-b0"))
