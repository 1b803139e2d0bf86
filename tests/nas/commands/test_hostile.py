"""A stranger's spec, space, run, images and names: every command on them, every file that they become.

Each text that they may choose tries to be something else: code, markup, a command, a formula, a path. What
comes out is read by its target's own reader, and holds them as text.
"""

import ast
import csv
import io
import json
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from markdown_it import MarkdownIt
from PIL import Image
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nas.cli import _COMMANDS
from nas.commands import common
from nas.runs.folder import Run
from nas.runs.settings import SearchSettings
from nas.runs.space_settings import SpaceSettings
from nas.search.in_process import run_in_process
from nas.search.journal import Journal
from search_spaces.document import dump_yaml
from search_spaces.mbconv import StagedSpace
from search_spaces.quoting import displayed, printable
from search_spaces.spec import NetworkSpec, StageSpec, StemSpec
from tests.command import good, nas
from tests.nas.search.fakes import Fake

NAME = (
    '=1+1"""+open("pwned", "w").close()+"""\';touch pwned;$(touch pwned)`touch pwned`[/a][red]<script>x</script>'
    "<b>|**a**|$\\frac{1}{$ $../../pwned --- # ``` \\"
)
"""What a document may call itself: printable, nothing else."""
SHORT = "=1+1[/a]<i>\"'`$(touch pwned)`|"
"""The same for texts that a table has room for."""
ANY = f"{SHORT}\x1b[31m\x1b]0;title\x07\u202e\u2028\r\nnas: forged\x9b"
"""What else a file may say."""
BAD = "\x1b[31m[/a].yaml".replace("/", "")
LOG = "a log's own lines"
CLASSES = ("=1+1", "-x|y", "[|a]<b>", "\x1b[31m`x`\n# h", "@SUM(1)", "a\u202eb'\"")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory, in which nothing may appear that was not asked for."""
    folder = (
        tmp_path_factory.mktemp("hostile") / "exp[" / "a] $(touch pwned) 'q\" `touch pwned` \x1b[31m <b>|"
    )
    folder.mkdir(parents=True)
    stages = (
        StageSpec("mbconv", 16, stride=2, expansion=4, se_ratio=0.25),
        StageSpec("ds", 24, se_ratio=0.25),
    )
    spec = NetworkSpec(
        NAME, stages, StemSpec(16), head_channels=32, resolution=32, num_classes=len(CLASSES), bn_momentum=0.1
    )
    (folder / "spec.json").write_text(json.dumps(spec.to_document()))
    (folder / "space.json").write_text(json.dumps(space().to_document()))
    (folder / BAD).write_text("[")
    return folder


def space():
    """A space whose name is as long as its networks' names have room for."""
    stages = [{"op": ["ds", "mbconv3"], "channels": [12, 16], "kernel": [3, 5]}]
    network = {"resolution": 16, "stem": {"channels": 16}, "head_channels": 64}
    document = {"schema": 1, "space": NAME[:150], "network": network, "stages": stages}
    return StagedSpace.from_document(document)


@pytest.fixture(scope="module")
def run(place):
    """A run of another's: its journal, logs and status hold what its writer liked."""
    folder = place / f"run {SHORT.replace('/', '')}"
    settings = SearchSettings(space=SpaceSettings("space.json", space().to_document()), trials=12)
    made = Run.create(folder, settings)
    with Journal(folder) as journal:
        run_in_process(made.loop(journal, 12, ()), Fake())
        made.write_results(made.results(journal.records))
    lines = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    lines[0] |= {"state": "failed", "reward": None, "accuracy": None, "reason": ANY}
    for line in lines:
        line |= {"worker": ANY, "versions": {ANY: ANY}}
    (folder / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "logs").mkdir()
    (folder / "logs" / "trial_000000.log").write_text(f"{ANY}{LOG}\n")
    node = {"id": "a", "address": ANY, "host": ANY, "resources": {"CPU": 1}}
    trial = {"trial": 99, "macs": 1e6, "epochs": 2, "since": 1, "node": "a", "worker": ANY, "gpus": ANY}
    status = {"at": time.time() + 1000, "room": 1, "running": [trial], "nodes": [node], "dashboard": ANY}
    (folder / "running.json").write_text(json.dumps(status))
    measured = {
        "schema": 1, "exponent": -0.07, "slope": 0.07, "low": 0.01, "high": 0.1, "networks": 4, "trainings": 4,
        "guessing": 0, "change": ANY, "family": ANY, "chance": 0.1, "rows": {},
    }  # fmt: skip
    (folder / "exponent").mkdir()
    (folder / "exponent" / "measured.yaml").write_text(dump_yaml(measured))
    old = place / f"{folder.name} old"  # it stopped a while ago, before its end
    shutil.copytree(folder, old)
    (old / "running.json").unlink()
    (old / "search.yaml").write_text((old / "search.yaml").read_text().replace("trials: 12", "trials: 20"))
    return folder


