"""For each option of each command: it acts, or it is refused where it would not.

`ACTS` says where it acts: the command with the option does something else than the command without it.
`REFUSED` says where it would do nothing: there the command refuses it by name. Every option of every
command must be in `ACTS`, so that a new one is thought about.
"""

import importlib
from pathlib import Path

import click
import pytest

import nas
from nas.cli import _COMMANDS

ELSEWHERE = {"start", "train", "resume", "predict", "push"}
"""Commands whose options have tests of their own."""

SURROGATE = str(Path(nas.__file__).parent / "benchmark" / "surrogate.npz")
BENCHMARK = ["--evaluator", "benchmark"]
SUPERNET = ["--evaluator", "supernet", "--supernet", "x.pt"]
CONVERGED = ["--until", "converged"]
PLAN = ["--trials", "20", "--workers", "3", "--controller", "random"]
PHI = ["efficientnet-b0", "--phi", "1"]
GRID = ["efficientnet-b0", "--search", "--grid-step", "0.5", "--tolerance", "0.2"]
LAW = ["efficientnet-b0", "--law"]
STUDY = ["mobilenet-v2", "--study", "--budgets", "2"]
PROXY = ["--out", "p", "--candidates", "3"]
RACE = ["run", "--out", "f"]
JOB = ["--to", "job", "--working-dir", ""]
SEARCH = ["--", "search", "--out", "x"]
DRY = ["--dry-run"]
ONNX = ["trained.pt", "--to", "onnx", "--out", "x.onnx"]
INT8 = [*ONNX, "--int8"]


def to(target, *more):
    kept = ["--storage", "s3://bucket/runs"] if target == "kuberay" else []
    return ["--to", target, *more, "--dry-run", *SEARCH, *kept]


