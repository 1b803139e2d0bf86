"""Every command has `--json`: one document on stdout, and nothing else there."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from nas.cli import _COMMANDS
from nas.commands.proxy import _report
from nas.search.ranking import RankingSheet
from nas.studies.proxy_design import Variance
from nas.studies.proxy_study import ProxyResult
from search_spaces import reference
from tests.nas.commands.test_options import SURROGATE
from tests.nas.studies.test_proxy_design import tried

WORDS = {
    "search": [],
    "rediscover": ["--trials", "9", "--benchmark-data", SURROGATE],
    "compare": [],
    "plan": ["--trials", "20", "--workers", "3", "--controller", "random"],
    "data": ["accel-nasbench", "--out", "x.gz"],
    "show": ["run"],
    "report": ["run"],
    "cost": ["resnet50"],
    "latency": ["resnet50"],
    "scale": ["efficientnet-b0", "--phi", "1"],
    "export": ["resnet50", "--to", "yaml", "--out", "x.yaml"],
    "import": ["--from", "timm:a", "--out", "x.yaml"],
    "space": ["mnasnet"],
    "launch": ["--files", "x"],
    "status": ["run"],
    "logs": ["1", "run"],
    "tensorboard": ["run"],
}
ELSEWHERE = {
    "start": "tests/nas/test_start.py",
    "finalists": "tests/nas/studies/test_finalists.py",
    "resume": "tests/nas/test_cli.py",
    "train": "tests/nas/test_cli.py",
    "proxy": "tests/nas/commands/test_json.py",
    "benchmark": "tests/nas/studies/test_run_benchmark.py",
    "supernet": "tests/nas/supernet/test_supernet_command.py",
    "predict": "tests/nas/training/test_predict.py",
    "push": "tests/nas/export/test_hub.py",
}
"""They need a cluster or a trained network."""


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_has_the_option(name):
    module, attribute = _COMMANDS[name]
    command = getattr(importlib.import_module(module), attribute)
    (option,) = [p for p in command.params if isinstance(p, click.Option) and "--json" in p.opts]
    assert option.is_flag


def test_every_command_is_tried():
    assert set(WORDS) | set(ELSEWHERE) == set(_COMMANDS)
    assert not set(WORDS) & set(ELSEWHERE)
    for name, file in ELSEWHERE.items():
        text = (Path(__file__).parents[3] / file).read_text()
        assert f'"{name}"' in text
        assert '"--json"' in text


@pytest.mark.parametrize("name", WORDS)
def test_one_document_is_printed(name, observe):
    _, printed, _ = observe([name, *WORDS[name], "--json"])
    assert isinstance(json.loads(printed), dict | list)


def test_what_would_be_submitted_is_a_document_itself(observe):
    _, printed, _ = observe(
        ["launch", "--dry-run", "--to", "job", "--working-dir", "", "--", "search", "--out", "x"]
    )
    assert json.loads(printed)["entrypoint"]


def test_the_document_of_a_proxy_study(capsys):
    networks = {"a": reference("mobilenet-v2")}
    one, spread = tried(3, 0.8, 0.1), Variance(0.01, 0.02, 0.8, 2)
    study = SimpleNamespace(tau=0.7, networks=networks)
    sheet = RankingSheet([], "long trainings", 1, 0, {}, [])
    _report(Path("p"), study, ProxyResult({"a": 0.5}, [one], one, None, spread, sheet), as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["recommended"] is None
    assert document["long"][0]["held_out_accuracy"] == 0.5
