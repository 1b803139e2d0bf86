"""`nas show` of a folder of runs."""

import json
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from nas.api_runs import open_all
from nas.runs.folder import Run
from nas.runs.several import find_runs
from search_spaces.errors import InputError
from tests.command import nas


@pytest.fixture
def runs(tmp_path, finished_run):
    """Three runs: two that differ in their seed, one of another reward, and one that can't be read."""
    for name in ("b", "a", "deep/er/c"):
        shutil.copytree(finished_run.folder, tmp_path / name)
    for name, old, new in (
        ("a", "seed: 0", "seed: 5"),
        ("deep/er/c", "macs: 400000000.0", "macs: 1000000.0"),
    ):
        path = tmp_path / name / "search.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        (tmp_path / name / "basis.yaml").unlink(missing_ok=True)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "search.yaml").write_text("schema: 99\n")
    shutil.copytree(finished_run.folder, tmp_path / "a" / "exponent" / "part")  # no run of its own
    return tmp_path


def document(*arguments):
    done = nas("show", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_run_is_a_line_whatever_is_wrong_with_one(runs):
    shown = document(runs)
    assert [run["name"] for run in shown["runs"]] == ["a", "b", "broken", "deep/er/c"]
    states = [run["state"] for run in shown["runs"]]
    assert states == ["done", "done", "unreadable", "done"]
    assert "schema 99" in shown["runs"][2]["reason"]
    assert shown["differences"] == {"reward.targets.macs": [4e8, 4e8, 1e6], "seed": [5, 0, 0]}
    done = nas("show", runs)
    assert done.returncode == 0
    assert "Settings that differ" in done.stdout
    assert "8/8" in done.stdout


def test_a_line_has_the_best_by_the_runs_own_target(runs):
    shown = {run["name"]: run for run in document(runs)["runs"]}
    run = Run.open(runs / "deep/er/c")
    best = run.results(run.records()).best
    assert (shown["deep/er/c"]["reward"], shown["deep/er/c"]["accuracy"]) == (best.reward, best.accuracy)
    assert shown["deep/er/c"]["costs"] == {"macs": best.costs["macs"]}
    assert shown["deep/er/c"]["reward"] != shown["b"]["reward"]


def test_sorted_the_best_come_first_and_those_without_a_result_last(runs):
    for order, sign in (("reward", -1), ("accuracy", -1), ("trials", -1), ("cost", 1)):
        shown = document(runs, "--sort", order)["runs"]
        key = (lambda run: run["costs"]["macs"]) if order == "cost" else (lambda run, o=order: run[o])
        values = [sign * key(run) for run in shown if run["state"] != "unreadable"]
        assert values == sorted(values)
        assert shown[-1]["name"] == "broken"
    refused = nas("show", runs, "--sort", "size")
    assert refused.returncode == 2
    assert "unknown sort 'size'" in refused.stderr


def test_one_that_runs_says_so(runs):
    with Run.open(runs / "b").journal():
        assert next(run for run in document(runs)["runs"] if run["name"] == "b")["state"] == "running"
    assert next(run for run in document(runs)["runs"] if run["name"] == "b")["state"] == "done"


def test_a_name_that_no_folder_has_is_no_folder(runs):
    assert find_runs(runs / "nothing") == []
    assert nas("show", str(runs / "broken" / "nothing")).returncode == 2


class Rows(HTMLParser):
    """The cells of each row of a page's first table, and what links lead to."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.links, self._tables = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._tables += tag == "table"
        if self._tables == 1 and tag == "tr":
            self.rows.append([])
        if self._tables == 1 and tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "a":
            self.links.append(dict(attributes)["href"])

    def handle_data(self, data):
        if self._tables == 1 and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_all_in_one_report(runs):
    assert nas("report", runs / "a").returncode == 0
    done = nas("report", runs)
    assert done.returncode == 0, done.stderr
    text = (runs / "report.html").read_text()
    page = Rows(text)
    assert len({len(row) for row in page.rows}) == 1  # so that any column can be sorted by
    assert [row[0] for row in page.rows] == ["run", "a", "b", "broken", "deep/er/c"]
    shown = {run["name"]: run for run in document(runs)["runs"]}
    assert page.rows[1][4] == f"{shown['a']['accuracy']:.4f}"
    assert "schema 99" in page.rows[3][1]
    assert page.links == ["a/report.html"]
    assert "reward.targets.macs" in text
    assert "Without a finished trial, not drawn: broken." in text
    refused = nas("report", runs / "broken" / "nothing")
    assert (refused.returncode, "nor runs below it" in refused.stderr) == (2, True)


def test_fronts_over_each_other(runs):
    for name in ("fronts.svg", "fronts.png"):
        done = nas("show", runs, "--fronts", runs / name)
        assert done.returncode == 0, done.stderr
    assert (runs / "fronts.png").read_bytes().startswith(b"\x89PNG")
    svg = ET.parse(runs / "fronts.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    labels = [text.text for text in svg.iter(f"{space}text") if "name" in text.get("class")]
    assert labels == ["a", "b", "deep/er/c"]
    assert "prefers-color-scheme:dark" in svg.find(f"{space}style").text
    run = Run.open(runs / "a")
    results = run.results(run.records())
    dots = [c for c in svg.iter(f"{space}circle") if c.get("class").startswith("run0 ")]
    titles = [dot.find(f"{space}title").text for dot in dots]
    assert len(titles) == len(results.front)
    assert all(any(f"trial {r.trial}\n" in title for title in titles) for r in results.front)
    refused = nas("show", runs, "--fronts", runs / "fronts.gif")
    assert (refused.returncode, "fronts" in refused.stderr) == (2, True)


def test_from_python(runs):
    pytest.importorskip("pandas")
    found = open_all(runs)
    assert len(found) == 4
    assert [run.folder.name for run in found] == ["a", "b", "c"]
    table = found.table(sort="reward")
    assert sorted(table.index) == ["a", "b", "broken", "deep/er/c"]
    assert table.index[-1] == "broken"
    assert table.loc["deep/er/c", "target_macs"] == 1e6
    assert table.loc["a", "macs"] == found["a"].best.costs["macs"]
    assert "schema 99" in table.loc["broken", "reason"]
    differences = found.differences()
    assert list(differences.loc["seed"]) == [5, 0, 0]
    axes = found.plot().axes[0]
    assert len(axes.get_legend().get_texts()) == 3
    assert found.report(runs / "all.html").is_file()
    with pytest.raises(InputError, match="unknown run 'd'"):
        found["d"]
    with pytest.raises(InputError, match="schema 99"):
        found["broken"]
    with pytest.raises(InputError, match="no runs there"):
        open_all(runs / "nothing")