# command -> option -> (arguments without it, arguments with it)
ACTS = {
    "search": {
        "config": ([], ["--config", "run/search.yaml"]),
        "space": ([], ["--space", "efficientnet"]),
        "exportable_to": ([], ["--exportable-to", "torchvision"]),
        "controller": ([], ["--controller", "random"]),
        "controller_option": (
            ["--controller", "evolution"],
            ["--controller", "evolution", "-o", "population=99"],
        ),
        "evaluator": ([], BENCHMARK),
        "benchmark_data": (BENCHMARK, [*BENCHMARK, "--benchmark-data", SURROGATE]),
        "supernet": (SUPERNET, [*SUPERNET[:2], "--supernet", "other.pt"]),
        "latency_table": ([], ["--latency-table", "table.json"]),
        "prior": ([], ["--prior", "imagenet"]),
        "coarse": ([], ["--coarse", "0.3"]),
        "surrogate": (BENCHMARK, [*BENCHMARK, "--surrogate", "gb"]),
        "noise": (BENCHMARK, [*BENCHMARK, "--noise"]),
        "data": ([], ["--data", "cifar10"]),
        "data_root": (["--data", "cifar10"], ["--data", "cifar10", "--data-root", "x"]),
        "image_column": (["--data", "huggingface:x"], ["--data", "huggingface:x", "--image-column", "a"]),
        "label_column": (["--data", "huggingface:x"], ["--data", "huggingface:x", "--label-column", "a"]),
        "cache": (["--data", "imagefolder:x"], ["--data", "imagefolder:x", "--cache", "2G"]),
        "held_out": ([], ["--held-out", "50"]),
        "folds": ([], ["--folds", "2"]),
        "full_resolution": ([], ["--full-resolution", "64"]),
        "trials": ([], ["--trials", "5"]),
        "epochs": ([], ["--epochs", "2"]),
        "recipe": ([], ["--recipe", "sgd"]),
        "changes": ([], ["--set", "lr=0.02"]),
        "proxy_file": ([], ["--proxy", "proxy.yaml"]),
        "resolution": ([], ["--resolution", "24"]),
        "width": ([], ["--width", "0.5"]),
        "stem_stride": ([], ["--stem-stride", "2"]),
        "subset": ([], ["--subset", "0.5"]),
        "reward": ([], ["--reward", "hard"]),
        "target": ([], ["--target", "300M"]),
        "cost": (["--target", "5M"], ["--target", "5M", "--cost", "params"]),
        "ridge": (["--cost", "roofline"], ["--cost", "roofline", "--ridge", "20"]),
        "until": ([], CONVERGED),
        "price": (CONVERGED, [*CONVERGED, "--price", "50"]),
        "exponent": (["--reward", "absolute"], ["--reward", "absolute", "--exponent", "-0.2"]),
        "scheduler": ([], ["--scheduler", "asha"]),
        "seed": ([], ["--seed", "1"]),
        "folder": ([], ["--out", "x"]),
        "or_resume": (["--out", "run", "--trials", "8"], ["--out", "run", "--trials", "8", "--or-resume"]),
        "concurrent": ([], ["--concurrent", "2"]),
        "cpus_per_trial": ([], ["--cpus-per-trial", "2"]),
        "gpus_per_trial": ([], ["--gpus-per-trial", "0.5"]),
        "workers": (["--data", "imagefolder:x"], ["--data", "imagefolder:x", "--workers", "3"]),
        "address": ([], ["--address", "auto"]),
        "retries": ([], ["--retries", "5"]),
        "trial_timeout": ([], ["--trial-timeout", "5m"]),
        "autoscaling": ([], ["--autoscaling"]),
        "storage": ([], ["--storage", "kept"]),
        "dashboard": ([], ["--dashboard"]),
        "download": (["--data", "cifar10"], ["--data", "cifar10", "--download"]),
        "log": ([], ["--log", "mlflow"]),
        "on_end": ([], ["--on-end", "tee told"]),
        "as_json": ([], ["--json"]),
    },
    "rediscover": {
        "trials": ([], ["--trials", "9"]),
        "controller": ([], ["--controller", "evolution"]),
        "surrogate": ([], ["--surrogate", "gb"]),
        "benchmark_data": ([], ["--benchmark-data", SURROGATE]),
        "target": ([], ["--target", "300M"]),
        "seed": ([], ["--seed", "1"]),
        "seeds": ([], ["--seeds", "2"]),
        "gpu_hour": ([], ["--gpu-hour", "2"]),
        "folder": ([], ["--out", "x"]),
        "as_json": ([], ["--json"]),
    },
    "compare": {
        "controllers": ([], ["--controller", "random:20"]),
        "families": ([], ["--surrogate", "gb"]),
        "tables": ([], ["--table", "table.csv"]),
        "functions": ([], ["--synthetic", "two"]),
        "seeds": ([], ["--seeds", "2"]),
        "first_seed": ([], ["--first-seed", "2"]),
        "noise": ([], ["--noise"]),
        "pending": ([], ["--pending", "2"]),
        "benchmark_data": ([], ["--benchmark-data", SURROGATE]),
        "targets": ([], ["--target", "300M"]),
        "exponent": (
            ["--table", "table.csv", "--target", "macs=3"],
            ["--table", "table.csv", "--target", "macs=3", "--exponent", "-1"],
        ),
        "processes": ([], ["--processes", "1"]),
        "folder": ([], ["--out", "x"]),
        "as_json": ([], ["--json"]),
    },
    "benchmark": {
        "sources": None,
        "target": (["--from", "run", "--out", "x.csv"], ["--from", "run", "--out", "y.csv"]),
        "as_json": (["--from", "run", "--out", "x.csv"], ["--from", "run", "--out", "x.csv", "--json"]),
    },
    "plan": {
        "trials": (PLAN, ["--trials", "21", *PLAN[2:]]),
        "workers": (PLAN, ["--workers", "2", *PLAN[:2], *PLAN[4:]]),
        "controller": (PLAN, [*PLAN[:4], "--controller", "local-search"]),
        "surrogate": (PLAN, [*PLAN, "--surrogate", "gb"]),
        "benchmark_data": (PLAN, [*PLAN, "--benchmark-data", SURROGATE]),
        "target": (PLAN, [*PLAN, "--target", "200M"]),
        "speed": (PLAN, [*PLAN, "--speed", "2"]),
        "gpu_hour": ([*PLAN, "--json"], [*PLAN, "--json", "--gpu-hour", "2"]),
        "seed": (PLAN, [*PLAN, "--seed", "1"]),
        "seeds": (PLAN, [*PLAN, "--seeds", "2"]),
        "target_file": (PLAN, [*PLAN, "--out", "x.png"]),
        "as_json": (PLAN, [*PLAN, "--json"]),
    },
    "data": {
        "name": None,
        "target": (["accel-nasbench", "--out", "x.gz"], ["accel-nasbench", "--out", "y.gz"]),
        "url": (
            ["accel-nasbench", "--out", "x.gz"],
            ["accel-nasbench", "--out", "x.gz", "--url", "file:///x"],
        ),
        "as_json": (["accel-nasbench", "--out", "x.gz"], ["accel-nasbench", "--out", "x.gz", "--json"]),
    },
    "show": {
        "what": (["resnet50"], ["run"]),
        "other": (["resnet50"], ["resnet50", "run"]),
        "order": (["."], [".", "--sort", "reward"]),
        "top": (["run"], ["run", "--top", "2"]),
        "ridges": (["run"], ["run", "--ridges", "5..500"]),
        "diagram": (["run"], ["run", "--diagram", "x.svg"]),
        "fronts": (["."], [".", "--fronts", "x.svg"]),
        "as_json": (["run"], ["run", "--json"]),
    },
    "report": {
        "run": None,
        "path": (["run"], ["run", "--out", "x.html"]),
        "as_json": (["run"], ["run", "--json"]),
    },
    "cost": {
        "spec": (["resnet50"], ["run"]),
        "resolution": (["resnet50"], ["resnet50", "--resolution", "64"]),
        "check": (["resnet50", "--json"], ["resnet50", "--json", "--check"]),
        "ridge": (["resnet50"], ["resnet50", "--ridge", "20"]),
        "as_json": (["resnet50"], ["resnet50", "--json"]),
    },
    "latency": {
        "specs": (["resnet50"], ["run"]),
        "device": (["resnet50"], ["resnet50", "--device", "cuda"]),
        "runtime": (["resnet50"], ["resnet50", "--runtime", "onnxruntime"]),
        "batch": (["resnet50"], ["resnet50", "--batch", "2"]),
        "threads": (["resnet50"], ["resnet50", "--threads", "1"]),
        "clock": (["resnet50", "--threads", "1"], ["resnet50", "--threads", "1", "--clock", "cpu"]),
        "calibrate": (
            ["--space", "mnasnet", "--out", "x.json"],
            ["--space", "mnasnet", "--out", "x.json", "--calibrate", "10"],
        ),
        "runs": (["resnet50"], ["resnet50", "--runs", "5"]),
        "path": (["resnet50"], ["resnet50", "--table", "table.json"]),
        "space": (
            ["--space", "mnasnet", "--out", "x.json"],
            ["--space", "efficientnet", "--out", "x.json"],
        ),
        "checked": (
            ["--space", "mnasnet", "--out", "x.json"],
            ["--space", "mnasnet", "--out", "x.json", "--check", "9"],
        ),
        "target": (["--space", "mnasnet", "--out", "x.json"], ["--space", "mnasnet", "--out", "y.json"]),
        "as_json": (["resnet50"], ["resnet50", "--json"]),
    },
    "scale": {
        "spec": (PHI, ["run", *PHI[1:]]),
        "phi": (PHI, ["efficientnet-b0", "--phi", "2"]),
        "alpha": (PHI, [*PHI, "--alpha", "1.5"]),
        "beta": (PHI, [*PHI, "--beta", "1.3"]),
        "gamma": (PHI, [*PHI, "--gamma", "1.3"]),
        "resolution_step": (PHI, [*PHI, "--resolution-step", "32"]),
        "published": (PHI, ["efficientnet-b0", "--published"]),
        "budget": (["resnet50", "--budget", "9G"], ["resnet50", "--budget", "20G"]),
        "max_params": (["resnet50", "--budget", "9G"], ["resnet50", "--budget", "9G", "--max-params", "26M"]),
        "max_memory": (
            ["resnet50", "--budget", "9G"],
            ["resnet50", "--budget", "9G", "--max-memory", "500M"],
        ),
        "searching": (STUDY, ["mobilenet-v2", "--search", "--grid-step", "0.5", "--tolerance", "0.2"]),
        "tolerance": (GRID, [*GRID[:-1], "0.4"]),
        "grid_step": (GRID, [*GRID[:3], "0.25", *GRID[4:]]),
        "studying": (GRID, ["efficientnet-b0", "--study", "--budgets", "2"]),
        "by_law": (STUDY, LAW),
        "budgets": (STUDY, [*STUDY[:-1], "3"]),
        "plot": (PHI, [*PHI, "--plot", "x.png"]),
        "target": (PHI, [*PHI, "--out", "x.yaml"]),
        "as_json": (PHI, [*PHI, "--json"]),
        "data": (GRID, [*GRID, "--data", "cifar10"]),
        "retries": (GRID, [*GRID, "--retries", "5"]),
        "trial_timeout": (GRID, [*GRID, "--trial-timeout", "5m"]),
        "autoscaling": (GRID, [*GRID, "--autoscaling"]),
        "dashboard": (GRID, [*GRID, "--dashboard"]),
        "download": ([*GRID, "--data", "fashion-mnist"], [*GRID, "--data", "fashion-mnist", "--download"]),
        "storage": (GRID, [*GRID, "--storage", "kept"]),
        "image_column": (
            [*GRID, "--data", "huggingface:x"],
            [*GRID, "--data", "huggingface:x", "--image-column", "a"],
        ),
        "label_column": (
            [*GRID, "--data", "huggingface:x"],
            [*GRID, "--data", "huggingface:x", "--label-column", "a"],
        ),
        "data_root": ([*GRID, "--data", "cifar10"], [*GRID, "--data", "cifar10", "--data-root", "x"]),
        "epochs": (GRID, [*GRID, "--epochs", "2"]),
        "recipe": (GRID, [*GRID, "--recipe", "sgd"]),
        "changes": (GRID, [*GRID, "--set", "lr=0.02"]),
        "resolution": (GRID, [*GRID, "--resolution", "24"]),
        "width": (GRID, [*GRID, "--width", "0.5"]),
        "stem_stride": (GRID, [*GRID, "--stem-stride", "2"]),
        "subset": (GRID, [*GRID, "--subset", "0.5"]),
        "concurrent": (GRID, [*GRID, "--concurrent", "2"]),
        "cpus_per_trial": (GRID, [*GRID, "--cpus-per-trial", "2"]),
        "gpus_per_trial": (GRID, [*GRID, "--gpus-per-trial", "0.5"]),
        "workers": (
            [*GRID, "--data", "imagefolder:x"],
            [*GRID, "--data", "imagefolder:x", "--workers", "3"],
        ),
        "address": (GRID, [*GRID, "--address", "auto"]),
        "seed": (GRID, [*GRID, "--seed", "1"]),
    },
    "proxy": {
        "space": (PROXY, [*PROXY, "--space", "efficientnet"]),
        "exportable_to": (PROXY, [*PROXY, "--exportable-to", "any"]),
        "data": (PROXY, [*PROXY, "--data", "fashion-mnist"]),
        "workers": (
            [*PROXY, "--data", "huggingface:x"],
            [*PROXY, "--data", "huggingface:x", "--workers", "3"],
        ),
        "retries": (PROXY, [*PROXY, "--retries", "5"]),
        "trial_timeout": (PROXY, [*PROXY, "--trial-timeout", "5m"]),
        "autoscaling": (PROXY, [*PROXY, "--autoscaling"]),
        "dashboard": (PROXY, [*PROXY, "--dashboard"]),
        "download": ([*PROXY, "--data", "fashion-mnist"], [*PROXY, "--data", "fashion-mnist", "--download"]),
        "image_column": (
            [*PROXY, "--data", "huggingface:x"],
            [*PROXY, "--data", "huggingface:x", "--image-column", "a"],
        ),
        "label_column": (
            [*PROXY, "--data", "huggingface:x"],
            [*PROXY, "--data", "huggingface:x", "--label-column", "a"],
        ),
        "data_root": (
            [*PROXY, "--data", "fashion-mnist"],
            [*PROXY, "--data", "fashion-mnist", "--data-root", "x"],
        ),
        "recipe": (PROXY, [*PROXY, "--recipe", "sgd"]),
        "changes": (PROXY, [*PROXY, "--set", "lr=0.02"]),
        "count": (PROXY, [*PROXY[:-1], "4"]),
        "long_epochs": (PROXY, [*PROXY, "--long-epochs", "9"]),
        "long_subset": (PROXY, [*PROXY, "--long-subset", "0.9"]),
        "epochs": (PROXY, [*PROXY, "--epochs", "3"]),
        "subset": (PROXY, [*PROXY, "--subset", "0.5"]),
        "resolution": (PROXY, [*PROXY, "--resolution", "24"]),
        "width": (PROXY, [*PROXY, "--width", "0.5"]),
        "seeds": (PROXY, [*PROXY, "--seeds", "2"]),
        "tau": (PROXY, [*PROXY, "--tau", "0.1"]),
        "concurrent": (PROXY, [*PROXY, "--concurrent", "2"]),
        "cpus_per_trial": (PROXY, [*PROXY, "--cpus-per-trial", "2"]),
        "gpus_per_trial": (PROXY, [*PROXY, "--gpus-per-trial", "0.5"]),
        "address": (PROXY, [*PROXY, "--address", "auto"]),
        "seed": (PROXY, [*PROXY, "--seed", "1"]),
        "target": (PROXY, ["--out", "q", *PROXY[2:]]),
        "as_json": (PROXY, [*PROXY, "--json"]),
    },
    "supernet": {
        "space": ([], ["--space", "efficientnet"]),
        "exportable_to": ([], ["--exportable-to", "any"]),
        "around": ([], ["--target", "400M"]),
        "judge": ([], ["--judge", "curves"]),
        "processes": ([], ["--processes", "2"]),
        "cpus_per_trial": (["--processes", "2"], ["--processes", "2", "--cpus-per-trial", "2"]),
        "gpus_per_trial": (["--processes", "2"], ["--processes", "2", "--gpus-per-trial", "1"]),
        "address": (["--processes", "2"], ["--processes", "2", "--address", "auto"]),
        "resume": ([], ["--resume", "x.pt"]),
        "target": ([], ["--out", "x.pt"]),
        "seed": ([], ["--seed", "1"]),
        "as_json": ([], ["--json"]),
        "data": ([], ["--data", "cifar10"]),
        "data_root": (["--data", "cifar10"], ["--data", "cifar10", "--data-root", "x"]),
        "image_column": (["--data", "huggingface:x"], ["--data", "huggingface:x", "--image-column", "a"]),
        "label_column": (["--data", "huggingface:x"], ["--data", "huggingface:x", "--label-column", "a"]),
        "download": (["--data", "cifar10"], ["--data", "cifar10", "--download"]),
        "cache": (["--data", "imagefolder:x"], ["--data", "imagefolder:x", "--cache", "2G"]),
        "held_out": ([], ["--held-out", "50"]),
        "recipe": ([], ["--recipe", "sgd"]),
        "changes": ([], ["--set", "lr=0.02"]),
        "epochs": ([], ["--epochs", "2"]),
        "resolution": ([], ["--resolution", "24"]),
        "width": ([], ["--width", "0.5"]),
        "stem_stride": ([], ["--stem-stride", "2"]),
        "subset": ([], ["--subset", "0.5"]),
        "paths": ([], ["--paths", "3"]),
        "distil": ([], ["--no-distil"]),
        "progressive": ([], ["--progressive"]),
        "transforms": ([], ["--transforms"]),
    },
    "finalists": {
        "run": None,
        "top": (RACE, [*RACE, "--top", "4"]),
        "probability": (RACE, [*RACE, "--probability", "0.5"]),
        "noise": (RACE, [*RACE, "--noise", "0.1"]),
        "margin": (RACE, [*RACE, "--margin", "5"]),
        "most": (RACE, [*RACE, "--most", "1"]),
        "target": (RACE, ["run", "--out", "g"]),
        "seed": (RACE, [*RACE, "--seed", "1"]),
        "as_json": (RACE, [*RACE, "--json"]),
        "data": (RACE, [*RACE, "--data", "cifar10"]),
        "data_root": ([*RACE, "--data", "cifar10"], [*RACE, "--data", "cifar10", "--data-root", "x"]),
        "download": ([*RACE, "--data", "cifar10"], [*RACE, "--data", "cifar10", "--download"]),
        "image_column": (
            [*RACE, "--data", "huggingface:x"],
            [*RACE, "--data", "huggingface:x", "--image-column", "a"],
        ),
        "label_column": (
            [*RACE, "--data", "huggingface:x"],
            [*RACE, "--data", "huggingface:x", "--label-column", "a"],
        ),
        "recipe": (RACE, [*RACE, "--recipe", "sgd"]),
        "changes": (RACE, [*RACE, "--set", "lr=0.02"]),
        "epochs": (RACE, [*RACE, "--epochs", "9"]),
        "resolution": (RACE, [*RACE, "--resolution", "24"]),
        "width": (RACE, [*RACE, "--width", "0.5"]),
        "stem_stride": (RACE, [*RACE, "--stem-stride", "2"]),
        "subset": (RACE, [*RACE, "--subset", "0.5"]),
        "concurrent": (RACE, [*RACE, "--concurrent", "2"]),
        "cpus_per_trial": (RACE, [*RACE, "--cpus-per-trial", "2"]),
        "gpus_per_trial": (RACE, [*RACE, "--gpus-per-trial", "0.5"]),
        "workers": (
            [*RACE, "--data", "huggingface:x"],
            [*RACE, "--data", "huggingface:x", "--workers", "3"],
        ),
        "address": (RACE, [*RACE, "--address", "auto"]),
        "retries": (RACE, [*RACE, "--retries", "3"]),
        "trial_timeout": (RACE, [*RACE, "--trial-timeout", "5m"]),
        "autoscaling": (RACE, [*RACE, "--autoscaling"]),
        "dashboard": (RACE, [*RACE, "--dashboard"]),
    },
    "export": {
        "spec": (["resnet50", "--to", "yaml"], ["run", "--to", "yaml"]),
        "form": (["resnet50", "--to", "yaml"], ["resnet50", "--to", "json"]),
        "target": (["resnet50", "--to", "yaml"], ["resnet50", "--to", "yaml", "--out", "x.yaml"]),
        "resolution": (["resnet50", "--to", "yaml"], ["resnet50", "--to", "yaml", "--resolution", "64"]),
        "dynamic_size": (
            ["resnet50", "--to", "onnx", "--out", "x.onnx"],
            ["resnet50", "--to", "onnx", "--out", "x.onnx", "--dynamic-size"],
        ),
        "int8": (ONNX, INT8),
        "data": (INT8, [*INT8, "--data", "fashion-mnist"]),
        "data_root": (INT8, [*INT8, "--data-root", "x"]),
        "as_json": (
            ["resnet50", "--to", "yaml", "--out", "x.yaml"],
            ["resnet50", "--to", "yaml", "--out", "x.yaml", "--json"],
        ),
    },
    "import": {
        "source": (["--from", "timm:a"], ["--from", "timm:b"]),
        "table": (["--from", "timm:a"], ["--table"]),
        "target": (["--from", "timm:a"], ["--from", "timm:a", "--out", "x.yaml"]),
        "as_json": (
            ["--from", "timm:a", "--out", "x.yaml"],
            ["--from", "timm:a", "--out", "x.yaml", "--json"],
        ),
    },
    "space": {
        "space": ([], ["mnasnet"]),
        "exportable_to": (["mnasnet"], ["mnasnet", "--exportable-to", "timm"]),
        "target": (["mnasnet"], ["mnasnet", "--out", "x.yaml"]),
        "as_json": (["mnasnet"], ["mnasnet", "--json"]),
    },
    "launch": {
        "to": (to("kuberay"), to("slurm")),
        "files": (["--files", "x"], ["--files", "y"]),
        "dry_run": (["--to", "slurm", *SEARCH], to("slurm")),
        "address": (["--dry-run", *JOB, *SEARCH], ["--dry-run", *JOB, "--address", "http://x:1", *SEARCH]),
        "working_dir": (["--dry-run", *JOB, *SEARCH], ["--dry-run", *JOB, "--working-dir", ".", *SEARCH]),
        "follow": ([*JOB, *SEARCH], [*JOB, "--detach", *SEARCH]),
        "name": (to("slurm"), to("slurm", "--name", "x")),
        "workers": (to("slurm"), to("slurm", "--workers", "9")),
        "gpus": (to("kuberay"), to("kuberay", "--gpus", "2")),
        "cpus": (to("kuberay"), to("kuberay", "--cpus", "2")),
        "memory": (to("slurm"), to("slurm", "--memory", "9")),
        "image": (to("kuberay"), to("kuberay", "--image", "x")),
        "ray_version": (to("kuberay"), to("kuberay", "--ray-version", "2.55.0")),
        "cluster_only": (to("kuberay"), ["--to", "kuberay", "--dry-run", "--cluster-only"]),
        "hours": (to("slurm"), to("slurm", "--hours", "3")),
        "partition": (to("slurm"), to("slurm", "--partition", "x")),
        "environment": (to("slurm"), to("slurm", "--env", "A=b")),
        "as_json": (["--to", "slurm", *SEARCH], ["--to", "slurm", "--json", *SEARCH]),
        "command": (to("slurm"), [*to("slurm"), "--trials", "3"]),
    },
    "status": {
        "run": ([], ["run"]),
        "address": ([], ["--address", "host:1"]),
        "as_json": (["run"], ["run", "--json"]),
    },
    "logs": {
        "trial": (["1", "run"], ["2", "run"]),
        "run": None,
        "as_json": (["1", "run"], ["1", "run", "--json"]),
    },
    "tensorboard": {
        "folder": (["run"], ["."]),
        "trials": (["run"], ["run", "--trial", "1"]),
        "port": (["run"], ["run", "--port", "1234"]),
        "host": (["run"], ["run", "--host", "0.0.0.0"]),
        "as_json": (["run"], ["run", "--json"]),
    },
}
"""None: an argument that must be given and has one meaning."""

