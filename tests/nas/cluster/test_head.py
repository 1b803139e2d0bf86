"""The head of a cluster is lost: who calls Ray goes on without it. No cluster here; test_multi_node.py has one."""

import signal
import threading
import time

import pytest
import ray

from nas.cluster.head import _RAYS, while_the_head_lives
from nas.errors import HeadLostError
from search_spaces.errors import InputError


@pytest.fixture
def lost(monkeypatch):
    """Set: the head gives no answer any more, and whoever calls Ray waits for it."""
    back, is_lost = threading.Event(), threading.Event()
    monkeypatch.setattr(ray, "nodes", lambda: back.wait() if is_lost.is_set() else None)
    monkeypatch.setenv(_RAYS, "2")
    is_lost.back = back
    yield is_lost
    back.set()


def test_what_it_raises_is_raised_and_what_it_does_is_done(lost):
    done = []
    while_the_head_lives(lambda: done.append(threading.current_thread()))
    assert done != [threading.main_thread()]
    with pytest.raises(InputError, match="made up"):
        while_the_head_lives(lambda: (_ for _ in ()).throw(InputError("made up")))


def test_a_thread_that_waits_for_a_lost_head_is_left(lost):
    went_on = []

    def body():
        lost.set()
        lost.back.wait()
        went_on.append(True)

    began = time.monotonic()
    with pytest.raises(HeadLostError, match=r"has not answered for 1\.5 s"):
        while_the_head_lives(body)
    assert 1.4 < time.monotonic() - began < 6
    lost.back.set()  # whatever it was waiting for: it touches nothing any more
    time.sleep(0.2)
    assert went_on == []


def test_a_head_that_answers_now_and_then_lives(monkeypatch):
    answers = iter([None, ConnectionError("made up"), None])

    def nodes():
        if (answer := next(answers, None)) is not None:
            raise answer

    monkeypatch.setattr(ray, "nodes", nodes)
    monkeypatch.setenv(_RAYS, "4")
    while_the_head_lives(lambda: time.sleep(4))


def test_an_interrupt_ends_the_thread_too(lost):
    ended = []

    def body():
        try:
            while True:
                time.sleep(0.01)
        finally:
            ended.append(True)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            while_the_head_lives(body)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ended == [True]
