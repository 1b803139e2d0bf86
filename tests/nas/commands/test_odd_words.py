"""Any words to any command: they act, or one line refuses them, in seconds, and nothing of the user's is touched.

The work behind the commands, and what leaves the process, is left out (`observe`): all that is asked here is
how words are understood.
"""

from contextlib import suppress

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.benchmark.plan import plan_workers
from nas.cli import _COMMANDS, cli
from nas.cluster.speed import Devices
from nas.data.load import load_data
from nas.errors import TrialFailedError
from nas.training.speed import Speed
from search_spaces.document import dump_yaml
from search_spaces.errors import InputError
from tests.fuzz import seeds
from tests.fuzz.documents import NUMBERS, TEXTS
from tests.fuzz.guard import EXAMPLES, fuzz, guarded
from tests.nas.commands.test_options import ACTS

FILES = [
    "notes.txt",
    "photo.png",
    "photos",
    "tiny.yaml",
    "w.pt",
    "run",
    "run/best.yaml",
    "run/trials.jsonl",
    "another",
]
WORDS = [
    *TEXTS, *map(str, NUMBERS), *FILES, "", "-", "--", "-1", "-x", "--help", ".", "..", "/", "~", "~nobody/x", "/dev/null",
    "/dev/zero", "/dev/full", "/proc/self/mem", "/proc/self/environ", "no/such/file", "no/such/", "x.png", "x.svg", "x.pt",
    "x.json", "x.yaml", "x.onnx", "notes.txt/x", "run/logs", "run/x", "a" * 300, "a" * 5000, "x/" * 2000, "photos/../notes.txt",
    "::", "first::lr0.1", "a::b::c", "s3://", "s3:///", "nosuch://x", "file://", "file://x", "file:///", "http://[", "http://",
    "memory://x", "memory://", "local://x", "ray://x", "127.0.0.1:x", "127.0.0.1:99999", "auto", "local", "é/ü", "\udcff.pt",
    "$HOME", "$(id)", "`id`", "'", '"', "\\", "a b", " a", "a ", "#", "*", "?", "!", "exp[seed1]", "{x}", "{0}", "%", "0..7",
    "0..1e9", "0..1000000000", "7..0", "..", "1..", "1,2", "1,,2", ",", "1,x", "1:2", "1:2:3", ":", "=", "a=", "=b", "a=b", "a=b=c",
    "a=[1", "lr=nan", "lr=1e999", "batch=0", "batch=99999999999", "epochs=0", "optimizer=x", "1M", "5G", "0G", "-5G", "1e400M",
    "1h", "0s", "-1s", "1e99h", "h", "macs=1M", "macs=1M,params=1", "macs=", "=1M", "1M:", "timm:", "timm:x", "timm:vit_tiny",
    "torchvision:", "torchvision:x", "x:y", "imagefolder:", "imagefolder:photos", "imagefolder:notes.txt", "imagefolder:x",
    "webdataset:", "webdataset:x", "webdataset:x{0..9999999}.tar", "huggingface:", "huggingface:photos", "digits", "cifar10",
    "fashion-mnist", "efficientnet-b0", "efficientnet-b7", "efficientnet-b99", "mnasnet", "accel-nasbench", "random", "predictor",
    "random:0", "random:x", "random:10", "evolution:", "adamw", "sgd", "soft", "hard", "absolute", "asha", "median", "timm",
    "onnx", "timm,onnx", "timm,", "yaml", "kuberay", "job", "slurm", "benchmark", "train", "json:dumps", "nas.cli:main", "os:x",
    "converged", "0x10", "1_000", "١٢", "½", "∞", "1.5", "1e3", "1,5", "true", "None", "null",
]  # fmt: skip

IN_A_LINE = (click.ClickException, click.exceptions.Exit, click.Abort, InputError, TrialFailedError, OSError)
"""What `nas.cli.main` says in a line, cut where it is long."""