def check_printed(text):
    """Nothing commands a terminal; every command that is to be pasted is one of ours, and touches nothing."""
    assert not [c for c in text if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202e\u2028")]
    assert "\nnas: forged" not in text.rpartition(LOG)[2]
    for found in re.finditer(rf"\bnas ({'|'.join(_COMMANDS)}) [^\n]*", text):
        if "'" not in found[0]:
            continue  # a word of ours, in prose
        words = re.sub(r"` .*$|; .*$(?<!')", "", found[0])
        asked = subprocess.run(
            ["bash", "-c", f"nas() {{ printf '%s\\n' \"$@\"; }}; {words}"], capture_output=True, text=True
        )
        assert "touch pwned" in asked.stdout or "pwned" not in words, (found[0], asked)


def clean(place):
    """No text has run."""
    assert not list(place.rglob("pwned*"))
    assert not list(place.parents[1].glob("pwned*"))
    assert not Path("pwned").exists()


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.handlers, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.handlers += [
            name for name, value in attrs if name.startswith("on") or "script:" in (value or "")
        ]

    def handle_data(self, data):
        self.text += data


MARKUP = {
    "html", "head", "meta", "title", "link", "style", "body", "main", "script", "h1", "h2", "p", "div", "span",
    "b", "table", "tr", "th", "td", "details", "summary", "code", "pre", "svg", "g", "rect", "circle", "text",
    "line", "polyline",
}  # fmt: skip


def check_html(page):
    read = Tags(page)
    assert set(read.tags) <= MARKUP
    assert read.tags.count("script") == 1
    assert not read.handlers
    return read.text


def check_csv(text):
    rows = list(csv.reader(io.StringIO(text)))
    number = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?")
    assert not [c for row in rows for c in row if c[:1] in "=+-@\t" and c and not number.fullmatch(c)]
    return rows


def check_module(text, place):
    tree = ast.parse(text)
    kinds = [type(node) for node in tree.body]
    assert set(kinds) <= {ast.Expr, ast.Assign, ast.FunctionDef}
    assert kinds.count(ast.Expr) == 1
    assert NAME in ast.get_docstring(tree, clean=False)
    for node in tree.body:
        if isinstance(node, ast.Assign):
            ast.literal_eval(node.value)
    names = {}
    exec(text, names)
    clean(place)
    return names


def check_svg(text):
    root = ElementTree.fromstring(text)
    assert {each.tag.rpartition("}")[2] for each in root.iter()} <= {
        "svg", "title", "style", "g", "rect", "circle", "text",
    }  # fmt: skip
    assert NAME in "".join(root.itertext())


def check_card(text):
    _, front, body = text.split("---\n", 2)
    document = yaml.safe_load(front)
    tokens = MarkdownIt().enable(["table"]).parse(body)
    inside = [child for token in tokens for child in token.children or ()]
    assert {t.type for t in inside} <= {"text", "text_special", "code_inline", "softbreak"}
    assert not {t.type for t in tokens} & {"html_block", "code_block", "hr", "bullet_list_open"}
    heads = [tokens[i + 1].children for i, t in enumerate(tokens) if t.type == "heading_open"]
    assert "".join(c.content for c in heads[0]) == NAME
    assert len(heads) == 4
    blocks = [t.content for t in tokens if t.type == "fence"]
    assert len(blocks) == 3
    assert yaml.safe_load(blocks[0])
    assert yaml.safe_load(blocks[2])["classes"]
    return document, blocks


@pytest.mark.parametrize(
    "command",
    [
        "status RUN", "status OLD", "status RUN --json", "cost BAD", "logs 3 RUN", "show OLD",
        "show RUN", "show RUN --json", "logs 0 RUN", "cost RUN",
        "show spec.json", "show spec.json RUN/best.yaml", "cost spec.json --json", "space space.json",
        "scale spec.json --phi 0..2", "scale RUN --phi 1",
        "launch --to slurm --dry-run --partition a,b --env A=ENV -- search --space space.json --out RUN",
        "launch --to job --dry-run --env A=ENV -- search --space space.json --out RUN",
        "search --evaluator benchmark --space space.json --trials 3 --out RUN",
        "show [/a]", "show [red]x", "cost no[/a]ESC.yaml", "resume RUN[/a]", "train spec.json --data [/a]",
        "launch --to slurm --dry-run --partition [/a]ESC -- search --out a", "logs 7 RUN", "export RUN --to [/a]",
        "show RUN --top [/a]", "show RUN --[/a]ESC", "[/a]ESC", "search --space spec.json", "cost space.json",
    ],
)  # fmt: skip
def test_what_is_printed(command, place, run):
    words = {"RUN": run.name, "ENV": ANY, "OLD": f"{run.name} old", "BAD": BAD}
    given = [
        words.get(word, word.replace("RUN", run.name).replace("ESC", "\x1b[31m")) for word in command.split()
    ]
    done = nas(*given, cwd=place)
    assert done.returncode in (0, 2), done.stderr
    if "launch" not in command and "--json" not in command:
        check_printed(done.stdout)
    check_printed(done.stderr)
    if "--json" in command:
        json.loads(done.stdout)
    if done.returncode:
        (line,) = done.stderr.splitlines()
        assert line.startswith("nas: error: ")
        assert "BAD" not in command or printable(BAD) in line  # click would leave a part of it out
        for bracket in re.findall(r"\[/a\]|\[red\]", command):
            assert bracket in line
    clean(place)


def test_a_batch_script_is_the_command_that_was_given(place, run):
    words = ["search", "--space", NAME, "--out", f"a {ANY}"]
    script = good(*("launch", "--to", "slurm", "--dry-run", "--env", f"A={ANY}", "--", *words), cwd=place)
    assert not [c for c in script if c != "\n" and not " " <= c <= "~"]
    (line,) = [line for line in script.splitlines() if line.startswith("nas ")]
    export = script.index("export A=")
    kept = script[export : script.index("\nnas ", export)]
    probe = f'nas() {{ printf \'%s\\0\' "$A" "$@"; }}; {kept}\n{line.removesuffix(" &")}'
    asked = subprocess.run(["bash", "-c", probe], capture_output=True, cwd=place, check=True)
    assert asked.stdout.decode().split("\0")[:-3] == [ANY, *words]
    clean(place)


def test_a_terminal_shows_what_would_command_it(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, screen)
    foreign = "\x1b[5m[/a][red]:car:\x1b]0;t\x07\x9b\r\b\u202e"
    monkeypatch.setenv("TERM", "dumb")
    for console in (common.out(), common.progress()):
        table = Table(title=foreign)
        table.add_column(foreign)
        table.add_row(foreign)
        table.add_row(Text(foreign))
        for each in (foreign, Text(foreign), table, Group(foreign, table)):
            console.print(each, style="yellow")
        with Live(foreign, console=console):
            console.out(foreign)
    common.put(foreign)
    shown = re.sub(r"\x1b\[[\d;]*m|\x1b\[\?25[lh]", "", screen.getvalue())  # what rich itself says
    assert shown.count("[/a][red]:car:") >= 2 * 10 + 1
    assert shown.count(displayed(foreign)) >= 2 * 9 + 1  # laid out as it is shown, so none is cut
    assert not [c for c in shown if c not in "\n\r" and not c.isprintable()]
    assert shown.count("\\x1b[5m") == shown.count("[/a]")
    assert "\x1b[5m" not in screen.getvalue()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--to", "slurm", "--partition", "a\n#SBATCH --wrap=x"], "partition 'a"),
        (["--to", "slurm", "--partition", "a b"], "partition 'a b'"),
        (["--to", "slurm", "--env", "A;touch pwned=1"], "env 'A;touch pwned'"),
        (["--to", "job", "--env", "A B=1"], "env 'A B'"),
        (["--to", "kuberay", "--env", "1A=1"], "env '1A'"),
        (["--to", "kuberay", "--image", "a\nb: c"], "image 'a"),
        (["--to", "kuberay", "--image", "a b"], "image 'a b'"),
        (["--to", "kuberay", "--ray-version", "\u0662.1.1"], "ray-version"),
        (["--to", "kuberay", "--name", "a\n"], "name 'a"),
    ],
)
def test_a_launch_takes_names_that_stay_one_word(arguments, named, place):
    done = nas("launch", "--dry-run", *arguments, "--", "search", "--out", "x", cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert named in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_kuberay_takes_words_that_reach_the_search(place):
    """The operator's shell reads the entrypoint, then that of the job, behind a quoting for Windows."""
    words = ["search", "--out", "a b,c=d", "--data", "imagefolder:/x y/ü", "--storage", "s3://b/r"]
    command = ("launch", "--to", "kuberay", "--dry-run", "--env", "A=$(B) $$")
    job = yaml.safe_load(good(*command, "--", *words, cwd=place))
    first = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {job['spec']['entrypoint']}"], capture_output=True, check=True
    ).stdout.decode().split("\0")[:-1]  # fmt: skip
    second = subprocess.list2cmdline(first)
    found = subprocess.run(["sh", "-c", f"printf '%s\\n' {second}"], capture_output=True, check=True).stdout
    assert found.decode().splitlines()[1 : len(words) + 1] == words
    (worker,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = worker["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "A", "value": "$$(B) $$$$"}]
    for word in ("$(x)", "a;b", "a'b", "a\nb", "*", "~", "a&b", '"'):
        search = ("search", "--storage", "s3://b/r", "--out", word)
        done = nas("launch", "--to", "kuberay", "--dry-run", "--", *search, cwd=place)
        assert (done.returncode, done.stdout) == (2, ""), word


def test_a_report(place, run):
    good("report", run.name, cwd=place)
    text = check_html((run / "report.html").read_text())
    assert f"{NAME[:150]}-trial" in text
    assert SHORT in text  # the reason of a failure
    clean(place)


def test_a_picture(place):
    good("show", "spec.json", "--diagram", "a.svg", cwd=place)
    good("show", "spec.json", "--diagram", "a.png", cwd=place)
    check_svg((place / "a.svg").read_text())
    assert Image.open(place / "a.png").size > (100, 100)


@pytest.mark.parametrize("form", ["timm", "torchvision", "yaml", "json"])
def test_an_export(form, place):
    beside = set(place.iterdir())
    good("export", "spec.json", "--to", form, "--out", f"made.{form}", cwd=place)
    text = (place / f"made.{form}").read_text()
    if form in ("timm", "torchvision"):
        names = check_module(text, place)
        assert names["build"](num_classes=3).num_classes == 3 if form == "timm" else names["build"]()
    else:
        assert yaml.safe_load(text)["name"] == NAME
    assert set(place.iterdir()) - beside == {place / f"made.{form}"}


def test_a_family_lies_in_its_folder(place):
    good("scale", "spec.json", "--phi", "0..1", "--out", "family", "--plot", "family.png", cwd=place)
    for path in (place / "family").iterdir():
        assert yaml.safe_load(path.read_text())["name"].startswith(NAME[:60])
    clean(place)


def test_tables_of_a_run(place, run):
    rows = check_csv((run / "pareto.csv").read_text())
    assert rows[0][0] == "trial"
    assert yaml.safe_load((run / "best.yaml").read_text())["name"].startswith(NAME[:150])


def test_a_module_says_what_it_means_in_python():
    """JSON's `false` and `null` are no words of Python."""
    from nas.export.torchvision import torchvision_module

    stages = (
        StageSpec("mbconv", 16, expansion=4, se_ratio=0.25),
        StageSpec("mbconv", 16, expansion=4, se_ratio=0.25, skip="none"),
    )
    names = {}
    exec(torchvision_module(NetworkSpec("a", stages, StemSpec(16), head_channels=32, resolution=32)), names)
    assert names["ARGUMENTS"]["inverted_residual_setting"][1]["skip"] is False
    names["build"]()


@pytest.fixture(scope="module")
def trained(place):
    """A training on folders whose names are the classes."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 3)):
        for name in CLASSES:
            folder = place / "images" / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(folder / f"={index}.png")
    command = ("train", "spec.json", "--data", "imagefolder:images", "--epochs", "1", "--set", "batch=8")
    return nas(*command, "--resolution", "32", "--stem-stride", "2", cwd=place)


def test_a_training(place, trained):
    assert trained.returncode == 0, trained.stderr
    check_printed(trained.stdout)
    check_printed(trained.stderr)
    (checkpoint,) = place.glob("*.pt")  # beside nothing else: the name is no path
    folder = checkpoint.with_suffix("")
    document, blocks = check_card((folder / "MODEL_CARD.md").read_text())
    assert document["model-index"][0]["name"] == NAME
    assert blocks[1].count("\n") == 2
    rows = check_csv((folder / "confusion.csv").read_text())
    assert len(rows) == 1 + len(CLASSES)
    assert yaml.safe_load((folder / "train.yaml").read_text())["spec"] == NAME
    clean(place)


def test_predictions(place, trained):
    (checkpoint,) = place.glob("*.pt")
    done = nas("predict", checkpoint.name, "images/val", "--csv", "p.csv", cwd=place)
    assert done.returncode == 0, done.stderr
    check_printed(done.stdout + done.stderr)
    assert check_csv((place / "p.csv").read_bytes().decode())[0][0] == "image"
    printed = good("predict", checkpoint.name, "images/val", "--csv", "-", cwd=place)
    assert printed == (place / "p.csv").read_bytes().decode()
    inside = place / "images/val/=1+1"
    printed = good("predict", place / checkpoint.name, "=0.png", "--csv", "-", cwd=inside)
    assert check_csv(printed)[1][0] == "'=0.png"
    good("export", checkpoint.name, "--to", "timm", "--out", "w.py", cwd=place)
    names = check_module((place / "w.py").read_text(), place)
    assert len(names["INPUT"]["classes"]) == len(CLASSES)
