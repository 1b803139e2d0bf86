"""What a search needs to work on a cluster whose head trains nothing and whose pods come and go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nas.launch.request import Request
from nas.runs.storage import is_url
from search_spaces.errors import InputError


def fit_for_pods(request: Request, given: Mapping[str, Any], trains: bool) -> tuple[Request, list[str]]:
    """The request with what its command lacks, and what was added.

    The head has no CPU for trials and no worker is up: without `--autoscaling` and a number of trials none
    would ever start, and no node's GPUs can be looked at. An evicted head starts the command again.

    Args:
        request: `search` or `resume`, with the folder of the run.
        given: the command's options, as click has them.
        trains: whether its trials are trained on the cluster.

    Raises:
        InputError: the run would go with the pods, or no worker has room for a trial.
    """
    resumes = request.command[0] == "resume"
    if resumes and not is_url(given["run"]):
        raise InputError(f"run {given['run']!r}: no pod has the folder; give its copy in a storage")
    if not resumes and not is_url(given["storage"] or ""):
        raise InputError(
            f"storage {given['storage'] or ''!r}: the run would go with its pods; add --storage "
            "s3://BUCKET/runs (or gs://) to the command"
        )
    added = [] if resumes or given["or_resume"] else ["--or-resume"]
    if trains:
        added += _placed(request, given)
    return replace(request, command=(*request.command, *added)), added


def _placed(request: Request, given: Mapping[str, Any]) -> list[str]:
    added = []
    cpus, gpus = given["cpus_per_trial"], given["gpus_per_trial"]
    cpus = 1.0 if cpus is None else cpus
    if gpus is None:
        gpus = float(request.gpus > 0)
        added += ["--gpus-per-trial", "1"] if gpus else []
    if not (cpus > 0 and gpus >= 0):
        raise InputError(f"cpus-per-trial {cpus:g}, gpus-per-trial {gpus:g}: expected more than 0, 0 or more")
    fit = int(min(request.cpus / cpus, request.gpus / gpus if gpus else float("inf")) + 1e-9)
    if not fit:
        raise InputError(
            f"a worker of {request.cpus} CPUs and {request.gpus} GPUs has no room for a trial of {cpus:g} "
            f"CPUs and {gpus:g} GPUs: give other --cpus and --gpus, or --cpus-per-trial and --gpus-per-trial"
        )
    if not given["autoscaling"]:
        added.append("--autoscaling")
    if not given["concurrent"]:
        added += ["--concurrent", str(fit * request.workers)]
    return added
