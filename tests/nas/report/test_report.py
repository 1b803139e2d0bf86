"""The HTML report: complete, self-contained, and the same in a browser of any width."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pytest

from nas.report.diagram import to_svg
from nas.report.html import write_report
from nas.report.importance import importances, least_trials
from nas.search.journal import read_records
from search_spaces import reference
from search_spaces.decision import Decision
from search_spaces.errors import InputError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(run, read_records(run.folder), path)
    return path


def test_it_says_everything(page, run):
    text, records = page.read_text(), read_records(run.folder)
    best = max(records, key=lambda record: record.reward)
    for heading in (
        "The best network",
        "Progress",
        "The top 10",
        "What matters",
        "The scaled family",
        "again",
    ):
        assert heading in text
    for piece in (
        f"{best.reward:.4f}",
        f"trial {best.trial}",
        "phi 7",
        run.settings.evaluator.surrogate_digest,
    ):
        assert piece in text
    assert text.count("<circle class=") > 2 * len(records) - 10
    for svg in re.findall(r"<svg[^>]*>", text):
        assert 'role="img"' in svg
        assert len(re.search(r'aria-label="([^"]*)"', svg)[1]) > 40


def test_nothing_comes_from_elsewhere_and_tags_are_balanced(page):
    text = page.read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert "default-src 'none'" in text

    class Balance(HTMLParser):
        open = ()

        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "link", "br"):
                self.open = (*self.open, tag)

        def handle_endtag(self, tag):
            assert self.open[-1] == tag
            self.open = self.open[:-1]

    parser = Balance()
    parser.feed(text)
    assert parser.open == ()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize(("width", "dark"), [(375, False), (1440, True)])
def test_in_a_browser(page, tmp_path, width, dark):
    # a window has at least 500 px, a frame doesn't
    probe = (
        "<script>addEventListener('load',()=>{document.querySelectorAll('details').forEach(d=>d.open=true);"
        # a table that is wider than its frame is clipped
        "const clipped=[...document.querySelectorAll('.wide')].filter("
        "w=>w.querySelector('table')&&w.scrollWidth>w.clientWidth+1);"
        "parent.postMessage([document.documentElement.scrollWidth,innerWidth,clipped.length,"
        "getComputedStyle(document.body).backgroundColor.replaceAll(' ',''),"
        "performance.getEntriesByType('resource').length].join(' '),'*')})</script>"
    )
    (tmp_path / "page.html").write_text(page.read_text().replace("</body>", f"{probe}</body>"))
    path = tmp_path / "frame.html"
    path.write_text(
        "<script>addEventListener('message',e=>{document.title=e.data})</script>"
        f'<iframe src="page.html" width="{width}" height="900" style="border:0"></iframe>'
    )
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    command += ["--window-size=1500,900", "--enable-logging=stderr", "--dump-dom", f"file://{path}"]
    command += ["--virtual-time-budget=5000", *(["--force-dark-mode"] if dark else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert "CONSOLE" not in done.stderr
    content, inner, clipped, paper, resources = re.search("<title>(.*?)</title>", done.stdout)[1].split(" ")
    assert int(inner) == width
    assert int(content) <= width  # what is wider scrolls in its own frame
    assert int(clipped) == 0
    assert paper == ("rgb(21,24,28)" if dark else "rgb(255,255,255)")
    assert resources == "0"


def test_a_run_without_results_has_no_report(run, tmp_path):
    with pytest.raises(InputError, match="nothing to report"):
        write_report(run, [], tmp_path / "report.html")


@dataclass
class Seen:
    """Of a trial what counts here."""

    architecture: tuple
    accuracy: float
    costs: dict
    state: str = "finished"
    choices: tuple = ("a", "b", "c")


def test_importance_divides_the_credit():
    """Two decisions chosen together: the one that does nothing gets (nearly) nothing."""
    rng = np.random.default_rng(0)
    records = []
    for _ in range(400):
        a = int(rng.integers(2))
        b = a if rng.random() < 0.8 else 1 - a
        records.append(Seen((a, b, 0), 0.5 + 0.1 * a + 0.001 * rng.normal(), {"macs": 1e8 + 5e7 * b}))
    decisions = [Decision("a", (3, 5)), Decision("b", ("x", "y")), Decision("c", (1,))]
    first, second = importances(records, decisions)
    assert (first.decision, second.decision) == ("a", "b")
    assert first.accuracy_span == pytest.approx(0.1, abs=0.005)
    assert second.accuracy_span < 0.005
    assert second.cost_span == pytest.approx(5e7, rel=0.05)
    assert first.cost_span < 5e6
    assert first.told
    assert first.interval[0] < first.accuracy_span < first.interval[1]
    assert first.interval[1] - first.interval[0] < 0.002
    assert importances(records[:29], decisions) == []
    assert len(importances(records[:30], decisions)) == 2


def test_what_chance_made_is_not_told():
    """Accuracies that no choice moves: about one interval in twenty is above 0, not each."""
    decisions = [Decision(f"d{i}", (1, 2)) for i in range(20)]
    rng = np.random.default_rng(1)
    records = [
        Seen(tuple(row), float(rng.normal(0.5, 0.01)), {"macs": 1.0}, choices={f"d{i}": 0 for i in range(20)})
        for row in rng.integers(0, 2, (200, 20))
    ]
    found = importances(records, decisions)
    assert len(found) == 20
    # the worse choice is known from these very trials, so the lower ends lie higher than they should
    assert sum(item.told for item in found) <= 5
    assert least_trials(records, decisions) == 60
    assert importances(records[:59], decisions) == []


def test_few_trials_tell_nothing_and_it_is_said(run, tmp_path):
    write_report(run, read_records(run.folder)[:40], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert re.search(r"Not told by 40 finished trials: .* this report wants \d+", text)
    assert "95% interval" not in text


def test_its_tiles_say_what_was_sought(page):
    tiles = dict(re.findall(r"<div><span class=faint>([^<]*)</span><b>([^<]*)</b>", page.read_text()))
    assert tiles["target MACs (the benchmark&#x27;s count)"] == "400M"
    assert tiles["exponent"] == "-0.07"


def test_a_picture_by_itself_has_its_own_paper():
    saved, inside = (to_svg(reference("mobilenet-v2"), standalone=alone) for alone in (True, False))
    assert 'class="paper"' in saved
    assert "prefers-color-scheme:dark" in saved
    assert "color-scheme:light dark" in saved
    assert "paper" not in inside
