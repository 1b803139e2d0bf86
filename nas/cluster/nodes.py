"""The Ray cluster a search runs on: joining or starting it, what room it has, whether its nodes are fit."""

from __future__ import annotations

import logging
import os
import re
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from nas.cluster.token import private_token
from nas.runs.storage import Checkpoints
from search_spaces.errors import InputError

# Tune's own loggers and snapshots would write thousands of files; the journal replaces them
TUNE_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
    # the first SIGINT is ours: running trials are checkpointed, not cut off
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # how many workers may wait for room; what an autoscaler sees of the queue
    "TUNE_MAX_PENDING_TRIALS_PG": "256",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
}


@dataclass(frozen=True)
class Resources:
    """What trials get, and how many run at once.

    Attributes:
        concurrent: trials at once; 0: as many as the cluster has room for.
        cpus: for each trial; also its threads.
        gpus: for each trial; a fraction lets several share one.
        autoscaling: trials beyond the present room wait for nodes that Ray's autoscaler adds.
        decoding: further CPUs for each, of processes that decode image files for it.

    Raises:
        InputError: a negative or absurd number.
    """

    concurrent: int = 0
    cpus: float = 1
    gpus: float = 0
    autoscaling: bool = False
    decoding: int = 0

    @property
    def all_cpus(self) -> float:
        """That a trial is given."""
        return self.cpus + self.decoding

    def __post_init__(self) -> None:
        if not 0 <= self.concurrent <= 100_000:
            raise InputError(
                f"concurrent {self.concurrent}: expected 1 or more (or 0: all there is room for)"
            )
        if not 0 < self.cpus <= 4096:
            raise InputError(f"cpus-per-trial {self.cpus:g}: expected more than 0")
        if not 0 <= self.gpus <= 1024 or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise InputError(f"gpus-per-trial {self.gpus:g}: expected 0, a fraction, or a whole number")
        if self.autoscaling and not self.concurrent:
            raise InputError("autoscaling: give --concurrent, so that it is known how far to grow")


_joined: str | None = None
"""What the user called the cluster that this process has joined: `localhost:6379`, say."""


def connect(address: str | None = None, dashboard: bool = False) -> str | None:
    """Join the cluster at `address` (or RAY_ADDRESS), or start Ray on this machine.

    Args:
        address: `auto`, or host:port.
        dashboard: where Ray is started here, start its dashboard too, for this machine only.

    Returns:
        The address of Ray's dashboard, if there is one.

    Raises:
        InputError: there is no cluster at the address.
    """
    if (address or "").startswith("ray://"):
        raise InputError(
            f"address {address!r}: the search must run inside the cluster, not through Ray Client: "
            "`nas launch --to job` takes it there"
        )
    global _joined
    for name, value in TUNE_SETTINGS.items():
        os.environ.setdefault(name, value)
    if ray.is_initialized():
        there = ray.get_runtime_context().gcs_address
        if address not in (None, "auto", there, _joined):
            raise InputError(f"address {address!r}: this process is connected to {there} already")
        return None
    _check_reachable(address)
    elsewhere = address or os.environ.get("RAY_ADDRESS")
    if elsewhere:
        use_token()
    else:
        private_token()  # Ray may make one
    try:
        context = ray.init(
            # "local" starts Ray here even beside a running cluster, which None would join silently
            address=elsewhere or "local",
            log_to_driver=False,
            logging_level=logging.ERROR,
            include_dashboard=None if elsewhere else dashboard,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"address {address!r}: no Ray cluster there: {str(error).splitlines()[0]}") from None
    except OSError as error:
        if "AF_UNIX path length" not in str(error):
            raise
        raise InputError(
            f"TMPDIR {tempfile.gettempdir()!r}: too long for Ray, whose sockets lie in it (107 bytes "
            "with what it adds): set a shorter one"
        ) from None
    finally:
        if not elsewhere:
            private_token()
    url = str(context.dashboard_url or "")
    _joined = address
    return (url if "://" in url else f"http://{url}") if url else None


def connected() -> bool:
    """Whether this process is part of a cluster already."""
    return bool(ray.is_initialized())


