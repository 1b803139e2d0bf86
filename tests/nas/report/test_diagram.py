"""Diagrams of networks, and what a terminal of 80 columns shows."""

import io
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from controller.base import Proposal
from nas.network.resolve import resolve_spec
from nas.report.diagram import layout, terminal_diagram, to_svg, write_diagram
from nas.report.progress import SearchProgress
from nas.report.tables import difference_tables
from nas.search.trial import Trial, make_record
from search_spaces import InputError, get_space, reference

SVG = "{http://www.w3.org/2000/svg}"


def all_specs(random_specs):
    names = ("efficientnet-b0", "efficientnet-b7", "resnet50", "mobilenet-v1", "mobilenet-v2", "mnasnet-a1")
    return [*map(resolve_spec, names), *random_specs("mnasnet", 15)]


def test_a_box_for_each_block_and_nothing_overlaps(random_specs):
    for spec in all_specs(random_specs):
        drawing = layout(spec)
        assert len(drawing.boxes) == 2 + sum(stage.repeats for stage in spec.stages)
        for left, right in pairwise(drawing.boxes):
            assert left.x + left.width < right.x
        last = drawing.boxes[-1]
        assert last.x + last.width < drawing.width
        centres = [label.x for label in drawing.labels if not label.start and label.text.endswith("px")]
        assert len(centres) == len(spec.stages) + 2
        assert centres == sorted(centres)
        assert all(b - a > 20 for a, b in pairwise(centres))
        for box in drawing.boxes:
            assert box.y > 15
            assert box.y + box.height < 155


def test_svg_is_well_formed_and_speaks():
    root = ET.fromstring(to_svg(reference("efficientnet-b0")))
    assert root.get("role") == "img"
    assert "4 x MBConv6 k5 s2 SE c192" in root.get("aria-label")
    assert len(root.findall(f"{SVG}g")) == 18
    hostile = reference("efficientnet-b0").replace(name="<script>alert(1)</script>")
    assert "<script>" not in to_svg(hostile)


def test_files(tmp_path):
    spec = reference("mnasnet-a1")
    write_diagram(spec, tmp_path / "a.png")
    image = Image.open(tmp_path / "a.png")
    assert image.width > 800
    assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 20
    write_diagram(spec, tmp_path / "a.svg")
    with pytest.raises(InputError, match=r"ends in \.svg or \.png"):
        write_diagram(spec, tmp_path / "a.jpg")


def test_the_terminal_has_a_bar_for_each_block(random_specs):
    lines = terminal_diagram(reference("efficientnet-b0")).plain.splitlines()
    assert lines[1].startswith(" 112 px  ░░░  ")
    assert lines[4].startswith("  14 px  ███ ███ ███  ")
    assert lines[5].startswith("  14 px  █████ █████ █████  ")
    for spec in all_specs(random_specs):
        text = terminal_diagram(spec).plain.splitlines()
        assert len(text) == len(spec.stages) + 3


def test_differences_are_in_words_and_marked():
    first = reference("efficientnet-b0")
    stages = list(first.stages)
    from dataclasses import replace

    stages[2] = replace(stages[2], kernel=3, repeats=4)
    second = first.replace(stages=tuple(stages), resolution=240, name="other")
    console = Console(file=io.StringIO(), width=120)
    for table in difference_tables(first, second):
        console.print(table)
    lines = {line.split("│")[1].strip(): line for line in console.file.getvalue().splitlines() if "│" in line}
    assert "2 x MBConv6 k5 s2 SE c40" in lines["stage2"]
    assert "4 x MBConv6 k3 s2 SE c40" in lines["stage2"]
    assert lines["stage2"].split("│")[4].strip() == "differs"
    assert lines["stage3"].split("│")[4].strip() == ""
    assert lines["input"].split("│")[4].strip() == "differs"


@pytest.fixture
def crowded():
    """A long search with much going on."""
    space = get_space("mnasnet")
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)

    def architecture(seed):
        return space.sample(np.random.default_rng(seed))

    records = []
    for i in range(300):
        a = architecture(i)
        costs = {"macs": 385814752.0, "params": 5e6}
        records.append(
            make_record(
                trial=i, state="finished", architecture=a, choices=space.choices(a), digest="d", seed=1,
                reward=0.5 + i / 1e3, accuracy=0.6543, macs=4e8, costs=costs,
            )
        )  # fmt: skip
    view = SearchProgress(console, 10000, 300, records)
    view._began -= 3600 * 50
    view.ended_count += 5
    view.results.states["failed"] = 1234
    for i in range(64):
        a = architecture(i)
        trial = Trial(Proposal(i + 9000, a), space.decode(a), space.choices(a), {"macs": 385814752.0}, 1)
        view.started(trial)
        view.measured(trial, {"epoch": 123, "accuracy": 0.1234, "images_per_second": 12345.6})
    return view


def test_the_live_table_fits_80_columns(crowded):
    crowded.console.print(crowded.render())
    lines = [line.rstrip() for line in crowded.console.file.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    assert lines[0].endswith("305/10000 trials, 64 running, 1234 failed")
    assert "so far" in lines[1]
    assert len(lines) == 2 + 2 + 1 + 8 + 1  # no line was broken in two
    assert lines[-1].startswith("and 56 more")


def test_no_color_is_respected(crowded, monkeypatch):
    coloured = io.StringIO()
    Console(file=coloured, force_terminal=True, width=80, color_system="truecolor").print(crowded.render())
    monkeypatch.setenv("NO_COLOR", "1")
    plain = io.StringIO()
    Console(file=plain, force_terminal=True, width=80, color_system="truecolor").print(crowded.render())
    assert "\x1b[38" in coloured.getvalue()
    assert "\x1b[38" not in plain.getvalue()
    assert "\x1b[3" not in plain.getvalue().replace("\x1b[3m", "")
