"""Foreign text stays text, whatever it is pasted into; each target's own reader says so."""

import ast
import csv
import html
import io
import math
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from search_spaces.document import read_document, write_document
from search_spaces.errors import InputError
from search_spaces.listed import ListedSpace
from search_spaces.quoting import (
    csv_table,
    displayed,
    file_stem,
    markdown,
    markdown_block,
    markup,
    printable,
    python_docstring,
    shell_command,
)
from search_spaces.spec import NetworkSpec, StageSpec

NASTY = (
    '"""+__import__("os").system("touch pwned")+"""', "'; touch pwned; '", "$(touch pwned)", "`touch pwned`",
    "a\nb", "\\", "\\'", "<script>x</script>", "&amp;", "[/a]", "[red]x", "a|b", "# a", "**x**", "~~x~~",
    "```\n<b>", "<b>x", "[x](javascript:1)", "=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\x1b[31mred", "\x07",
    "\x9b31m", "a\u202eb", "\u2028", "\ud800", "\udcff", "\ufffe", "../../x", "-rf", "~", "!!", "$\\frac{", "",
    " ", "a  b", "é", "日本",
)  # fmt: skip
TEXTS = st.one_of(st.sampled_from(NASTY), st.text(max_size=20), st.lists(st.sampled_from(NASTY)).map("".join))
many = settings(deadline=None, max_examples=60)
TABLES = MarkdownIt().enable(["table", "strikethrough"])


def shown(text):
    """Nothing in it commands a terminal."""
    return not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in text)


@many
@given(TEXTS)
def test_a_line_is_one_line_that_can_be_written_and_commands_no_terminal(text):
    line = printable(text)
    assert shown(line)
    assert len(line.splitlines()) <= 1
    assert printable(line) == line
    line.encode()
    assert [printable(part) for part in text.split("\n")] == displayed(text).split("\n")


@many
@given(TEXTS)
def test_markup_is_text_between_tags_and_in_attributes(text):
    assert not {"<", ">", '"', "'"} & set(markup(text))
    assert html.unescape(markup(text)) == displayed(text)


@many
@given(TEXTS)
def test_markdown_shows_the_text_itself(text):
    wanted = " ".join(printable(text).split())
    for around in ("a {} z", "# a {} z", "| a |\n|---|\n| a {} z |"):
        tokens = [token for token in TABLES.parse(around.format(markdown(text))) if token.type == "inline"]
        (token,) = [token for token in tokens if token.content != "a"]
        assert {child.type for child in token.children} <= {"text", "text_special"}
        found = "".join(child.content for child in token.children)
        assert " ".join(found.split()) == f"a {wanted} z".replace("  ", " ")


@many
@given(TEXTS)
def test_a_block_of_code_ends_where_it_should(text):
    (token,) = MarkdownIt().parse(markdown_block(text, "yaml"))
    assert (token.type, token.content.rstrip("\n")) == ("fence", displayed(text).rstrip("\n"))


@many
@given(TEXTS)
def test_a_docstring_is_no_more_than_that(text):
    (node,) = ast.parse(python_docstring(text) + "\n").body
    assert ast.literal_eval(node.value) == text


@many
@example(["-0"])
@example(["-1-1"])
@given(st.lists(TEXTS, min_size=1))
def test_a_table_has_no_formulas_and_loses_no_text(row):
    (found,) = csv.reader(io.StringIO(csv_table([row]), newline="")) if any(row) else ([*row],)
    assert [cell.removeprefix("'") for cell in found] == [cell.removeprefix("'") for cell in row]
    begun = [cell for cell in found if cell.lstrip(" ")[:1] in "=+-@\t\r\n" and cell.strip()]
    assert all(is_number(cell) for cell in begun)


def is_number(cell):
    """Whether a cell is a finite number, which a spreadsheet has nothing to compute of."""
    try:
        return "_" not in cell and math.isfinite(float(cell))
    except ValueError:
        return False


def test_numbers_are_no_formulas():
    assert csv_table([[-1, 2.5, "-1.5e-3", "+7", "-1-1", "- 1"]]) == "-1,2.5,-1.5e-3,+7,'-1-1,'- 1\n"


def test_bash_gets_the_words_that_were_meant(tmp_path):
    words = [word for word in NASTY if word != "\ud800"]  # no name of a file
    command = shell_command("printf", r"%s\0", *words)
    assert shown(command)
    done = subprocess.run(["bash", "-c", command], capture_output=True, cwd=tmp_path, check=True)
    assert [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]] == words
    assert not list(tmp_path.iterdir())
    assert shell_command("nas", "resume", Path("-rf")) == "nas resume ./-rf"
    assert shell_command("nas", "resume", Path("runs/first")) == "nas resume runs/first"


@many
@given(TEXTS)
def test_a_file_lies_in_its_folder(text):
    stem = file_stem(text)
    assert stem
    assert Path("a", stem).parent == Path("a")
    assert not stem.startswith((".", "-"))
    assert len(f"{stem}.safetensors".encode()) < 255


@many
@given(TEXTS)
def test_a_comment_leaves_the_document_readable(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "a.yaml"
    write_document(path, {"a": 1}, text)
    assert read_document(path) == {"a": 1}


@pytest.mark.parametrize(
    "name", ["", " ", "a\nb", "\x1b[31m", "a\u202eb", "\ud800", "x" * 201, 5, None, "\ufffe"]
)
def test_names_have_an_alphabet(name):
    spec = NetworkSpec("a", (StageSpec("ds", 8),))
    with pytest.raises(InputError, match="^network: name .*: expected"):
        spec.replace(name=name)
    with pytest.raises(InputError, match="^search space: name .*: expected"):
        ListedSpace(name, {"a": spec})
    with pytest.raises(InputError, match="network .*: expected"):
        ListedSpace("a", {name: spec})


def test_names_are_in_all_scripts_and_may_hold_quotes():
    for name in ("efficientnet-b0", "e\u0301\u00e9 日本 \U0001f600", "می\u200cخواهم", 'x"""[/a]<b>', "../x"):
        assert NetworkSpec(name, (StageSpec("ds", 8),)).name == name
