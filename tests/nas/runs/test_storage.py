"""Checkpoints and a run's copy in a storage: a folder here, an object store is the same to fsspec."""

import json
import time

import pytest

from nas.commands.common import seconds
from nas.launch.outputs import pack, unpack
from nas.runs.link import storage_of
from nas.runs.mirror import Mirror, fetch_run, has_run
from nas.runs.status import RunningTrial, Status, is_driven, read_status
from nas.runs.storage import Checkpoints, open_storage
from search_spaces import InputError


@pytest.fixture(params=["file", "memory"])
def url(request, tmp_path):
    return f"file://{tmp_path}/bucket/first" if request.param == "file" else f"memory://{tmp_path.name}/first"


def add(folder, *numbers):
    with (folder / "trials.jsonl").open("a") as stream:
        stream.writelines(json.dumps({"trial": number}) + "\n" for number in numbers)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "search.yaml").write_text("space: mnasnet\n")
    return folder


def test_a_copy_is_the_run(url, folder, tmp_path):
    assert not has_run(url)
    with Mirror(url, folder, every=0.02) as mirror:
        for number in range(20):
            add(folder, number)
            (folder / "best.yaml").write_text(f"trial: {number}\n")
            time.sleep(0.01)
        mirror.check()
    assert has_run(url)
    assert storage_of(folder) == url
    files, root = open_storage(url)
    assert 1 < len(files.ls(f"{root}/trials.jsonl")) <= 20

    fetch_run(url, tmp_path / "again")
    for name in ("trials.jsonl", "best.yaml", "search.yaml"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    with Mirror(url, tmp_path / "again"):
        add(tmp_path / "again", 20, 21)
    fetch_run(url, tmp_path / "third")
    assert (tmp_path / "third" / "trials.jsonl").read_text().count("\n") == 22
    with pytest.raises(InputError, match="has more of trials"):
        Mirror(url, folder)  # what was left behind on the first machine
    with pytest.raises(InputError, match="exists"):
        fetch_run(url, tmp_path / "third")


def test_a_torn_line_is_not_copied(url, folder):
    with (folder / "trials.jsonl").open("w") as stream:
        stream.write('{"trial": 0}\n{"tri')
    with Mirror(url, folder):
        pass
    files, root = open_storage(url)
    assert files.cat_file(f"{root}/trials.jsonl/{0:015d}") == b'{"trial": 0}\n'


def test_the_later_driver_wins(url, folder):
    first, _second = Mirror(url, folder), Mirror(url, folder)
    add(folder, 0)
    with pytest.raises(InputError, match="taken over"):
        first.sync()


def test_who_is_refused_takes_nothing_over(url, folder, tmp_path):
    add(folder, 0)
    with Mirror(url, folder) as mirror:
        mirror.sync()
        old = tmp_path / "old"
        old.mkdir()
        with pytest.raises(InputError, match="has more of trials"):
            Mirror(url, old)
        add(folder, 1)
        mirror.sync()


def test_what_fails_at_the_end_is_said(url, folder, monkeypatch):
    with pytest.raises(InputError, match="storage .*: gone"), Mirror(url, folder, every=60) as mirror:
        add(folder, 0)
        monkeypatch.setattr(mirror, "_put", lambda *_: (_ for _ in ()).throw(OSError("gone")))
    other = Mirror(url, folder, every=60)
    monkeypatch.setattr(other, "_put", lambda *_: (_ for _ in ()).throw(OSError("gone")))
    with pytest.raises(KeyError), other:  # the first error is the one that counts
        add(folder, 1)
        raise KeyError


def test_a_gap_is_refused(url, folder, tmp_path):
    with Mirror(url, folder, every=0.01):
        for number in range(3):
            add(folder, number)
            time.sleep(0.05)
    files, root = open_storage(url)
    files.rm(sorted(files.ls(f"{root}/trials.jsonl", detail=False))[0])
    with pytest.raises(InputError, match="gap at byte 0"):
        fetch_run(url, tmp_path / "again")


@pytest.mark.parametrize("bad", ["nosuch://bucket/x", "memory://nowhere"])
def test_bad_storage(bad, tmp_path):
    with pytest.raises(InputError, match=r"storage|no run there"):
        fetch_run(bad, tmp_path / "x")


def test_a_store_out_of_reach_stops_the_search_in_the_end(url, folder, monkeypatch):
    monkeypatch.setattr("nas.runs.mirror._PATIENCE", 0.1)
    with pytest.raises(InputError, match="out of reach"), Mirror(url, folder, every=0.02) as mirror:
        monkeypatch.setattr(mirror, "_put", lambda *_: (_ for _ in ()).throw(OSError("out of reach")))
        add(folder, 0)
        deadline = time.monotonic() + 10
        while mirror.error is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        mirror.check()


def test_checkpoints_come_back_and_execute_nothing(url):
    import torch

    kept = Checkpoints(url)
    assert kept.load(3) is None
    kept.save(3, {"rows": [{"epoch": 1}], "evaluation": {"w": torch.arange(3.0)}})
    kept.save(3, {"rows": [{"epoch": 2}], "evaluation": {"w": torch.arange(3.0)}})
    assert kept.load(3)["rows"] == [{"epoch": 2}]
    assert kept.sees(kept.mark())
    files, root = open_storage(url)
    assert not [path for path in files.ls(root, detail=False) if path.endswith(".part")]
    kept.remove(3)
    kept.remove(3)
    assert kept.load(3) is None

    class Evil:
        def __reduce__(self):
            return print, ("executed",)

    kept.save(4, {"evaluation": Evil()})
    with pytest.raises(Exception, match="(?i)weights"):
        kept.load(4)
    kept.clear()
    kept.clear()


def test_status_is_read_back(tmp_path):
    assert read_status(tmp_path) is None
    nodes = [{"id": "a", "address": "10.0.0.1", "host": "a", "metrics": "", "resources": {}, "free": {}}]
    Status(0, 4, [RunningTrial(7, 4e8, 5, epoch=2, worker="host:12")], nodes).write(tmp_path)
    status = read_status(tmp_path)
    assert time.time() - status.at < 5
    assert status.running == [RunningTrial(7, 4e8, 5, epoch=2, worker="host:12")]
    (tmp_path / "running.json").write_text('{"running": [{"no": 1}]}')
    with pytest.raises(InputError, match="unknown field"):
        read_status(tmp_path)
    assert not is_driven(tmp_path)


def test_outputs_are_unpacked_as_plain_files_only(tmp_path, folder):
    import io
    import tarfile

    (folder / "logs").mkdir()
    (folder / "logs" / "trial_000000.log").write_text("x")
    (folder / "00000" / "architectures").mkdir(parents=True)  # TensorBoard's projector
    (folder / "00000" / "architectures" / "tensors.tsv").write_text("1")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "trial_000000.pt").write_text("big")
    unpack(pack(folder), tmp_path / "back")
    assert (tmp_path / "back" / "logs" / "trial_000000.log").read_text() == "x"
    assert (tmp_path / "back" / "00000" / "architectures" / "tensors.tsv").read_text() == "1"
    assert not (tmp_path / "back" / "checkpoints").exists()
    with pytest.raises(InputError, match="exists"):
        unpack(pack(folder), tmp_path / "back")

    for name, kind in (
        ("run/../../x", tarfile.REGTYPE),
        ("run/x", tarfile.SYMTYPE),
        ("/run/x", tarfile.REGTYPE),
    ):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        with pytest.raises(InputError, match="no file of a run"):
            unpack(buffer.getvalue(), tmp_path / "evil")
    with pytest.raises(InputError, match="broken"):
        unpack(b"no archive", tmp_path / "evil")


def test_times():
    assert [seconds(text, "x") for text in ("90", "90s", "1.5m", "2h", None)] == [90, 90, 90, 7200, None]
    for bad in ("", "0", "-1", "1d", "x"):
        with pytest.raises(InputError, match="expected a time"):
            seconds(bad, "trial-timeout")
