"""README and docs: links lead somewhere, commands parse as they stand there, the site is whole."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import click
import pytest
import yaml
from markdown_it import MarkdownIt

from nas.cli import _COMMANDS, cli

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "launch" / "README.md"])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def links(text):
    """Targets of a Markdown page's links and images."""
    for token in MarkdownIt().enable("table").parse(text):
        for child in token.children or ():
            if target := child.attrGet("href") or child.attrGet("src"):
                yield str(target)


def anchors(text):
    """The names of its headings, as Markdown sites make them."""
    lines = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", line).strip().lower().replace(" ", "-") for line in lines}


def broken(page, text):
    for link in links(text):
        target, anchor = urldefrag(link)
        if target.startswith("https://"):
            continue
        place = page.parent / unquote(target) if target else page
        if not place.exists() or (anchor and anchor not in anchors(place.read_text())):
            yield link


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    assert list(broken(ROOT / name, (ROOT / name).read_text())) == []


def test_a_broken_link_is_seen():
    text = "[a](docs/nowhere.md) ![b](b.png) [c](README.md#no-such-part) [d](README.md#start) [e](http://x)"
    assert list(broken(ROOT / "README.md", text)) == [
        "docs/nowhere.md",
        "b.png",
        "README.md#no-such-part",
        "http://x",
    ]


def menu(part):
    """Files that the site's menu names."""
    if isinstance(part, str):
        return [part]
    return [file for each in (part.values() if isinstance(part, dict) else part) for file in menu(each)]


def site():
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def test_every_page_is_in_the_menu_once():
    assert sorted(menu(site()["nav"])) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def test_every_room_has_its_reference():
    named = set(re.findall(r"^::: (\S+)$", "".join(p.read_text() for p in DOCS.glob("api/*.md")), re.M))
    rooms = {f"nas.{path.name}" for path in (ROOT / "nas").iterdir() if (path / "__init__.py").is_file()}
    # what the commands take and print stands in their --help
    assert rooms - {"nas.commands"} | {"search_spaces", "controller", "nas.api"} <= named


def commands(text):
    """The command lines of a page's blocks, as a shell reads them, without comments."""
    text = text.replace("\\\n", " ")
    for line in re.findall(r"^    (nas .*)$", text, re.M):
        words = shlex.split(re.sub(r"\s\|\s.*", "", line), comments=True)
        if "..." not in words:
            yield words[1:]


LINES = [(name, words) for name in NAMES for words in commands((ROOT / name).read_text())]


@pytest.mark.parametrize(("name", "words"), LINES, ids=[f"{n}: {' '.join(w)}" for n, w in LINES])
def test_its_commands_are_understood(name, words):
    """Every option is one of that command; what it would do is not done."""
    parse(words)


def parse(words):
    command = cli.get_command(click.Context(cli), words[0])
    command.make_context(words[0], list(words[1:]))


def test_a_command_that_is_no_more_is_seen():
    (words,) = commands("    nas search --data digits --trails 3  # three\n")
    with pytest.raises(click.NoSuchOption):
        parse(words)


def test_every_command_is_listed():
    listed = re.findall(r"`(\w+)`", (DOCS / "commands.md").read_text().split("\n\n")[2])
    assert sorted(listed) == sorted(_COMMANDS)


def test_make_has_what_the_pages_name():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for page in PAGES:
        for name in re.findall(r"(?:^    |`)make ([a-z-]+)", page.read_text(), re.M):
            assert name in targets, f"{page}: make {name}"


def test_the_readme_is_one_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100


class _Page(HTMLParser):
    """Names and links of a page of the site."""

    def __init__(self, text):
        super().__init__()
        self.names, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.names |= {found.get("id"), found.get("name")}
        if tag != "link" or found.get("rel") != "canonical":
            self.links += [found[key] for key in ("href", "src") if found.get(key)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_site_is_built_without_a_warning_and_no_link_is_broken(tmp_path):
    mkdocs = Path(sys.executable).parent / "mkdocs"
    if not mkdocs.exists():
        pytest.skip("mkdocs is not installed: make docs, or the extra `docs`")
    built = tmp_path / "site"
    command = [str(mkdocs), "build", "--strict", "--site-dir", str(built)]  # --quiet hides warnings from it
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {path: _Page(path.read_text()) for path in built.rglob("*.html")}
    assert len(pages) > 25
    lost = []
    for path, page in pages.items():
        for link in page.links:
            target, anchor = urldefrag(link)
            if path.name == "404.html" or re.match(r"[a-z]+:", target):
                continue
            place = (path.parent / unquote(target)).resolve() if target else path
            if not place.exists() or (
                anchor and place in pages and unquote(anchor) not in pages[place].names
            ):
                lost.append(f"{path.relative_to(built)}: {link}")
    assert lost == []
    # nothing is fetched from elsewhere when a page is shown
    for path in pages:
        assert not re.search(r"<(script|img|link)[^>]+(src|href)=\"?https?://(?!arxiv)", path.read_text())
    # a fault in a page is an error
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(ROOT / "mkdocs.yml", copy)
    shutil.copytree(DOCS, copy / "docs")
    for room in ("nas", "controller", "search_spaces"):
        (copy / room).symlink_to(ROOT / room)
    (copy / "docs" / "index.md").write_text("[a](nowhere.md)")
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert done.returncode != 0


def misnamed(source):
    """Names that the `Args` of a docstring describe, and its function or class does not take."""
    lost = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue
        part = re.search(r"^Args:\n((?:    .*\n?|\n)*)", ast.get_docstring(node) or "", re.M)
        made = node
        if isinstance(node, ast.ClassDef):
            made = next((f for f in node.body if getattr(f, "name", "") == "__init__"), None)
        if part is None or made is None:
            continue
        given = made.args
        taken = {
            a.arg
            for a in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
            if a
        }
        for names in re.findall(r"^    ([*\w]+(?:, [*\w]+)*):", part[1], re.M):
            lost += [f"{node.name}: {name}" for name in names.split(", ") if name.strip("*") not in taken]
    return lost


def test_docstrings_describe_what_their_functions_take():
    """Also where one line is of several parameters, which the site's builder can't check."""
    fault = 'def f(a, b):\n    """F.\n\n    Args:\n        a, c: two.\n    """\n'
    assert misnamed(fault) == ["f: c"]
    assert misnamed(fault.replace("a, c", "a, b")) == []
    lost = {}
    for room in ("nas", "controller", "search_spaces"):
        for path in (ROOT / room).rglob("*.py"):
            if found := misnamed(path.read_text()):
                lost[str(path.relative_to(ROOT))] = found
    assert lost == {}
