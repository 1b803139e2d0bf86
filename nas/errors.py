"""Errors that several rooms share."""


class TrialFailedError(Exception):
    """A trial has no result; the message is the reason that the journal keeps.

    Raised by evaluators and by the reward. The search goes on: the controller learns of a failure,
    never of a reward of 0.
    """
