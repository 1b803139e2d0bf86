"""Joining a cluster while the caller reads its data: both wait for others most of the time."""

from __future__ import annotations

import threading

import ray

from nas.cluster.nodes import connect, connected


class Joining:
    """`connect` on its way, in a thread of its own.

    Args:
        address, dashboard: as `connect` takes them.

    Attributes:
        ours: this process was part of no cluster before; who connects, leaves.
    """

    def __init__(self, address: str | None = None, dashboard: bool = False) -> None:
        self.ours = not connected()
        self._asked = address, dashboard
        self._url: str | None = None
        self._error: BaseException | None = None
        self._joined = threading.Event()
        # a daemon: whoever gives up meanwhile, with Ctrl-C say, waits for no cluster
        threading.Thread(target=self._connect, name="joining Ray", daemon=True).start()

    def _connect(self) -> None:
        try:
            self._url = connect(*self._asked)
        except BaseException as error:  # raised where it is waited for
            self._error = error
        self._joined.set()
        # what Ray has started here is to end when the thread that started it does (PR_SET_PDEATHSIG)
        threading.Event().wait()

    def wait(self) -> str | None:
        """What `connect` returns, once it has; raises what it raised."""
        self._joined.wait()
        if self._error is not None:
            raise self._error
        return self._url

    def leave(self) -> None:
        """Leave the cluster again, which isn't needed, and stop it if it was started here."""
        self._joined.wait()
        if self.ours and self._error is None:
            ray.shutdown()
