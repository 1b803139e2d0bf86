"""Racing of ten finalists, beside ten x three seeds: on the ImageNet benchmark and on the recorded curves.

Both with the noise that two trainings of one network had there.

python benchmarks/racing.py            # 200 repeats of each
python benchmarks/racing.py 50
"""

import sys

import numpy as np
from evaluations import oracle_of

from nas.benchmark.landmarks import true_rewards
from nas.benchmark.load import CURVES, load_surrogate, run_benchmark_file
from nas.benchmark.run_surrogate import read_run_surrogate
from nas.search.racing import Race
from nas.search.reward import make_reward

POOL, FINALISTS, SEEDS = 20_000, 10, 3


def race(true, error, rng, **settings):
    """(winner, trainings, claimed probability) of one race."""
    runner = Race([str(place) for place in range(len(true))], **settings)
    while asked := runner.ask():
        runner.tell({name: true[int(name)] + rng.normal(0, error) for name in asked})
    first = runner.standings[0]
    return int(first.name), runner.trainings, runner.certainty


def compare(label, rewards, noise, repeats):
    """Races among finalists of some rewards, in all ways."""
    ranked = np.argsort(-rewards)
    print(f"{label}: noise {noise:.4f}; {repeats} repeats; reward lost in units of the noise")
    for name, among in (
        ("any", ranked),
        ("top 10%", ranked[: len(ranked) // 10]),
        ("top 1%", ranked[: len(ranked) // 100]),
    ):
        if len(among) < FINALISTS:
            continue
        for way, settings in (
            ("P .90, noise known", {"probability": 0.90, "noise": noise}),
            ("P .95, noise known", {"probability": 0.95, "noise": noise}),
            ("P .90, noise estimated", {"probability": 0.90}),
            ("P .90, margin of one noise", {"probability": 0.90, "noise": noise, "margin": noise}),
        ):
            rng, found = np.random.default_rng(1), []
            for _ in range(repeats):
                true = rewards[rng.choice(among, FINALISTS, replace=False)]
                won, trainings, claimed = race(true, noise, rng, most=5, **settings)
                fixed = int((true + rng.normal(0, noise / SEEDS**0.5, FINALISTS)).argmax())
                best = true.max()
                lost = [(best - true[place]) / noise for place in (won, fixed)]
                found.append((lost[0] == 0, trainings, claimed, lost[0], lost[1] == 0, lost[1]))
            right, spent, claimed, lost, fixed, fixed_lost = np.mean(found, axis=0)
            print(
                f"finalists from {name}: {way}: best chosen {right:.1%} (claimed {claimed:.1%}), "
                f"lost {lost:.3f}, {spent:.1f} trainings | 10 x 3: {fixed:.1%}, lost {fixed_lost:.3f}"
            )


def main(repeats="200"):
    surrogate, reward = load_surrogate(), make_reward("soft", {"benchmark_macs": "400M"})
    sizes = [len(decision) for decision in surrogate.space.decisions]
    rows = np.random.default_rng(0).integers(sizes, size=(POOL, len(sizes)))
    rewards = true_rewards(surrogate, "mlp", reward)(rows)
    compare("ImageNet", rewards, float(surrogate.about["noise"]) / 100, int(repeats))
    curves = read_run_surrogate(run_benchmark_file(CURVES))
    sizes = [len(decision) for decision in curves.space.decisions]
    rows = np.random.default_rng(0).integers(sizes, size=(POOL // 10, len(sizes)))
    oracle, _ = oracle_of(CURVES)
    compare("curves", oracle.rewards(curves.space.canonical_rows(rows)), curves.trainings.noise, int(repeats))


if __name__ == "__main__":
    main(*sys.argv[1:])
