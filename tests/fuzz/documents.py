"""Odd documents: valid ones with values, keys and characters replaced by what trips readers over."""

import copy
import json

import yaml
from hypothesis import strategies as st

NUMBERS = [
    -1, 0, 1, 2, 3, 7, 31, 1024, 1025, 65536, 65537, 1 << 20, 1 << 31, 1 << 63, 1 << 64, -(1 << 63), 10**18, 10**40,
    10**320, 0.5, -0.5, 1.5, 1e-320, 1e300, -1e300, float("inf"), float("-inf"), float("nan"),
]  # fmt: skip
TEXTS = [
    "", " ", "x", "a\nb", "\x1b[31m", "[/a]", "[bold]", ":car:", "../x", "/", "\x00", "é", "\udc80", "\ud800", "🙈",
    "=1+1", "nan", "inf", "400M", "-0.07", "auto", "macs", "train", "benchmark", "0x_", "1e5", "{", "%s", "mnasnet",
    "digits", "mbconv6", "mbconv-1", "mbconv1e9", "mbconv" + "9" * 400, "ds", "identity", "resnet50", "y" * 5000,
]  # fmt: skip
SCALARS = st.sampled_from([*NUMBERS, *TEXTS, None, True, False])
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.sampled_from(["a", "schema", "name", "op", ""]), SCALARS, max_size=3),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.builds(lambda n: list(range(n)), st.sampled_from([0, 1, 100, 5000])),
    st.builds(lambda n, x: [x] * n, st.sampled_from([1, 1000, 20000]), SCALARS),
    st.builds(lambda n: json.loads("[" * n + "]" * n), st.sampled_from([1, 40, 100, 300])),
    st.builds(lambda n: {f"k{i}": i for i in range(n)}, st.sampled_from([0, 1, 3000])),
)
SNIPPETS = [
    "0x_", "0b_", "0_", "-_", "._", "-._", "0o8", "1:99:99", "190:20:30.15", "1:" * 3000 + "1", "9" * 5000, "0x" + "f" * 5000,
    "2024-13-45", "2024-02-30", "0000-00-00", "2001-12-14t21:59:43.10-99:99", "2001-01-01 00:00:00 +25:00",
    "2001-01-01 24:61:61", "!!timestamp x", "!!int ''", "!!int x", "!!float ''", "!!float x", "!!bool x", "!!null x",
    "!!binary 'é'", "!!binary x", "!!set {a, b}", "!!omap [a]", "!!omap [{a: 1}]", "!!pairs [a]", "!!str [a]", "!!map x",
    "!!seq x", "!!python/name:os.system x", "!x y", "&a [*a]", "&a {a: *a}", "&a {<<: *a}", "{<<: 1}", "{<<: [1]}", "{=: 1}",
    "*a", "&a x", '"\\ud800"', '"\\udc80"', '"\\x00"', '"\\U0010ffff"', "? [a]\n: b", "{[a]: b}", "{{a: b}: c}", "{1: a}",
    "{null: a}", "{.nan: a}", "{true: a}", ".inf", ".nan", "-.inf", "~", "", "- - - a", "|\n  x", ">\n  x", "'", '"', "[", "{",
    "]", "@", "`", "%", "\t", "---", "...", "--- a", "# x", "!", "&", "*", "1e999", "-1e999", "1e-999", "1" * 400, "+12e03",
    "&a " + "[" + "x," * 9 + "x]",
]  # fmt: skip
BOMB = "&a [x,x,x,x,x,x,x,x,x,x]"


def places(value, at=()):
    """The paths of all values in a document."""
    yield at
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*at, key))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from places(value[index], (*at, index))


def put(document, at, value):
    """The document with another value at a path."""
    if not at:
        return value
    document = copy.deepcopy(document)
    inside = document
    for key in at[:-1]:
        inside = inside[key]
    inside[at[-1]] = value
    return document


@st.composite
def odd_documents(draw, valid):
    """A valid document with one to three changes, as bytes."""
    document = draw(st.sampled_from(valid))
    marks = {}
    for number in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from(list(places(document))))
        kind = draw(st.sampled_from(["value", "value", "snippet", "remove", "add", "repeat", "alias"]))
        if kind == "snippet" or kind == "alias":
            mark = f"MARK{number}MARK"
            document = put(document, at, mark)
            marks[mark] = draw(st.sampled_from(SNIPPETS)) if kind == "snippet" else bomb(draw)
        elif kind == "remove" and at:
            document = copy.deepcopy(document)
            inside = document
            for key in at[:-1]:
                inside = inside[key]
            del inside[at[-1]]
        elif kind == "repeat" and at:
            inside = document
            for key in at[:-1]:
                inside = inside[key]
            if isinstance(inside, list):
                more = [copy.deepcopy(inside[at[-1]]) for _ in range(draw(st.sampled_from([1, 30, 2000])))]
                document = put(document, at[:-1], inside + more)
        elif kind == "add":
            inside = document
            for key in at:
                inside = inside[key]
            if isinstance(inside, dict):
                document = put(document, (*at, draw(st.sampled_from([*TEXTS, 1, None, True]))), draw(VALUES))
        else:
            document = put(document, at, draw(VALUES))
    return written(document, marks, draw(st.booleans()))


def bomb(draw):
    """Aliases of aliases: sequences, or mappings that merge."""
    if draw(st.booleans()):
        rows = ["&a0 [x,x,x,x,x,x,x,x,x,x]"]
        rows += [f"&a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, draw(st.integers(2, 9)))]
        return f"[{', '.join(rows)}]"
    rows = ["&m0 {x: 1, y: 2}"]
    rows += [f"&m{n} {{<<: [{','.join([f'*m{n - 1}'] * 10)}]}}" for n in range(1, draw(st.integers(2, 9)))]
    return f"[{', '.join(rows)}]"


def written(document, marks, as_json):
    """The document's text, with the snippets where their marks are."""
    if as_json:
        text = json.dumps(document, indent=draw_indent(document))
        for mark, snippet in marks.items():
            text = text.replace(f'"{mark}"', snippet)
    else:
        try:
            text = yaml.dump(
                document,
                Dumper=_Dumper,
                sort_keys=False,
                default_flow_style=None if marks else False,
                allow_unicode=True,
            )
        except Exception:  # what YAML can't write
            text = json.dumps(document, default=str)
        for mark, snippet in marks.items():
            text = text.replace(mark, snippet)
    return text.encode("utf-8", "surrogatepass")


def draw_indent(document):
    return 1 if isinstance(document, dict) and len(document) % 2 else None


_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@st.composite
def damaged(draw, content):
    """Bytes with a part cut off, overwritten, repeated or taken out."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        at = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(["flip", "flip", "flip", "cut", "insert", "remove", "long"]))
        if kind == "flip":
            data[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, data[at] ^ 1, data[at] ^ 0x80]))
        elif kind == "cut":
            del data[at:]
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=16))
        elif kind == "remove":
            del data[at : at + draw(st.integers(1, 64))]
        else:
            data[at : at + 4] = draw(
                st.sampled_from([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4, b"\xff\xff\xff\x7f"])
            )
    return bytes(data)


def odd_bytes(valid):
    """Bytes that are nothing, or valid ones damaged."""
    return st.one_of(st.binary(max_size=64), st.sampled_from(valid).flatmap(damaged))
