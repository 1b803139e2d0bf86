"""Width, depth, resolution and compound scaling of EfficientNet-B0 at equal MACs, on Fashion-MNIST.

Thirteen trainings on Ray, two at once, of a small proxy (baseline 14 px, a seventh of the widths, a fifth
of the images, 8 epochs); the figure in docs/scaling.md is this one's.

    python benchmarks/scaling_study.py [FOLDER]
"""

import subprocess
import sys

PROXY = ["--resolution", "14", "--width", "0.15", "--subset", "0.2", "--epochs", "8"]


def main(folder="runs/scaling-study"):
    command = [sys.executable, "-m", "nas", "scale", "efficientnet-b0", "--study", "--data", "fashion-mnist"]
    command += ["--budgets", "1.5,2.5,4", *PROXY, "--concurrent", "2", "--out", folder]
    sys.exit(subprocess.call(command))


if __name__ == "__main__":
    main(*sys.argv[1:])
