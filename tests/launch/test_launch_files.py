"""Each launch file is what the system that it is for accepts, and what `nas launch` makes."""

import argparse
import contextlib
import copy
import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner
from ray._private.runtime_env.packaging import create_package
from ray.autoscaler._private.util import prepare_config, validate_config

import controller
import nas
import search_spaces
from nas.cli import cli
from nas.launch.job import make_job
from nas.launch.request import Request
from tests.command import refused

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "launch"
SCHEMAS = ROOT.parent / "shared" / "data" / "kuberay"


def invoke(*arguments):
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_autoscaler_file_passes_rays_own_check(name):
    config = yaml.safe_load((LAUNCH / f"{name}.yaml").read_text())
    validate_config(prepare_config(copy.deepcopy(config)))
    for bad in ({"max_workers": "many"}, {"head_node_type": "none"}, {"unknown_key": 1}):
        with pytest.raises((jsonschema.ValidationError, ValueError)):
            validate_config(prepare_config(copy.deepcopy(config) | bad))


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_autoscaler_file_is_safe_and_cheap(name):
    config = yaml.safe_load((LAUNCH / f"{name}.yaml").read_text())
    types = config["available_node_types"]
    head, worker = types[config["head_node_type"]], types["gpu-worker"]
    assert head["resources"]["CPU"] == 0
    assert worker["min_workers"] == 0
    assert "spot" in json.dumps(worker["node_config"]).lower()
    for command in (config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]):
        assert command.startswith("RAY_AUTH_MODE=token ray start")
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][-1]
    if name == "aws":
        ports = config["provider"]["security_group"]["IpPermissions"]
        assert [(rule["FromPort"], rule["ToPort"]) for rule in ports] == [(22, 22)]


def strict(schema):
    """The schema without room for unknown fields: Kubernetes would drop a misspelt one silently."""
    if isinstance(schema, dict):
        schema = {key: strict(value) for key, value in schema.items()}
        listed = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
        if listed and not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
        return schema
    return [strict(item) for item in schema] if isinstance(schema, list) else schema


@cache
def kuberay_schema(kind):
    path = SCHEMAS / f"ray.io_{kind}.yaml.gz"
    if not path.is_file():
        pytest.skip(f"KubeRay's resource definitions are not at {SCHEMAS}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 25,000 lines
    definition = yaml.load(gzip.decompress(path.read_bytes()), Loader=loader)
    (version,) = (v for v in definition["spec"]["versions"] if v["name"] == "v1")
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"]["metadata"] = {"type": "object", "properties": {"name": {"type": "string"}}}
    return strict(schema)


@pytest.mark.parametrize(
    ("name", "kind"), [("kuberay-rayjob", "rayjobs"), ("kuberay-raycluster", "rayclusters")]
)
def test_kuberay_files_keep_to_the_resource_definition(name, kind):
    validator = jsonschema.Draft202012Validator(kuberay_schema(kind))
    document = yaml.safe_load((LAUNCH / f"{name}.yaml").read_text())
    assert not [f"{list(e.path)}: {e.message}" for e in validator.iter_errors(document)]
    misspelt = copy.deepcopy(document)
    misspelt["spec"]["workerGroupSpecz"] = []
    assert list(validator.iter_errors(misspelt))


@pytest.mark.parametrize(
    "options", [["--gpus", "0"], ["--env", "A=b c"], ["--workers", "9", "--name", "x-1"]]
)
def test_what_launch_prints_for_kuberay_keeps_to_it_too(options):
    validator = jsonschema.Draft202012Validator(kuberay_schema("rayjobs"))
    printed = invoke(
        "launch",
        "--to",
        "kuberay",
        "--dry-run",
        *options,
        "--",
        "search",
        "--out",
        "runs/x",
        "--storage",
        "s3://b/runs",
    ).stdout
    assert not list(validator.iter_errors(yaml.safe_load(printed)))


@pytest.mark.parametrize(
    ("options", "words", "added"),
    [
        ([], [], "--or-resume --gpus-per-trial 1 --autoscaling --concurrent 4"),
        (
            ["--gpus", "2", "--workers", "3"],
            ["--or-resume"],
            "--gpus-per-trial 1 --autoscaling --concurrent 6",
        ),
        ([], ["--gpus-per-trial", "0.25", "--or-resume"], "--autoscaling --concurrent 16"),
        (["--gpus", "0"], ["--cpus-per-trial", "4"], "--or-resume --autoscaling --concurrent 8"),
        ([], ["--concurrent", "2", "--gpus-per-trial", "1"], "--or-resume --autoscaling"),
        ([], ["--evaluator", "benchmark"], "--or-resume"),
    ],
)
def test_a_search_on_kuberay_gets_what_it_cannot_do_without(options, words, added):
    """No worker is up when it starts, and the head has no CPU for a trial."""
    command = ["search", "--out", "runs/x", "--storage", "s3://b/runs", *words]
    printed = invoke("launch", "--to", "kuberay", "--dry-run", *options, "--", *command)
    assert printed.exit_code == 0, printed.output
    entrypoint = yaml.safe_load(printed.stdout)["spec"]["entrypoint"]
    assert entrypoint == " ".join(["nas", *command, added, "--address", "auto"])
    assert f"added, for pods that come and go: {added}" in printed.stderr


@pytest.mark.parametrize("name", ["kuberay-rayjob.yaml", "kuberay-raycluster.yaml", "slurm.sbatch"])
def test_files_are_what_launch_prints(name):
    text = (LAUNCH / name).read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("# nas launch ")]
    printed = invoke(*shlex.split(line.removeprefix("# nas ")))
    assert printed.exit_code == 0
    assert text.replace(f"{line}\n", "") == printed.stdout


