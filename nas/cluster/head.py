"""The cluster's head may be lost: then Ray's calls wait for it, until Ray ends the process in its own words.

So what calls Ray runs in a thread of its own, which can be left, and the head is asked all the time.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable

import ray

from nas.errors import HeadLostError

_PATIENCE = 45.0
"""Seconds without an answer. A head that Ray starts again with what it knew (its GCS on Redis) may be back
within them; after 60 Ray ends every process of the cluster that has waited."""
_RAYS = "RAY_gcs_rpc_server_reconnect_timeout_s"
_BEAT = 1.0
_TO_END = 10.0
"""Seconds that an interrupted thread has to come to its end."""


def while_the_head_lives(body: Callable[[], None]) -> None:
    """Run something that calls Ray, in a thread of its own; return, or raise, when it has.

    An exception that is raised here meanwhile, as by a signal's handler, ends the thread too.

    Raises:
        HeadLostError: the head gave no answer for 45 s. The thread is left: it ends when the process does,
            which should be soon, by `os._exit` (Ray's own end would wait for the head).
    """
    patience = min(_PATIENCE, 0.75 * float(os.environ.get(_RAYS) or 60))
    over, errors = threading.Event(), list[BaseException]()
    answered = time.monotonic()

    def run() -> None:
        try:
            body()
        except BaseException as error:
            errors.append(error)
        over.set()

    def ask() -> None:
        nonlocal answered
        while not over.wait(_BEAT):
            try:
                ray.nodes()
            except Exception:  # of many kinds, and all the same: that is no answer
                continue
            answered = time.monotonic()

    runner = threading.Thread(target=run, name="Ray's calls", daemon=True)
    runner.start()
    asker = threading.Thread(target=ask, name="asks Ray's head", daemon=True)
    asker.start()
    try:
        while not over.wait(0.2):
            if time.monotonic() - answered > patience:
                raise HeadLostError(f"the head of the Ray cluster has not answered for {patience:g} s")
    except BaseException as error:
        _interrupt(runner)
        if not isinstance(error, HeadLostError):
            runner.join(_TO_END)
        raise
    finally:
        over.set()
        asker.join(_BEAT)  # Ray may be shut down next
    if errors:
        raise errors[0]


def _interrupt(thread: threading.Thread) -> None:
    """Raise KeyboardInterrupt in a thread, as soon as it comes back to Python."""
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt)
    )
