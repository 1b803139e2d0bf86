"""Errors that several rooms share."""

from search_spaces.errors import InputError


class TrialFailedError(Exception):
    """A trial has no result; the message is the reason that the journal keeps.

    Raised by evaluators and by the reward. The search goes on: the controller learns of a failure,
    never of a reward of 0.
    """


class HeadLostError(InputError):
    """The Ray cluster that a search runs on has lost its head; the message says how to go on.

    Ray is of no use to this process any more: it waits for the head, and ends the process after a minute.
    """
