import json

import numpy as np
import pytest

from nas.benchmark.download import download
from nas.benchmark.evaluator import BenchmarkEvaluator
from nas.benchmark.fit import check, fit, surrogate_of
from nas.benchmark.landmarks import benchmark_landmarks, true_rewards
from nas.benchmark.load import load_surrogate
from nas.benchmark.records import DEVICES, read_benchmark
from nas.benchmark.surrogate import EMBEDDED, FAMILIES, thresholds
from nas.benchmark.surrogate_file import read_surrogate
from nas.search.objective import make_objective
from nas.search.reward import make_reward
from search_spaces import Architecture, InputError, NotInSpaceError, get_space, reference
from tests.conftest import RECORDS
from tests.nas.benchmark.test_records import folder, record


@pytest.fixture(scope="module")
def surrogate():
    return read_surrogate()


@pytest.fixture(scope="module")
def records():
    if not RECORDS.is_file():
        pytest.skip(f"Accel-NASBench's records are not at {RECORDS} (NAS_BENCHMARK_DATA names another place)")
    return read_benchmark(str(RECORDS))


def random_rows(surrogate, count, seed=0):
    sizes = [len(decision) for decision in surrogate.space.decisions]
    return np.random.default_rng(seed).integers(sizes, size=(count, len(sizes)))


def test_what_ships_is_small_and_says_what_it_is(surrogate):
    assert EMBEDDED.stat().st_size <= 1 << 20
    about = json.loads(EMBEDDED.with_suffix(".json").read_text())
    assert about["surrogate_digest"] == surrogate.digest
    assert about["fidelity"] == surrogate.about["fidelity"]
    assert about["fidelity"]["mlp"]["kendall_tau"] >= 0.925
    assert about["fidelity"]["mlp"]["r2"] >= 0.985
    assert about["free"] == surrogate.about["free"]
    assert max(about["free"].values()) < 0.7 < about["fidelity"]["gb"]["kendall_tau"]
    assert about["records"] == 5138


def test_b0_as_measured_elsewhere(surrogate):
    """B0 is predicted 65.7-65.8 by other surrogates of the same records."""
    row = [surrogate.space.encode(reference("efficientnet-b0"))]
    for family in FAMILIES:
        assert surrogate.top1(row, family)[0] == pytest.approx(65.8, abs=0.15)
    assert 0.2 < surrogate.top1_std(row)[0] < 1


def test_fits_the_records_it_was_made_from(surrogate, records):
    assert surrogate.about["digest"] == records.digest
    for family in FAMILIES:
        assert np.abs(surrogate.top1(records.architectures, family) - records.top1).mean() < 0.25
    measured = surrogate.measured(records.architectures)
    assert set(measured) == {*DEVICES, "train_time"}
    for name in DEVICES:
        there = np.isfinite(records.devices[name])
        error = np.abs(np.log(measured[name][there] / records.devices[name][there]))
        assert np.median(error) < 0.05, name


def test_tables_equal_the_trees(surrogate):
    rows = random_rows(surrogate, 300)
    answers = np.stack([rows[:, d] > t for d, t in thresholds(surrogate.space)], axis=1)
    total = np.full(len(rows), surrogate.trees.base)
    for features, values in zip(surrogate.trees.features, surrogate.trees.values, strict=True):
        node = np.zeros(len(rows), dtype=int)
        for _ in range(3):
            node = 2 * node + 1 + answers[np.arange(len(rows)), features[node]]
        total += values[node - 7]
    assert surrogate.top1(rows, "gb") == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_deterministic_alone_and_in_batches(surrogate, family):
    rows = random_rows(surrogate, 9000)
    together = surrogate.top1(rows, family)
    assert (surrogate.top1(rows, family) == together).all()
    assert surrogate.top1(rows[8500:8501], family)[0] == pytest.approx(together[8500], abs=1e-4)


def test_written_and_read_again(surrogate, tmp_path):
    (tmp_path / "s.npz").write_bytes(surrogate.to_bytes())
    again = read_surrogate(tmp_path / "s.npz")
    rows = random_rows(surrogate, 50)
    assert again.digest == surrogate.digest
    for family in FAMILIES:
        assert (again.top1(rows, family) == surrogate.top1(rows, family)).all()
    assert load_surrogate(str(tmp_path / "s.npz")).digest == surrogate.digest


def test_loaded_once_whoever_listens(surrogate, tmp_path):
    (tmp_path / "s.npz").write_bytes(surrogate.to_bytes())
    first = load_surrogate(str(tmp_path / "s.npz"), lambda text: None)
    assert load_surrogate(str(tmp_path / "s.npz")) is first


