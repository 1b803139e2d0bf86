"""A search as a KubeRay RayJob: a cluster that grows with the queue and goes when the search is done."""

from __future__ import annotations

import re
import shlex
from typing import Any

from nas.launch.request import Request
from search_spaces.errors import InputError


def ray_job(request: Request) -> dict[str, Any]:
    """The RayJob (API ray.io/v1).

    Raises:
        InputError: a word of the command that would not reach the search as it is.
    """
    for word in request.command:
        # the operator's shell reads it, then the job's, behind `ray job submit`, which quotes spaces only
        if not re.fullmatch(r"[\w@%+=:,./ -]+", word):
            raise InputError(
                f"{word!r}: on its way through KubeRay a word of the command keeps letters, digits, spaces "
                "and @%+=:,./_- only"
            )
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": request.name},
        "spec": {
            "entrypoint": shlex.join(["nas", *request.command, "--address", "auto"]),
            "submissionMode": "K8sJobMode",
            # an evicted head starts again, and the search goes on from its storage (--or-resume)
            "backoffLimit": 3,
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 600,
            "rayClusterSpec": cluster_spec(request),
        },
    }


def ray_cluster(request: Request) -> dict[str, Any]:
    """A RayCluster that stays, for several searches."""
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": request.name},
        "spec": cluster_spec(request),
    }


def cluster_spec(request: Request) -> dict[str, Any]:
    """A head without trials, and GPU workers from none to `request.workers`."""
    worker: dict[str, Any] = {"cpu": str(request.cpus), "memory": f"{request.memory}Gi"}
    if request.gpus:
        worker["nvidia.com/gpu"] = request.gpus
    return {
        "rayVersion": request.ray_version,
        "enableInTreeAutoscaling": True,
        # a pod whose Ray shows no token gets no answer; the operator (KubeRay 1.5.1 on) makes it a secret
        "authOptions": {"mode": "token"},
        "headGroupSpec": {
            # a service inside the cluster only: no port is public
            "serviceType": "ClusterIP",
            "rayStartParams": {"num-cpus": "0", "num-gpus": "0"},
            "template": _pod(request, "ray-head", {"cpu": "4", "memory": "16Gi"}),
        },
        "workerGroupSpecs": [
            {
                "groupName": "gpu" if request.gpus else "cpu",
                "replicas": 0,
                "minReplicas": 0,
                "maxReplicas": request.workers,
                "rayStartParams": {},
                "template": _pod(request, "ray-worker", worker, spot=True),
            }
        ],
    }


def _pod(request: Request, name: str, resources: dict[str, Any], spot: bool = False) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": name,
        "image": request.image,
        "resources": {"limits": dict(resources), "requests": dict(resources)},
        # the object store: shared memory, which is 64 MB where nothing is said
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    if request.environment:
        # Kubernetes puts variables in for $(NAME); $$ is a plain $
        values = {key: text.replace("$", "$$") for key, text in request.environment.items()}
        container["env"] = [{"name": key, "value": text} for key, text in values.items()]
    pod: dict[str, Any] = {
        "containers": [container],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
        # time for running trials to checkpoint, when the pod is asked to go
        "terminationGracePeriodSeconds": 120,
    }
    if spot:
        # machines that may be taken away are marked so by most clouds; a lost node costs an epoch
        pod["tolerations"] = [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "cloud.google.com/gke-spot", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "kubernetes.azure.com/scalesetpriority", "operator": "Exists", "effect": "NoSchedule"},
        ]
    return {"spec": pod}