# (arguments, the option that does nothing beside them)
REFUSED = [
    *(
        (["search", *BENCHMARK], option)
        for option in (
            ["--data", "cifar10"], ["--data-root", "x"], ["--epochs", "2"], ["--recipe", "sgd"],
            ["--set", "lr=0.1"], ["--resolution", "24"], ["--width", "0.5"], ["--stem-stride", "2"],
            ["--subset", "0.5"], ["--scheduler", "asha"], ["--concurrent", "2"], ["--cpus-per-trial", "2"],
            ["--gpus-per-trial", "1"], ["--address", "auto"], ["--retries", "3"], ["--trial-timeout", "5m"],
            ["--autoscaling"], ["--dashboard"], ["--download"], ["--proxy", "proxy.yaml"], ["--workers", "2"],
            ["--cache", "off"], ["--held-out", "9"], ["--folds", "2"], ["--full-resolution", "64"],
        )
    ),
    *(
        (["search", *SUPERNET], option)
        for option in (
            ["--epochs", "2"], ["--recipe", "sgd"], ["--set", "lr=0.1"], ["--resolution", "24"],
            ["--width", "0.5"], ["--stem-stride", "2"], ["--subset", "0.5"], ["--scheduler", "asha"],
            ["--concurrent", "2"], ["--cpus-per-trial", "2"], ["--gpus-per-trial", "1"], ["--address", "auto"],
            ["--retries", "3"], ["--trial-timeout", "5m"], ["--autoscaling"], ["--dashboard"],
            ["--proxy", "proxy.yaml"], ["--cache", "off"], ["--held-out", "9"], ["--folds", "2"],
            ["--image-column", "x"], ["--surrogate", "gb"], ["--workers", "2"],
        )
    ),
    (["search"], ["--supernet", "x.pt"]),
    (["search", *BENCHMARK], ["--supernet", "x.pt"]),
    (["search"], ["--benchmark-data", "x"]),
    (["search"], ["--surrogate", "gb"]),
    (["search"], ["--noise"]),
    (["search"], ["--no-noise"]),
    (["search"], ["--price", "5"]),
    (["search"], ["--cost", "latency_zcu102"]),
    (["search", "--cost", "params"], ["--ridge", "20"]),
    (["search", "--target", "params=5M"], ["--cost", "params"]),
    (["search", "--reward", "hard"], ["--exponent", "-0.1"]),
    (["search", "--reward", "hard"], ["--exponent", "auto"]),
    (["search", "--reward", "absolute"], ["--exponent", "auto"]),
    (["search", "--address", "auto"], ["--dashboard"]),
    (["search"], ["--download"]),
    (["search"], ["--data-root", "x"]),
    (["search", "--data", "cifar10"], ["--cache", "on"]),
    *((["search", *data], ["--workers", "2"]) for data in ([], ["--data", "cifar10"])),
    (["search", "--data", "imagefolder:x", "--cache", "on"], ["--workers", "2"]),
    (["search", "--evaluator", "os:stat"], ["--workers", "2"]),
    (["search", "--controller", "evolution"], ["-o", "populatoin=3"]),
    (["search", "--target", "400M"], ["--target", "300M"]),
    (["search", "--epochs", "2"], ["--set", "epochs=3"]),
    (["search", "--set", "lr=0.1"], ["--set", "lr=0.2"]),
    (["search", "--out", "run", "--or-resume"], ["--seed", "7"]),
    (["search", "--out", "run", "--or-resume"], ["--target", "100M"]),
    *((["show", "resnet50", *more], ["--top", "3"]) for more in ([], ["mobilenet-v2"], ["--json"])),
    (["show", "run", "--json"], ["--top", "3"]),
    (["show", "."], ["--top", "3"]),
    (["show", "."], ["--diagram", "x.svg"]),
    (["show", "run"], ["--sort", "reward"]),
    (["show", "resnet50"], ["--ridges", "5..500"]),
    (["show", "run", "--ridges", "5..500"], ["--top", "3"]),
    (["show", "run", "--ridges", "5..500"], ["--diagram", "x.svg"]),
    (["show", "run"], ["--fronts", "x.svg"]),
    (["show", "run", "resnet50"], ["--diagram", "x.svg"]),
    (["latency", "resnet50"], ["--check", "5"]),
    (["latency", "resnet50"], ["--calibrate", "10"]),
    (["latency", "resnet50"], ["--clock", "cpu"]),
    (["latency", "resnet50"], ["--out", "x.json"]),
    (["latency", "--space", "mnasnet", "--out", "x.json"], ["--runs", "5"]),
    (["latency", "--space", "mnasnet", "--out", "x.json"], ["--table", "table.json"]),
    *(
        (["latency", "resnet50", "--table", "table.json"], option)
        for option in (["--device", "cpu"], ["--runtime", "torch"], ["--batch", "2"], ["--threads", "1"])
    ),
    *(
        (["scale", *way], option)
        for way in (PHI, ["efficientnet-b0", "--published"], ["efficientnet-b0", "--budget", "1G"])
        for option in (
            ["--tolerance", "0.1"], ["--grid-step", "0.1"], ["--budgets", "2"], ["--data", "digits"],
            ["--data-root", "x"], ["--epochs", "2"], ["--recipe", "sgd"], ["--set", "lr=1"],
            ["--resolution", "64"], ["--width", "0.5"], ["--stem-stride", "1"], ["--subset", "0.5"],
            ["--concurrent", "2"], ["--cpus-per-trial", "2"], ["--gpus-per-trial", "1"],
            ["--address", "auto"], ["--seed", "1"], ["--workers", "2"],
        )
    ),
    *(
        (["scale", "efficientnet-b0", "--published"], option)
        for option in (["--alpha", "1.3"], ["--beta", "1.3"], ["--gamma", "1.3"], ["--resolution-step", "8"])
    ),
    *(([*way], ["--workers", "2"]) for way in (["scale", *GRID], ["proxy", *PROXY], ["finalists", *RACE])),
    (["scale", *GRID], ["--alpha", "1.3"]),
    (["scale", *GRID], ["--plot", "x.png"]),
    (["scale", *GRID], ["--budgets", "2"]),
    (["scale", *GRID], ["--resolution-step", "8"]),
    (["scale", *GRID], ["--data-root", "x"]),
    (["scale", *STUDY], ["--tolerance", "0.1"]),
    *((["scale", *LAW], option) for option in (["--alpha", "1.3"], ["--budgets", "4"], ["--plot", "x.png"])),
    (["scale", *STUDY], ["--resolution-step", "8"]),
    (["proxy", *PROXY], ["--data-root", "x"]),
    (["supernet"], ["--data-root", "x"]),
    (["supernet", "--data", "cifar10"], ["--cache", "on"]),
    (["supernet", "--epochs", "2"], ["--set", "epochs=3"]),
    *(
        (["supernet", "--resume", "x.pt"], option)
        for option in (
            ["--space", "efficientnet"], ["--exportable-to", "any"], ["--out", "y.pt"], ["--seed", "1"],
            ["--cache", "on"], ["--held-out", "9"], ["--recipe", "sgd"], ["--set", "lr=1"], ["--epochs", "2"],
            ["--resolution", "24"], ["--width", "0.5"], ["--stem-stride", "1"], ["--subset", "0.5"],
            ["--paths", "3"], ["--no-distil"], ["--progressive"], ["--transforms"], ["--image-column", "a"],
            ["--target", "400M"],
        )
    ),
    (["export", "resnet50", "--to", "yaml"], ["--json"]),
    (["export", "resnet50", "--to", "yaml"], ["--dynamic-size"]),
    (["export", "trained.pt", "--to", "torchscript"], ["--int8"]),
    (["export", "resnet50", "--to", "onnx", "--out", "x.onnx"], ["--int8"]),
    (["export", *ONNX], ["--data", "digits"]),
    (["export", *ONNX], ["--data-root", "x"]),
    (["import", "--from", "timm:a"], ["--table"]),
    (["search"], ["--label-column", "x"]),
    (["search", *BENCHMARK], ["--image-column", "x"]),
    (["import", "--from", "timm:a"], ["--json"]),
    (["space"], ["--out", "x.yaml"]),
    (["status", "run"], ["--address", "auto"]),
    *(
        (["launch", "--to", "job", *DRY], option)
        for option in (
            ["--workers", "2"], ["--gpus", "2"], ["--cpus", "2"], ["--memory", "2"], ["--image", "x"],
            ["--ray-version", "2.55.0"], ["--cluster-only"], ["--hours", "2"], ["--partition", "x"],
        )
    ),
    *(
        (["launch", "--to", "kuberay", *DRY], option)
        for option in (
            ["--address", "http://x:1"], ["--working-dir", "x"], ["--detach"], ["--hours", "2"],
            ["--partition", "x"], ["--json"],
        )
    ),
    (["launch", "--files", "x"], ["--to", "slurm"]),
    (["launch", "--files", "x"], ["--dry-run"]),
    *(
        (["launch", "--to", "slurm", *DRY], option)
        for option in (["--image", "x"], ["--ray-version", "2.55.0"], ["--cluster-only"], ["--follow"])
    ),
]  # fmt: skip


