"""A search with a made-up evaluator as a process of its own, so that a test can kill it. Not a test file.

python -m tests.nas.cluster.driver ADDRESS FOLDER '{"trials": 20, ...}'
"""

import json
import sys
from pathlib import Path

from controller import make_controller
from nas.cluster.nodes import Resources, connect
from nas.cluster.tune import run_on_ray
from nas.search.journal import Journal
from nas.search.loop import SearchLoop
from nas.search.reward import make_reward
from search_spaces import get_space
from tests.nas.search import fakes


def main(address, folder, options):
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    evaluator = getattr(fakes, options.get("evaluator", "Noted"))(str(folder), **options.get("arguments", {}))
    resources = Resources(options.get("concurrent", 0), options.get("cpus", 1), options.get("gpus", 0))
    connect(address)
    with Journal(folder) as journal:
        controller = make_controller("evolution", get_space("mnasnet"), options.get("seed", 0))
        loop = SearchLoop(controller, make_reward("soft", {"macs": "400M"}), journal, options["trials"])
        say = lambda text: print(text, flush=True)  # noqa: E731
        run_on_ray(loop, evaluator, folder, resources, say=say, **options.get("run", {}))
    print("complete", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
