"""`nas launch`: take a search to a cluster."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import click

from nas.commands.common import out, pairs, print_json, progress, put
from nas.commands.given import not_with, only_with
from nas.commands.outputs import OutPath
from nas.launch.copies import write_launch_files
from nas.launch.kuberay import ray_cluster, ray_job
from nas.launch.pods import fit_for_pods
from nas.launch.request import Request
from nas.launch.slurm import batch_script
from nas.runs.flat import read_settings
from nas.runs.mirror import fetched_to, is_copy
from search_spaces.document import dump_yaml, read_document
from search_spaces.errors import InputError, unknown
from search_spaces.quoting import shell_command
from search_spaces.targets import check_folder

TARGETS = ("job", "kuberay", "slurm")


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog="Example: nas launch --to job --address http://127.0.0.1:8265 -- "
    "search --data digits --trials 24 --out runs/first",
)
@click.option("--to", help="job (a Ray cluster that is there), kuberay or slurm.")
@click.option(
    "--files",
    type=OutPath(),
    metavar="DIR",
    help="Write the launch files (a cluster on this machine, AWS, Google Cloud, KubeRay, Slurm, the image) "
    "into DIR, and stop.",
)
@click.option("--dry-run", is_flag=True, help="Print exactly what would be submitted, and stop.")
@click.option(
    "--address", default="http://127.0.0.1:8265", help="job: the dashboard. Default: http://127.0.0.1:8265."
)
@click.option("--working-dir", default=".", help="job: folder that travels along, '' for none. Default: .")
@click.option("--follow/--detach", default=True, help="job: show its output and fetch its run folder.")
@click.option("--name", default="nas", help="Of the job. Default: nas.")
@click.option("--workers", type=int, default=4, help="kuberay, slurm: machines, at most. Default: 4.")
@click.option("--gpus", type=int, default=1, help="kuberay, slurm: GPUs of each. Default: 1.")
@click.option("--cpus", type=int, default=8, help="kuberay, slurm: CPUs of each. Default: 8.")
@click.option("--memory", type=int, default=32, help="kuberay, slurm: GiB of each. Default: 32.")
@click.option("--image", default="baseline-nas:latest", help="kuberay: container (Dockerfile of --files).")
@click.option("--ray-version", default="2.52.0", help="kuberay: of the image. Default: 2.52.0.")
@click.option("--cluster-only", is_flag=True, help="kuberay: a cluster that stays, without the search.")
@click.option("--hours", type=float, default=24, help="slurm: time limit. Default: 24.")
@click.option("--partition", help="slurm: where to queue.")
@click.option("--env", "environment", multiple=True, metavar="KEY=VALUE", help="A variable for the job.")
@click.option("--json", "as_json", is_flag=True, help="Print what was submitted as JSON.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def launch(
    to: str | None, files: str | None, command: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Take a search to a cluster. COMMAND is a `search` or `resume`, after `--`."""
    if files is not None:
        _files(files, as_json)
        return
    if to is None:
        raise InputError(f"to: expected {', '.join(TARGETS[:-1])} or {TARGETS[-1]}; or --files DIR")
    if to not in TARGETS:
        raise unknown("to", to, TARGETS)
    only_with(to == "job", "--to job", "address", "working_dir", "follow")
    only_with(to == "kuberay", "--to kuberay", "image", "ray_version", "cluster_only")
    only_with(to == "slurm", "--to slurm", "hours", "partition")
    only_with(to != "job", "--to kuberay or slurm", "workers", "gpus", "cpus", "memory")
    not_with(options["dry_run"], "--dry-run, which prints what would be submitted", "as_json")
    if options["cluster_only"] and command:
        raise InputError(f"cluster-only: takes no command, given: {' '.join(command)}")
    folder, given = "", dict[str, Any]()
    if not options["cluster_only"]:
        command, folder, given = _complete(command, to)
    fields = ("name", "workers", "gpus", "cpus", "memory", "image", "ray_version", "hours", "partition")
    chosen = {name: options[name] for name in fields}
    request = Request(command, folder, **chosen, environment=pairs(options["environment"], "--env"))
    if to == "job":
        _check_travels(given, options["working_dir"] or None)
        _job(request, options, as_json)
        return
    if to == "kuberay":
        if given:
            request, added = fit_for_pods(request, given, _trains(given))
            if added:
                words = " ".join(added)
                progress().print(
                    f"added, for pods that come and go: {words}", highlight=False, soft_wrap=True
                )
        make = ray_cluster if options["cluster_only"] else ray_job
        text, submit = dump_yaml(make(request)), ["kubectl", "create", "-f", "-"]
    else:
        text, submit = batch_script(request), ["sbatch", "--parsable"]
    if options["dry_run"]:
        put(text)
        return
    said = _submit(submit, text)
    if as_json:
        print_json({"to": to, "submitted": text, "answer": said})
    else:
        out().print(said, highlight=False)