def parameters(command):
    module, attribute = _COMMANDS[command]
    return getattr(importlib.import_module(module), attribute).params


def test_every_option_of_every_command_is_thought_about():
    assert set(ACTS) | ELSEWHERE == set(_COMMANDS)
    for command, table in ACTS.items():
        assert {parameter.name for parameter in parameters(command)} == set(table), command


@pytest.fixture
def proxy_file(monkeypatch):
    """`--proxy` reads another file's settings."""
    monkeypatch.setattr("nas.commands.search.read_proxy", lambda path, say: {"width": 0.125})


@pytest.mark.parametrize(
    ("command", "option"),
    [(command, option) for command, table in ACTS.items() for option in table if table[option]],
)
def test_an_option_acts(command, option, observe, proxy_file):
    without, given = ACTS[command][option]
    used = {parameter.name: parameter for parameter in parameters(command)}[option]
    if isinstance(used, click.Option):
        assert any(flag in given for flag in (*used.opts, *used.secondary_opts))
    if (before := (command, *without)) not in _seen:
        _seen[before] = observe(before)
    assert _seen[before] != observe([command, *given])


_seen = {}
"""What a command does without the option, which is the same for many of them."""


@pytest.mark.parametrize(
    ("before", "option"), REFUSED, ids=[f"{' '.join(b)} {' '.join(o)}" for b, o in REFUSED]
)
def test_an_option_that_would_do_nothing_is_refused(before, option, observe, refusal, proxy_file):
    command = [*before, *option] + (SEARCH if before[0] == "launch" and "--files" not in before else [])
    name = option[0].lstrip("-")
    line = refusal(command)
    named = {"o": "option of controller", "set": "epochs" if "epochs=3" in option else "--set"}
    assert named.get(name, name) in line
