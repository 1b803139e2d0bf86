"""What an example may take: a few seconds of the processor, two gigabytes, and no traceback."""

import os
import resource
import signal
import time
from contextlib import contextmanager

from hypothesis import HealthCheck, Phase, seed, settings

EXAMPLES = int(os.environ.get("NAS_FUZZ_EXAMPLES", 150))
SEED = int(os.environ.get("NAS_FUZZ_SEED", 0))
SECONDS, WAIT, BYTES = 5.0, 30, 2 << 30


def fuzz(examples, of=SEED):
    """So many examples, drawn by a seed, none kept."""

    def wrap(test):
        asked = settings(
            max_examples=int(examples), deadline=None, database=None, suppress_health_check=list(HealthCheck),
            print_blob=True, phases=[p for p in Phase if p.name != "explain"],
        )  # fmt: skip
        return seed(of)(asked(test))

    return wrap


class TooLongError(BaseException):
    """Not to be caught by what is tested."""


@contextmanager
def guarded(what):
    """Fails where the body takes more than is granted; what it raises is its own matter."""

    def ended(number, frame):
        raise TooLongError(f"{what}: no answer after {WAIT} s, or {SECONDS:g} s of the processor")

    before = {signum: signal.signal(signum, ended) for signum in (signal.SIGALRM, signal.SIGVTALRM)}
    signal.setitimer(signal.ITIMER_REAL, WAIT)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    began = time.process_time()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        for signum, handler in before.items():
            signal.signal(signum, handler)
    seconds, peak = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert seconds < SECONDS, f"{what}: {seconds:.1f} s"
    assert peak < BYTES, f"{what}: {peak >> 20} MiB"
