"""What an example may take: a few seconds of the processor, two gigabytes, and no traceback."""

import resource
import signal
import time
from contextlib import contextmanager

SECONDS, WAIT, BYTES = 5.0, 30, 2 << 30


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
