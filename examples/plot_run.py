"""Load a run, look at its trials as a table, and plot it: python examples/plot_run.py runs/first front.png"""

import sys

import nas

run = nas.open(sys.argv[1])
trials = run.trials()
print(trials.sort_values("reward", ascending=False)[["reward", "accuracy", "macs"]].head())
print("front:", list(run.front().index), "best:", run.best.trial)
print("parameters of the best:", run.best.costs["params"], "at", run.spec.resolution, "px")
run.plot().savefig(sys.argv[2])