ELSEWHERE = {
    "start": [["photos"], ["digits", "--plan"], ["photos", "--hours", "2"]],
    "train": [["efficientnet-b0"], ["tiny.yaml", "--data", "digits"], ["run", "--top", "2"], ["--resume", "w.pt"],
              ["--from", "w.pt", "--data", "imagefolder:photos"]],
    "resume": [["run"], ["run", "--trials", "9"]],
    "predict": [["w.pt", "photo.png"], ["w.pt", "photos", "--top", "2"]],
}  # fmt: skip
BASES = {
    name: [*ELSEWHERE.get(name, []), *(pair[1] for pair in ACTS.get(name, {}).values() if pair)]
    for name in _COMMANDS
}


@st.composite
def lines(draw):
    """A command's words: those of a valid line, of which some are others, are missing or are there again."""
    name = draw(st.sampled_from(sorted(_COMMANDS)))
    words = [str(word) for word in draw(st.sampled_from(BASES[name] or [[]]))]
    command = cli.get_command(click.Context(cli), name)
    odd = st.one_of(st.sampled_from(WORDS), st.text(max_size=6))
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["replace", "replace", "option", "option", "drop", "again", "word"]))
        at = draw(st.integers(0, max(0, len(words) - 1)))
        options = [one for one in command.params if isinstance(one, click.Option)]
        if kind == "option" and options:
            option = draw(st.sampled_from(options))
            flag = draw(st.sampled_from([*option.opts, *option.secondary_opts]))
            words += [flag] if option.is_flag else [flag, draw(odd)]
        elif kind in ("word", "option") or not words:
            words.insert(at, draw(odd))
        elif kind == "replace":
            words[at] = draw(odd)
        elif kind == "drop":
            del words[at]
        else:
            words.append(words[at])
    return [name, *(word.replace("\x00", "0") for word in words)]


def _few_trials(controller, surrogate, truth, reward, workers, trials, *more):
    """As `plan_workers`: a search of a million trials takes its time, and may."""
    return plan_workers(controller, surrogate, truth, reward, workers, min(trials, 3), *more)


@pytest.fixture
def tried(observe, monkeypatch, tmp_path):
    """Gives a command words; fails where it does what no words may make it do."""
    keep = tmp_path / "elsewhere"
    keep.mkdir()
    (keep / "mine.txt").write_text("mine")
    checkpoint, photo = seeds.checkpoint(), seeds.image("PNG")
    mine = {"notes.txt": b"mine", "photo.png": photo, "tiny.yaml": dump_yaml(seeds.SPEC.to_document()).encode(),
            "w.pt": checkpoint, **{f"photos/{name}/{i}.png": photo for name in "ab" for i in range(9)}}  # fmt: skip
    monkeypatch.setattr("nas.data.load.load_data", load_data)  # not what `observe` has for `nas proxy`
    # the real one compares what is there with what it should be, and leaves it
    monkeypatch.setattr("nas.benchmark.download.download", lambda path, url, progress: None)
    monkeypatch.setattr("nas.commands.train._run", lambda *given: None)
    monkeypatch.setattr("nas.commands.train._train_top", lambda *given: None)
    monkeypatch.setattr("nas.commands.start._run", lambda *given: None)
    for name, answer in {
        "nodes.connect": None,
        "nodes.room": 2,
        "speed.count_devices": Devices(2, 0, 1),
    }.items():
        monkeypatch.setattr(f"nas.cluster.{name}", lambda *given, answer=answer: answer)
    monkeypatch.setattr(
        "nas.cluster.speed.speeds_on_ray", lambda specs, *more: Speed((100.0,) * len(specs), 1.0)
    )
    monkeypatch.setattr("nas.benchmark.plan.plan_workers", _few_trials)

    def run(words):
        here = tmp_path / "here"
        with guarded(repr(words)[:3000]), suppress(*IN_A_LINE):
            observe(words, mine)
        assert (keep / "mine.txt").read_text() == "mine"
        assert sorted(path.name for path in keep.iterdir()) == ["mine.txt"]
        for name in ("notes.txt", "photo.png", "photos/a/0.png"):
            assert (here / name).read_bytes() == mine[name], f"{words}: {name} was overwritten"
        assert (here / "run" / "trials.jsonl").read_bytes(), words

    return run


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_words_break_a_command(tried):
    @fuzz(EXAMPLES * 40)
    @given(lines())
    def run(words):
        tried(words)

    run()


def test_some_words_break_no_command(tried):
    @fuzz(12, of=1)
    @given(lines())
    def run(words):
        tried(words)

    run()
