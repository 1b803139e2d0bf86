"""A real TensorBoard server on a finished run: what its dashboards get from it."""

import io
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from PIL import Image

from nas.report.tags import describe, screens
from nas.report.tensorboard import TensorBoardWriter, write_trial_curves
from nas.search.journal import read_records
from nas.search.trial import make_record
from tests.nas.cluster.local_cluster import free_port
from tests.nas.report.conftest import TRIALS

LABEL = "MACs (the benchmark's count)"
"""Of the cost that the run targets."""


class Server:
    def __init__(self, folder):
        self.port = free_port()
        command = [
            sys.executable,
            "-m",
            "tensorboard.main",
            "--logdir",
            str(folder),
            "--port",
            str(self.port),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def get(self, path, document=None, **query):
        data = None if document is None else json.dumps(document).encode()
        url = f"http://127.0.0.1:{self.port}/data/{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            content = answer.read()
        return (
            json.loads(content) if answer.headers["Content-Type"].startswith("application/json") else content
        )


@pytest.fixture(scope="module")
def server(run):
    server = Server(run.folder)
    deadline = time.monotonic() + 60
    while True:
        try:
            points = server.get("plugin/scalars/scalars", tag="trial/reward", run=".")
            if len(points) == TRIALS:
                break
        except OSError:
            pass
        assert time.monotonic() < deadline
        assert server.process.poll() is None, server.process.stdout.read()
        time.sleep(0.2)
    yield server
    server.process.terminate()
    server.process.communicate()


def test_there_is_one_run_and_one_event_file(server, run):
    assert server.get("runs") == ["."]
    assert len(list(run.folder.rglob("events.out.tfevents.*"))) == 1


def test_every_dashboard_is_active(server):
    plugins = server.get("plugins_listing")
    for name in ("scalars", "custom_scalars", "images", "histograms", "text", "graphs", "hparams"):
        assert plugins[name]["enabled"], name


def test_scalars_have_a_point_for_each_trial(server, run):
    tags = server.get("plugin/scalars/tags")["."]
    for tag in (
        "trial/reward",
        "trial/accuracy",
        "trial/macs",
        "trial/params",
        "failed/trials",
        "best/reward",
    ):
        assert tag in tags
        points = server.get("plugin/scalars/scalars", tag=tag, run=".")
        assert [step for _, step, _ in points] == list(range(1, TRIALS + 1))
    records = read_records(run.folder)
    seen = [value for _, _, value in server.get("plugin/scalars/scalars", tag="trial/reward", run=".")]
    assert seen == pytest.approx([record.reward for record in records], rel=1e-6)
    for tag in ("window/reward", "front/hypervolume", "front/size", "best/benchmark_macs"):
        assert tag in tags
    # of a benchmark's answers, which take no worker and no time, and of a cost that isn't targeted: nothing
    assert not {"trial/seconds", "workers/at_once", "best/macs"} & set(tags)
    area = [value for _, _, value in server.get("plugin/scalars/scalars", tag="front/hypervolume", run=".")]
    assert all(0 < a <= b < 1 for a, b in pairwise(area))


def tags_of(known, kind):
    return known[kind]["runTagInfo"]["."]


def test_every_curve_that_a_search_may_have_says_what_it_is():
    for controller in ("ppo", "predictor", "nsga2", "random"):
        for charts in screens(controller, ["macs", "latency", "params", "inference_memory"], True).values():
            for tags in charts.values():
                assert all(describe(tag) for tag in tags)
    assert describe("best/latency").startswith("latency, ms: ")
    assert describe("unknown/tag") == ""


def test_the_first_screen_says_what_matters(server):
    layout = server.get("plugin/custom_scalars/layout")
    titles = [category["title"] for category in layout["category"]]
    assert titles[0] == "search"
    charts = {chart["title"] for chart in layout["category"][titles.index("search")]["chart"]}
    assert "reward: best and average" in charts
    assert titles == ["search"]  # nothing of workers where there are none
    # the dashboard that opens shows groups by the alphabet
    known = server.get("plugin/timeseries/tags")
    groups = sorted({tag.split("/")[0] for kind in ("scalars", "histograms") for tag in tags_of(known, kind)})
    assert groups[:3] == ["best", "failed", "front"]
    assert {tag for tag in tags_of(known, "scalars") if tag.startswith("best/")} == {
        "best/reward",
        "best/accuracy",
        "best/benchmark_macs",
    }
    for tag in tags_of(known, "scalars"):
        about = known["scalars"]["tagDescriptions"][tag]
        assert re.search("no unit|fraction|count|seconds", about), tag
    shown = server.get("plugin/custom_scalars/scalars", tag="best/reward", run=".")
    assert shown["regex_valid"]
    assert len(shown["tag_to_events"]["best/reward"]) == TRIALS


def test_images_are_pictures(server):
    tags = server.get("plugin/images/tags")["."]
    assert set(tags) == {"front/picture", "shares/all", "network/best"}
    for tag in tags:
        (image, *_) = server.get("plugin/images/images", tag=tag, run=".", sample=0)
        assert image["step"] == TRIALS
        query = dict(urllib.parse.parse_qsl(image["query"]))
        picture = Image.open(io.BytesIO(server.get("plugin/images/individualImage", **query)))
        assert picture.format == "PNG"
        assert min(picture.size) > 250


def test_the_hparams_table_lists_every_trial(server, run):
    experiment = server.get("plugin/hparams/experiment", {"hparamsLimit": 0, "includeMetrics": True})
    decisions = {decision.name for decision in run.space.decisions if len(decision.choices) > 1}
    assert decisions <= {info["name"] for info in experiment["hparamInfos"]}
    reward = {"metric": {"tag": "reward", "group": ""}}
    query = {
        "startIndex": 0,
        "sliceSize": 1000,
        "allowedStatuses": ["STATUS_SUCCESS", "STATUS_FAILURE"],
        "colParams": [reward | {"order": "ORDER_DESC"}],
    }
    groups = server.get("plugin/hparams/session_groups", query)
    assert groups["totalSize"] == len(groups["sessionGroups"]) == TRIALS
    records = {f"trial {record.trial:06d}": record for record in read_records(run.folder)}
    rewards = []
    for group in groups["sessionGroups"]:
        record = records[group["name"]]
        assert {k: float(v) if isinstance(v, int) else v for k, v in record.choices.items()} == group[
            "hparams"
        ]
        values = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
        assert values["reward"] == pytest.approx(record.reward)
        assert values["MACs"] == record.macs
        assert values[LABEL] == record.costs["benchmark_macs"]
        rewards.append(values["reward"])
    assert rewards == sorted(rewards, reverse=True)

    kernel = {"hparam": "stage0.kernel", "filterDiscrete": [5.0]}
    fewer = server.get("plugin/hparams/session_groups", query | {"colParams": [kernel]})
    wanted = [record for record in records.values() if record.choices["stage0.kernel"] == 5]
    assert 0 < fewer["totalSize"] == len(wanted) < TRIALS


def test_graph_text_histograms_and_projector(server, run):
    graphs = server.get("plugin/graphs/info")["."]
    assert graphs["run_graph"]
    graph = server.get("plugin/graphs/graph", run=".", conceptual="false").decode()
    best = run.spec(run.results(read_records(run.folder)).best)
    for index, stage in enumerate(best.stages):
        assert f'name: "stage{index}/block{stage.repeats - 1}/' in graph
        assert f'name: "stage{index}/block{stage.repeats}/' not in graph
    texts = server.get("plugin/text/tags")["."]
    (text,) = server.get("plugin/text/text", tag=texts[0], run=".")
    best = max(read_records(run.folder), key=lambda record: record.reward)
    assert f"{best.reward:.4f}" in text["text"]
    assert len(re.findall("<tr>", text["text"])) == 11  # ten and the head
    assert "shares/stage0.kernel" in server.get("plugin/histograms/tags")["."]
    (projected,) = server.get("plugin/projector/runs")
    (tensor,) = server.get("plugin/projector/info", run=projected)["embeddings"]
    assert tensor["tensorShape"][0] == TRIALS
    metadata = server.get("plugin/projector/metadata", run=projected, name=tensor["tensorName"]).decode()
    assert metadata.splitlines()[0].split("\t") == ["trial", "reward", "accuracy", LABEL]
    assert len(metadata.splitlines()) == TRIALS + 1


def test_a_resumed_writer_draws_the_same_curves(run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from nas.runs.folder import Run

    shutil.copytree(run.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("events*", "00000"))
    copy, records = Run(tmp_path / "copy", run.settings), read_records(run.folder)
    first = TensorBoardWriter(copy, records[:40])
    for record in records[40:70]:
        first.ended(record)
    first._writer.flush()  # killed here
    second = TensorBoardWriter(copy, records[:70])
    for record in records[70:]:
        second.ended(record)
    second.close()
    drawn = []
    for folder in (copy.folder, run.folder):
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        events.Reload()
        drawn.append({t: events.Scalars(t) for t in events.Tags()["scalars"]})
    assert drawn[0] == drawn[1]  # their wall times too: each trial's own, whenever it is drawn
    ends = [record.started + record.seconds for record in records]
    times = [point.wall_time for point in drawn[0]["trial/reward"]]
    assert times == pytest.approx(list(accumulate(ends, max)))


def test_failures_and_stopped_trials_are_no_best(run, tmp_path):
    from nas.runs.folder import Run

    records = read_records(run.folder)[:12]
    failed = [
        make_record(**vars(r) | {"state": "failed", "reward": None, "accuracy": None, "reason": "no luck"})
        for r in records[:6]
    ]
    (tmp_path / "x").mkdir()
    writer = TensorBoardWriter(Run(tmp_path / "x", run.settings))
    for record in failed:
        writer.ended(record)
    assert writer._results.best is None
    writer.ended(replace(records[6], state="stopped", reward=9.0))
    assert writer._results.best is None
    writer.close()


def test_curves_of_single_trials_on_demand(run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    rows = [{"epoch": e, "accuracy": e / 10, "loss": 1 / e, "seconds": 10.0 * e} for e in (1, 2, 3)]
    record = replace(read_records(run.folder)[0], measurements=rows, started=1e9, seconds=70.0)
    place = write_trial_curves(tmp_path, [record])
    events = EventAccumulator(str(place / f"trial_{record.trial:06d}"))
    events.Reload()
    assert [(p.step, round(p.value, 3)) for p in events.Scalars("epoch/accuracy")] == [
        (1, 0.1),
        (2, 0.2),
        (3, 0.3),
    ]
    assert [p.wall_time for p in events.Scalars("epoch/accuracy")] == [1e9 + 20, 1e9 + 40, 1e9 + 70]
