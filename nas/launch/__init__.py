"""Taking a search to a cluster: as a Ray job, to KubeRay, to Slurm."""
