"""Makes the embedded surrogate from Accel-NASBench's records, or checks it against them.

python benchmarks/fit_surrogate.py RECORDS            # fidelity over 5 splits, speed, digest
python benchmarks/fit_surrogate.py RECORDS --write    # and write the files that ship
"""

import json
import sys
import time

import numpy as np

from nas.benchmark.fit import fit
from nas.benchmark.records import read_benchmark
from nas.benchmark.surrogate import EMBEDDED, FAMILIES
from nas.benchmark.surrogate_file import read_surrogate
from search_spaces.document import write_atomically

QUERIES = 200_000


def main(path, *flags):
    records = read_benchmark(path)
    print(f"{len(records)} records, digest {records.digest}, noise {records.noise():.3f} points")
    began = time.perf_counter()
    surrogate = fit(records, progress=print, splits=5)
    print(f"fitted six times in {time.perf_counter() - began:.0f} s")
    print("for nothing: " + ", ".join(f"{name} {tau:.4f}" for name, tau in surrogate.about["free"].items()))
    for part, scores in surrogate.about["fidelity"].items():
        print(f"{part}: " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    sizes = [len(decision) for decision in surrogate.space.decisions]
    rows = np.random.default_rng(0).integers(sizes, size=(QUERIES, len(sizes)))
    for family in FAMILIES:
        surrogate.top1(rows[:10], family)
        began = time.perf_counter()
        surrogate.top1(rows, family)
        print(f"{family}: {QUERIES / (time.perf_counter() - began):,.0f} queries/s (wanted: 100,000)")
    if "--write" in flags:
        write_atomically(EMBEDDED, surrogate.to_bytes())
        about = surrogate.about | {"surrogate_digest": surrogate.digest, "bytes": EMBEDDED.stat().st_size}
        write_atomically(EMBEDDED.with_suffix(".json"), (json.dumps(about, indent=2) + "\n").encode())
        print(f"wrote {EMBEDDED} ({about['bytes']:,} bytes), digest {surrogate.digest}")
    else:
        embedded = read_surrogate()
        gap = np.abs(embedded.top1(records.architectures) - surrogate.top1(records.architectures))
        print(f"the embedded surrogate ({embedded.digest}) differs by {gap.max():.4f} points at most")


if __name__ == "__main__":
    main(*sys.argv[1:])