def test_damaged_files(tmp_path, surrogate):
    content = surrogate.to_bytes()
    for name, damaged in (("half", content[: len(content) // 2]), ("text", b"nonsense"), ("empty", b"")):
        (tmp_path / f"{name}.npz").write_bytes(damaged)
        with pytest.raises(InputError, match="unreadable as a surrogate"):
            read_surrogate(tmp_path / f"{name}.npz")
    with pytest.raises(InputError, match="unreadable"):
        read_surrogate(tmp_path / "nowhere.npz")
    np.savez(tmp_path / "old.npz", about=np.frombuffer(b'{"format": 99}', dtype=np.uint8))
    with pytest.raises(InputError, match="format 99"):
        read_surrogate(tmp_path / "old.npz")


def test_unknown_family(surrogate):
    with pytest.raises(InputError, match="did you mean 'mlp'"):
        surrogate.top1(random_rows(surrogate, 1), "mpl")


def test_too_few_records(tmp_path):
    with pytest.raises(InputError, match="3 records"):
        fit(read_benchmark(folder(tmp_path, [record(seed) for seed in range(3)])))


@pytest.mark.slow
def test_fidelity_and_a_refit(records, surrogate, tmp_path):
    scores = [check(records, seed) for seed in range(5)]
    for name, least in (("kendall_tau", 0.925), ("r2", 0.985)):
        assert np.mean([score["mlp"][name] for score in scores]) >= least
    assert np.mean([score["gb"]["kendall_tau"] for score in scores]) >= 0.92
    again = surrogate_of(str(RECORDS), tmp_path)
    rows = random_rows(surrogate, 1000)
    assert np.abs(again.top1(rows) - surrogate.top1(rows)).max() < 0.2
    (kept,) = tmp_path.iterdir()
    stamp = kept.stat().st_mtime_ns
    assert surrogate_of(str(RECORDS), tmp_path).digest == again.digest
    assert kept.stat().st_mtime_ns == stamp  # read, not fitted again


def test_evaluator(surrogate):
    b0 = reference("efficientnet-b0")
    mean, noisy = BenchmarkEvaluator(surrogate), BenchmarkEvaluator(surrogate, noise=0.27)
    (row,) = list(mean.start(b0, 1))
    assert row["accuracy"] == pytest.approx(surrogate.top1([surrogate.space.encode(b0)])[0] / 100)
    values = [next(noisy.start(b0, seed))["accuracy"] for seed in range(400)]
    assert values == [next(noisy.start(b0, seed))["accuracy"] for seed in range(400)]
    assert np.mean(values) == pytest.approx(row["accuracy"], abs=0.0006)
    assert np.std(values) == pytest.approx(0.0027, rel=0.1)
    assert mean.costs(b0)["latency_zcu102"] == pytest.approx(8.2, abs=0.5)
    with pytest.raises(NotInSpaceError):
        mean.start(reference("mobilenet-v2"), 1)


@pytest.mark.parametrize("form", ["soft", "hard", "absolute"])
def test_the_objective_is_the_reward(surrogate, form):
    evaluator, space = BenchmarkEvaluator(surrogate), surrogate.space
    targets = {"macs": "300M", "throughput_a100": "9000", "latency_zcu102": "efficientnet-b0"}
    measure = {name: (lambda spec, name=name: evaluator.costs(spec)[name]) for name in DEVICES}
    reward = make_reward(form, targets, None, measure)
    rows = random_rows(surrogate, 40)
    slope, offset = make_objective(space, reward, surrogate)(rows)
    from nas.network import cost

    for row, a, b in zip(rows, slope, offset, strict=True):
        spec = space.decode(Architecture(row.tolist()))
        costs = {"macs": cost(spec).macs, **evaluator.costs(spec)}
        assert reward(0.6, costs) == pytest.approx(0.6 * a + b, rel=1e-5)


def test_a_higher_throughput_is_better():
    reward = make_reward("soft", {"throughput_a100": "9000"}, None, {"throughput_a100": lambda spec: 1.0})
    assert reward(0.6, {"throughput_a100": 12000}) > 0.6 > reward(0.6, {"throughput_a100": 6000})


def test_landmarks(surrogate):
    truth = true_rewards(surrogate, "mlp", make_reward("soft", {"benchmark_macs": "400M"}))
    known = benchmark_landmarks(truth)
    assert known.median < known.b0 < known.best
    assert known.best == pytest.approx(truth(np.array([known.architecture]))[0])
    space = get_space("accel-nasbench")
    assert truth(np.array(list(space.neighbours(known.architecture)))).max() <= known.best
    assert list(known.goals) == ["B0", "95%", "99%", "99.9%"]


class TestDownload:
    @pytest.fixture
    def server(self, tmp_path):
        import functools
        import threading
        from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

        (tmp_path / "served").mkdir()
        (tmp_path / "served" / "records").write_bytes(b"content" * 30_000)

        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

        handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        server.server_close()

    def test_checked_and_kept(self, server, tmp_path):
        import hashlib

        digest = hashlib.sha256(b"content" * 30_000).hexdigest()
        seen = []
        target = tmp_path / "new" / "records"
        assert download(target, f"{server}/records", digest, lambda *told: seen.append(told)) == target
        assert target.read_bytes() == b"content" * 30_000
        assert seen[-1] == (210_000, 210_000)
        assert download(target, "http://127.0.0.1:1/", digest) == target  # there already: no request
        target.write_bytes(b"other")
        with pytest.raises(InputError, match="not the records' archive"):
            download(target, f"{server}/records", digest)
        assert target.read_bytes() == b"other"

    def test_other_content_is_refused(self, server, tmp_path):
        with pytest.raises(InputError, match="expected 3520992d"):
            download(tmp_path / "records", f"{server}/records")
        assert not (tmp_path / "records").exists()

    @pytest.mark.parametrize("path", ["missing", None])
    def test_errors_of_server_and_network(self, server, tmp_path, path):
        url = f"{server}/{path}" if path else "http://127.0.0.1:1/x"
        with pytest.raises(InputError, match="download failed: .*embedded surrogate needs none"):
            download(tmp_path / "records", url)
        assert not (tmp_path / "records").exists()
