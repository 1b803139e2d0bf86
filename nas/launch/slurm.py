"""A search as a Slurm batch job: a Ray cluster on the allocated nodes, the search on the first of them."""

from __future__ import annotations

from nas.launch.request import Request
from search_spaces.quoting import shell_command

_HEAD = """\
#!/usr/bin/env bash
#SBATCH --job-name={name}
#SBATCH --nodes={workers}
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task={cpus}
{gpus}#SBATCH --mem={memory}G
#SBATCH --time={time}
{partition}#SBATCH --output=%x-%j.log
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
"""

_BODY = """\
# A Ray cluster on the allocated nodes, and a search on the first of them. Two minutes before its time is
# up, or when it is preempted, the search checkpoints what runs; --or-resume goes on from there.
set -euo pipefail

# Ray's ports are open to whoever reaches the nodes: it takes no one without this job's token
token_folder=$(mktemp -d -p "$HOME" .ray-token-XXXXXXXX)
trap 'rm -rf "$token_folder"' EXIT
token_file=$token_folder/token
(umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n' >"$token_file")
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$token_file
export RAY_ADDRESS=

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head_ip=$(srun --nodes=1 --ntasks=1 -w "${nodes[0]}" hostname --ip-address | awk '{print $1}')
# two jobs may share a machine
port=$((20000 + SLURM_JOB_ID % 20000))

# (newer versions of srun don't take --cpus-per-task over from the job)
srun --nodes=1 --ntasks=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" -w "${nodes[0]}" \\
    ray start --head --block --disable-usage-stats \\
    --node-ip-address="$head_ip" --port="$port" --dashboard-host=127.0.0.1 \\
    --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" &
sleep 15
if ((${#nodes[@]} > 1)); then
    others=$(IFS=,; echo "${nodes[*]:1}")
    srun --nodes=$((${#nodes[@]} - 1)) --ntasks-per-node=1 \\
        --cpus-per-task="$SLURM_CPUS_PER_TASK" -w "$others" \\
        ray start --block --disable-usage-stats --address="$head_ip:$port" \\
        --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" &
    sleep 15
fi

# the shell waits, so that the signal reaches the search at once
"""

_END = """\
search=$!
trap 'kill -TERM "$search"' TERM
code=0
wait "$search" || code=$?
if kill -0 "$search" 2>/dev/null; then # the trap ended the wait: the search is checkpointing
    code=0
    wait "$search" || code=$?
fi
# 130: stopped with trials left; back into the queue
if ((code == 130)); then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


def batch_script(request: Request) -> str:
    """The script for `sbatch`."""
    minutes = round(request.hours * 60)
    head = _HEAD.format(
        name=request.name,
        workers=request.workers,
        cpus=request.cpus,
        gpus=f"#SBATCH --gpus-per-node={request.gpus}\n" if request.gpus else "",
        memory=request.memory,
        time=f"{minutes // 60:02}:{minutes % 60:02}:00",
        partition=f"#SBATCH --partition={request.partition}\n" if request.partition else "",
    )
    variables = "".join(f"export {key}={shell_command(text)}\n" for key, text in request.environment.items())
    command = shell_command("nas", *request.command)
    return f'{head}{_BODY}{variables}{command} --address "$head_ip:$port" &\n{_END}'