def _files(folder: str, as_json: bool) -> None:
    others = {parameter.name for parameter in launch.params} - {"files", "as_json"}
    not_with(True, "--files, which submits nothing", *sorted(str(name) for name in others))
    written = write_launch_files(folder)
    if as_json:
        print_json({"files": written})
    else:
        for path in written:
            out().print(path, highlight=False)


def _trains(given: dict[str, Any]) -> bool:
    """Whether a search trains its networks on the cluster, as far as that is known here."""
    if given.get("evaluator") is not None:
        return bool(given["evaluator"] == "train")
    config = given.get("config")
    if config is None or not Path(config).is_file():
        return True
    return read_settings(read_document(config), config).evaluator.kind == "train"


def _complete(command: tuple[str, ...], to: str) -> tuple[tuple[str, ...], str, dict[str, Any]]:
    """(the command, with a run folder whose name is known, that folder, and what the command was given).

    Refuses here what the command itself would refuse there, after the queue.
    """
    from nas.commands.search import check_launched, resume, search

    known = {"search": search, "resume": resume}
    if not command or command[0] not in known:
        raise unknown("command", command[0] if command else "", known)
    try:
        context = known[command[0]].make_context(command[0], list(command[1:]))
        given = context.params
    except click.exceptions.Exit:
        raise InputError(f"{command[0]}: a --help has nothing to launch") from None
    if command[0] == "search":
        check_launched(context)
    if given["address"] is not None:
        raise InputError(f"address {given['address']!r}: the launched search knows its own; leave it out")
    if to == "job" and command[0] == "resume" and not is_copy(given["run"]):
        raise InputError(f"run {given['run']!r}: a run folder doesn't travel; give its copy in a storage")
    if given["folder"] is not None:
        return command, given["folder"], given
    if command[0] == "search":
        folder = f"runs/{time.strftime('%Y%m%d-%H%M%S')}"
    elif is_copy(given["run"]):
        folder = fetched_to(given["run"])
    else:
        return command, given["run"], given
    return (*command, "--out", folder), folder, given


_FILES = ("config", "space", "proxy_file", "supernet", "benchmark_data", "latency_table")
"""Options of `nas search` that may name a file."""


def _check_travels(given: dict[str, Any], working_dir: str | None) -> None:
    """Refuse here what a job wouldn't find there."""
    from nas.launch.job import check_travels

    for option in _FILES:
        check_travels(option.replace("_file", "").replace("_", "-"), given.get(option), working_dir)
    prior = given.get("prior")
    if prior is None and given.get("config") is not None and Path(given["config"]).is_file():
        prior = read_document(given["config"]).get("prior")
    if isinstance(prior, str):
        made = shell_command("nas", "benchmark", "--from", prior, "--out", "prior.json")
        file = f"`{made}` makes a file of it that does: --prior prior.json"
        check_travels("prior", prior, working_dir, file if Path(prior).is_dir() else "")


def _submit(submit: list[str], text: str) -> str:
    if shutil.which(submit[0]) is None:
        raise InputError(f"{submit[0]}: not on this machine; --dry-run prints what would be submitted")
    done = subprocess.run(submit, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{' '.join(submit)}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def _job(request: Request, options: dict[str, Any], as_json: bool) -> None:
    from nas.cluster.jobs import JobServer
    from nas.launch.job import make_job
    from nas.launch.outputs import MAX_UNPACKED, file_name, unpack

    job = make_job(request, options["working_dir"] or None, hand_back=options["follow"])
    if options["dry_run"]:
        print_json({"address": options["address"], **job.to_document()})
        return
    folder = Path(job.folder)
    if options["follow"] and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"out {folder}: exists; its place is for the job's outputs")
    if options["follow"]:
        check_folder(folder)
    server = JobServer(options["address"])
    submitted = server.submit(job.to_document())
    say = progress()
    say.print(f"job {submitted} on {options['address']}", highlight=False)
    if not options["follow"]:
        if as_json:
            print_json({"to": "job", "job": submitted, "address": options["address"]})
        return
    try:
        for text in server.follow(submitted):
            say.out(text, end="", highlight=False)
    except KeyboardInterrupt:
        stop = shell_command("ray", "job", "stop", "--address", options["address"], submitted)
        say.print(f"\nthe job goes on; end it with: {stop}", highlight=False, soft_wrap=True)
        raise
    unpack(server.fetch(submitted, file_name(submitted), MAX_UNPACKED), folder)
    if reason := server.failed(submitted):
        raise InputError(f"job {submitted} failed: {reason}; what it had is in {folder}")
    if as_json:
        print_json({"to": "job", "job": submitted, "run": str(folder)})
    else:
        out().print(f"outputs: {folder}", highlight=False)