def use_token() -> None:
    """Show this machine's Ray token to the cluster; `ray start` asks for it wherever there is one."""
    try:
        from ray._private.authentication import authentication_token_setup as setup
    except ImportError:  # an older Ray has no tokens
        return
    logging.getLogger(setup.__name__).setLevel(logging.ERROR)  # it tells of the token on each start
    setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def _check_reachable(address: str | None) -> None:
    """Ray itself would try for minutes before it says that nobody listens."""
    match = re.fullmatch(r"(.+):(\d+)", address or "")
    if match:
        try:
            socket.create_connection((match[1], int(match[2])), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise InputError(f"address {address!r}: no Ray cluster there: {error}") from None


def room(resources: Resources) -> int:
    """How many trials the connected cluster can run at once."""
    total = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            fits = [has.get("CPU", 0) / resources.all_cpus]
            if resources.gpus:
                fits.append(has.get("GPU", 0) / resources.gpus)
            total += int(min(fits) + 1e-9)
    return total


def describe_nodes() -> list[dict[str, Any]]:
    """The connected cluster's nodes: `id`, `address`, `host`, `metrics`, `resources`, what is `free` of them.

    `metrics` is where Prometheus finds the node's figures, and the search's on its driver's node.
    """
    free = ray._private.state.available_resources_per_node()
    shown = ("CPU", "GPU", "memory")
    return [
        {
            "id": node["NodeID"],
            "address": node["NodeManagerAddress"],
            "host": node["NodeManagerHostname"],
            "metrics": f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics",
            "resources": {name: has for name, has in node["Resources"].items() if name in shown},
            "free": {k: v for k, v in free.get(node["NodeID"], {}).items() if k in shown},
        }
        for node in ray.nodes()
        if node["Alive"]
    ]


def node_of(actor: Any) -> str | None:
    """Id of the node that an actor is on, or was; None: it has none yet."""
    known = ray._private.state.actors(actor._actor_id.hex())
    node = (known.get("Address") or {}).get("NodeID")
    return node if node and set(node) != {"f"} else None  # Ray's id of nothing


def check_room(resources: Resources) -> int:
    """The number of trials to run at once.

    Raises:
        InputError: the cluster has no room for so many; the message says what is missing.
    """
    has = room(resources)
    wanted = resources.concurrent or max(1, has)
    if wanted <= has or resources.autoscaling:
        return wanted
    total = ray.cluster_resources()
    pairs = [(n, w) for n, w in (("CPU", resources.all_cpus), ("GPU", resources.gpus)) if w]
    needs = " and ".join(f"{wanted * w:g} {n}" for n, w in pairs)
    each = " and ".join(f"{w:g} {n}" for n, w in pairs)
    there = " and ".join(f"{total.get(n, 0):g} {n}" for n, _ in pairs)
    lower = ["--concurrent"]
    lower += ["--workers (0: decoded in the trial itself)"] if resources.decoding else []
    lower += ["--gpus-per-trial (0: without GPUs)"] if resources.gpus else []
    raise InputError(
        f"concurrent {wanted}: {wanted} trials of {each} need {needs}, the cluster has {there}: "
        f"room for {has} at once; lower {' or '.join(lower)}, or add nodes "
        "(--autoscaling if Ray adds them by itself)"
    )


def check_nodes(checkpoints: Checkpoints | None, folders: Sequence[str], timeout: float = 120) -> None:
    """See that every node can do the work, before the first trial starts.

    Args:
        checkpoints: that workers must be able to reach; None: they write none.
        folders: that they must be able to read.
        timeout: seconds for all nodes together.

    Raises:
        InputError: the first problem, with its node's name.
    """
    mark = checkpoints.mark() if checkpoints else None
    task = ray.remote(num_cpus=0, max_retries=1)(_problem_of_this_node)
    asked = {}
    for node in (node for node in ray.nodes() if node["Alive"]):
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[task.options(scheduling_strategy=here).remote(checkpoints, mark, list(folders))] = node
    ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=timeout)
    for reference in late:
        raise InputError(f"{node_name(asked[reference])}: gave no answer within {timeout:g} s")
    for reference in ready:
        try:
            problem = ray.get(reference)
        except ray.exceptions.RayError as error:
            problem = f"cannot run this package: {str(error).strip().splitlines()[-1]}"
        if problem:
            raise InputError(f"{node_name(asked[reference])}: {problem}")


def _problem_of_this_node(
    checkpoints: Checkpoints | None, mark: str | None, folders: Sequence[str]
) -> str | None:
    if checkpoints is not None and mark is not None and not checkpoints.sees(mark):
        return (
            f"does not see {checkpoints.url}, where running trials keep their checkpoints: "
            "give --storage with a folder that all nodes share, or an object store"
        )
    for folder in folders:
        if not os.access(folder, os.R_OK | os.X_OK):
            return f"cannot read the folder {folder}: it must be there on every node"
    return None


def node_name(node: dict[str, Any]) -> str:
    """How people know a node: its address, host name and the beginning of its id."""
    return f"node {node['NodeManagerAddress']} ({node['NodeManagerHostname']}, {node['NodeID'][:8]})"
