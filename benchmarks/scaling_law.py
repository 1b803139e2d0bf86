"""Is what a scaling law says of four ways to scale true? B0's law, and the ways trained at 4 times its MACs.

Twelve trainings for the law and four to check it, on Ray, two at once, of a small proxy on digits: three
minutes or so.

    python benchmarks/scaling_law.py [FOLDER]
"""

import json
import subprocess
import sys
from pathlib import Path

from scipy.stats import kendalltau

PROXY = ["--data", "digits", "--resolution", "16", "--width", "0.15", "--epochs", "8", "--concurrent", "2"]


def trained(folder, *words):
    """The document of `nas scale`, or of the run that is there already."""
    if (folder / "search.yaml").exists():
        command = ["resume", str(folder), "--concurrent", "2"]
    else:
        command = [
            "scale",
            "efficientnet-b0",
            *words,
            "--data",
            "fashion-mnist",
            *PROXY,
            "--out",
            str(folder),
        ]
    done = subprocess.run(
        [sys.executable, "-m", "nas", *command, "--json"], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout)


def main(folder="runs/scaling-law"):
    folder = Path(folder)
    law = trained(folder / "law", "--law")
    chosen = [f"--{name}={law[name]['value']:.4g}" for name in ("alpha", "beta", "gamma")]
    study = trained(folder / "study", "--study", "--budgets", f"{law['factor']:g}", *chosen)
    for name in ("alpha", "beta", "gamma"):
        print(f"{name}: {law[name]['value']:.3f} ({law[name]['low']:.3f} to {law[name]['high']:.3f})")
    print(f"noise of the logarithm of the error: {law['noise']:.3f}")
    seen = {point["mode"]: point["accuracy"] for point in study["points"] if point["mode"] != "baseline"}
    for mode, told in law["ways"].items():
        print(
            f"{mode}: told {told['value']:.3f} ({told['low']:.3f} to {told['high']:.3f}; the best with "
            f"{told['chance_of_best']:.0%}), trained {seen[mode]:.3f}"
        )
    order = [(told["value"], seen[mode]) for mode, told in law["ways"].items()]
    print(f"Kendall tau of told and trained: {kendalltau(*zip(*order, strict=True))[0]:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
