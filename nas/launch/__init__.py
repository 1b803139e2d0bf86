"""Taking a search to a cluster: as a Ray job, to KubeRay, to Slurm."""

from nas.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "request": ["Request"],
        "job": ["Job", "make_job"],
        "kuberay": ["ray_cluster", "ray_job"],
        "pods": ["fit_for_pods"],
        "slurm": ["batch_script"],
        "outputs": ["pack", "unpack"],
        "copies": ["write_launch_files"],
    },
)
