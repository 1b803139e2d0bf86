"""Foreign text (names, paths, reasons, settings), quoted for where it goes; one function for each target.

Specs, spaces, runs and images come from strangers too: none of their text is pasted into anything as it is.
What documents call their own things has an alphabet besides (`check_name`).
"""

from __future__ import annotations

import csv
import html
import io
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from search_spaces.errors import InputError, shown

_DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that reorder the rest of a line."""


def _shown(char: str) -> bool:
    """Whether a character is text: it controls no terminal and ends no line, and it is one of Unicode's."""
    if " " <= char <= "~":
        return True
    if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _DIRECTIONS:
        return False
    return ord(char) & 0xFFFE != 0xFFFE and not 0xFDD0 <= ord(char) <= 0xFDEF


def check_name(where: str, field: str, value: object, longest: int = 200) -> None:
    """Raise `InputError` unless a name is a text of 1 to `longest` characters, all printable, on one line."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise InputError(f"{where}: {field} {shown(value)}: expected a text of 1 to {longest} characters")
    odd = next((char for char in value if not _shown(char)), None)
    if odd is not None:
        raise InputError(
            f"{where}: {field} {shown(value)}: expected printable characters only, found {odd!r}"
        )
    if not value.strip():
        raise InputError(f"{where}: {field} {shown(value)}: expected more than spaces")


def printable(text: str) -> str:
    """For a line: control characters, line ends, and bytes that are no UTF-8 become escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _shown(char) else char.encode("unicode_escape").decode() for char in text)


def displayed(text: str) -> str:
    """For a terminal: the same line by line; nothing in it can move the cursor or change a setting."""
    return "\n".join(map(printable, text.split("\n")))


def markup(text: str) -> str:
    """For HTML and SVG, between tags or in an attribute."""
    return html.escape(displayed(text))


def markdown(text: str) -> str:
    """For a line or a table's cell of Markdown: text that stays text (CommonMark, section 2.4)."""
    # what means something inside a line; some renderers hand HTML through before they look at backslashes
    escaped = re.sub(r"([\\`*_\[\]#|~$])", r"\\\1", printable(text))
    return html.escape(escaped, quote=False)


def markdown_block(text: str, language: str = "") -> str:
    """For Markdown, as a block of code (CommonMark, section 4.5)."""
    fence = "`" * max(3, _longest(text, "`") + 1)
    return f"{fence}{language}\n{displayed(text)}\n{fence}"


def _longest(text: str, char: str) -> int:
    return max((len(run) for run in re.findall(f"{char}+", text)), default=0)


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""By what a spreadsheet takes a cell for a formula (OWASP, "CSV Injection")."""


def csv_table(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV; a text that a spreadsheet would take for a formula has a `'` before it."""
    lines = []
    for row in rows:
        line = io.StringIO()
        # it quotes what has a character of its own line's end, which a lone carriage return would be, too
        csv.writer(line, lineterminator="\r\n").writerow([_cell(value) for value in row])
        lines.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


def _cell(value: object) -> object:
    if not isinstance(value, str) or not value.lstrip(" ").startswith(_FORMULA):
        return value
    return value if re.fullmatch(r" *[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", value) else f"'{value}"


def shell_command(*words: object) -> str:
    """A command to paste into bash or zsh; a path that begins with a dash stays a path."""
    return " ".join(map(_word, words))


def _word(word: object) -> str:
    text = str(word)
    if isinstance(word, Path) and text.startswith("-"):
        text = f"./{text}"
    if all(map(_shown, text)):
        return shlex.quote(text)
    # what can't be seen is written as bytes in bash's own quotes
    inner = "".join(
        char
        if " " <= char <= "~" and char not in "\\'"
        else "".join(f"\\x{b:02x}" for b in os.fsencode(char))
        for char in text
    )
    return f"$'{inner}'"


def command_words(text: str) -> list[str]:
    """The words of a command as a shell takes them; raises `ValueError` where a quotation isn't closed."""
    return shlex.split(text)


def python_docstring(text: str) -> str:
    """A docstring in Python's source."""
    escaped = text.encode("unicode_escape").decode().replace('"', '\\"')
    return f'"""{escaped}"""'


def file_stem(name: str) -> str:
    """A name as a file's: whatever could be a path, or hide the file, is a dash in it.

    Of a long one the middle is left out: by their ends the members of a family differ.
    """
    stem = re.sub(r"[^\w.+-]+", "-", name).lstrip(".-")
    if len(stem.encode()) > 100:  # file systems count bytes, up to 255
        ends = stem.encode()[:60], stem.encode()[-39:]
        stem = "-".join(end.decode(errors="ignore") for end in ends)
    return stem or "network"