@pytest.mark.parametrize("name", ["local-cluster", "slurm.sbatch"])
def test_shell_scripts_pass_shellcheck(name):
    beside = Path(sys.executable).parent / "shellcheck"
    command = str(beside) if beside.exists() else shutil.which("shellcheck")
    if command is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([command, str(LAUNCH / name)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", [nas, controller, search_spaces])
def test_the_package_travels_whole_with_a_job(package, tmp_path):
    """As Ray packs it: an installed copy on this machine would hide what is missing."""
    tree = tmp_path / "tree"
    for run in ("runs/mine", ".venv/bin"):
        (tree / run).mkdir(parents=True)
        (tree / run / "large").write_text("x")
    (tree / "own.py").write_text("x")
    request = Request(("search",), "runs/mine", "x")
    environment = make_job(request, str(tree)).runtime_env

    def packed(folder):
        name = tmp_path / "packed.zip"
        create_package(
            str(folder), name, include_gitignore=True, include_parent_dir=False,
            excludes=environment["excludes"],
        )  # fmt: skip
        with zipfile.ZipFile(name) as archive:
            name.unlink()
            return {file for file in archive.namelist() if not file.endswith("/")}

    folder = Path(package.__file__).parent
    assert str(folder) in environment["py_modules"]
    expected = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {name for name in expected if "__pycache__" not in name} <= packed(folder)
    assert packed(tree) == {"own.py"}


FAKE_RAY = """#!/usr/bin/env bash
[[ $1 == start ]] || exit 0
[[ $* != *"--head"* && $FAKE_NODE == ends ]] && exit 3
[[ $* != *"--head"* && $FAKE_NODE == hangs ]] || echo "Ray runtime started"
sleep 9371 &
sleep 9372
"""


@pytest.mark.parametrize(("node", "message"), [("ends", "node1 did not start"), ("hangs", "did not start")])
def test_a_local_cluster_that_does_not_start_leaves_nothing(node, message, tmp_path):
    """Neither processes nor files, so that the next start isn't told of a cluster that is there already."""
    ray, folder, scratch = tmp_path / "bin/ray", tmp_path / "cluster", tmp_path / "t"
    ray.parent.mkdir()
    scratch.mkdir()
    ray.write_text(FAKE_RAY)
    ray.chmod(0o755)
    environment = os.environ | {
        "LOCAL_CLUSTER_DIR": str(folder), "RAY": str(ray), "RAY_AUTH_MODE": "disabled",
        "TMPDIR": str(scratch), "FAKE_NODE": node,
        # an end is noticed at once; on a busy machine the head itself may take more than a second
        "LOCAL_CLUSTER_WAIT": "1" if node == "hangs" else "30",
    }  # fmt: skip
    done = subprocess.run(
        [str(LAUNCH / "local-cluster"), "start"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert not folder.exists()
    assert not list(scratch.iterdir())
    left = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"LOCAL_CLUSTER_DIR={folder}".encode() in path.read_bytes():
                left.append((path.parent / "cmdline").read_bytes())
    assert not left


def test_sbatch_flags_are_slurms():
    """What sbatch(1) takes, each with a value of its kind."""
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    for flag in ("job-name", "output", "signal", "time", "partition"):
        parser.add_argument(f"--{flag}", required=flag in ("job-name", "time"))
    for flag in ("nodes", "ntasks-per-node", "cpus-per-task", "gpus-per-node"):
        parser.add_argument(f"--{flag}", type=int)
    parser.add_argument("--mem", type=lambda text: int(text.removesuffix("G")))
    parser.add_argument("--requeue", action="store_true")
    lines = (LAUNCH / "slurm.sbatch").read_text().splitlines()
    flags = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]
    # Slurm reads no flags behind the first command
    first_command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert max(i for i, line in enumerate(lines) if line.startswith("#SBATCH")) < first_command
    found = parser.parse_args(flags)
    assert (found.nodes, found.gpus_per_node, found.mem) == (4, 1, 32)
    hours, minutes, seconds = map(int, found.time.split(":"))
    assert (hours, minutes, seconds) == (24, 0, 0)
    assert found.signal == "B:TERM@120"
    with pytest.raises(argparse.ArgumentError):
        parser.parse_args(["--nodes=many"])


def test_a_job_is_shown_exactly(tmp_path):
    printed = invoke(
        "launch", "--to", "job", "--dry-run", "--working-dir", str(tmp_path), "--",
        "search", "--trials", "3", "--out", "runs/x y",
    )  # fmt: skip
    document = json.loads(printed.stdout)
    assert document["entrypoint"].startswith(
        "python -m nas search --trials 3 --out 'runs/x y' --address auto; "
    )
    assert document["runtime_env"]["working_dir"] == str(tmp_path)
    names = {Path(path).name for path in document["runtime_env"]["py_modules"]}
    assert names == {"nas", "controller", "search_spaces"}
    assert ".venv" in document["runtime_env"]["excludes"]


@pytest.mark.parametrize(
    ("command", "ending"),
    [
        (["resume", "--trials", "9", "runs/first"], "nas resume --trials 9 runs/first --address"),
        (["resume", "s3://b/first"], "nas resume s3://b/first --out runs/first --address"),
        (["search", "--out=x"], "nas search --out=x --address"),
    ],
)
def test_the_run_folder_is_known(command, ending):
    printed = invoke("launch", "--to", "slurm", "--dry-run", "--", *command)
    assert printed.exit_code == 0
    assert f"\n{ending}" in printed.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "yarn", "--", "search"], "to 'yarn'"),
        ([], "to: expected job, kuberay or slurm; or --files DIR"),
        (["--to", "job"], "command ''"),
        (["--to", "job", "--", "serch"], "did you mean 'search'"),
        (["--to", "job", "--", "search", "--address", "1.2.3.4:5"], "leave it out"),
        (["--to", "job", "--", "search", "--trails", "5"], "--trails"),
        (["--to", "job", "--working-dir", "/nowhere", "--", "search"], "no such folder"),
        (["--to", "job", "--address", "http://127.0.0.1:1", "--", "search"], "no Ray job server"),
        (["--to", "slurm", "--workers", "0", "--", "search"], "workers 0"),
        (["--to", "slurm", "--hours", "0", "--", "search"], "hours 0"),
        (["--to", "kuberay", "--name", "Upper", "--", "search"], "name 'Upper'"),
        (["--to", "kuberay", "--", "search"], "the run would go with its pods; add --storage"),
        (
            ["--to", "kuberay", "--", "search", "--storage", "/mnt/runs"],
            "storage '/mnt/runs': the run would go",
        ),
        (["--to", "kuberay", "--", "resume", "runs/first"], "no pod has the folder"),
        (
            [
                "--to",
                "kuberay",
                "--gpus",
                "0",
                "--",
                "search",
                "--storage",
                "s3://b/r",
                "--gpus-per-trial",
                "1",
            ],
            "a worker of 8 CPUs and 0 GPUs has no room for a trial of 1 CPUs and 1 GPUs",
        ),
        (
            ["--to", "kuberay", "--", "search", "--storage", "s3://b/r", "--cpus-per-trial", "0"],
            "cpus-per-trial 0",
        ),
        (["--to", "slurm", "--cluster-only"], "only with --to kuberay"),
        (["--to", "kuberay", "--cluster-only", "--", "search"], "takes no command"),
        (["--to", "kuberay", "--ray-version", "new", "--", "search"], "ray-version 'new'"),
        (["--to", "job", "--", "resume", "--trials", "9", "runs/first"], "doesn't travel"),
        (["--to", "slurm", "--", "resume"], "RUN"),
    ],
)
def test_bad_launches_are_refused(arguments, message, monkeypatch, capsys, tmp_path):
    refused(["launch", *arguments], message, monkeypatch, capsys, tmp_path)
