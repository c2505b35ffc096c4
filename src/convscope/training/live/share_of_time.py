"""How often something is done beside a training, so that it takes at most a share of its time."""

from __future__ import annotations


class ShareOfTime:
    """Says when work is due that may take a share of the time, and comes no more often than an interval.

    Its cost is that of the last time, or `expected` seconds before the first.

    >>> work = ShareOfTime(share=0.01, interval=0.5, expected=0.002)
    >>> work.is_due(0.1), work.is_due(0.6)
    (False, True)
    >>> work.done(0.6, seconds=0.02)  # 0.02 s are 1 % of 2 s
    >>> work.is_due(2.5), work.is_due(2.7)
    (False, True)
    """

    def __init__(self, *, share: float, interval: float, expected: float, begun: float = 0.0) -> None:
        self._share = share
        self._interval = interval
        self._cost = expected
        self._last = begun

    def is_due(self, now: float, *, interval: float | None = None) -> bool:
        """Return whether the work is due; with an `interval` it comes no more often than that instead."""
        least = self._interval if interval is None else interval
        return now - self._last >= max(least, self._cost / self._share)

    def done(self, now: float, *, seconds: float) -> None:
        """Note that the work was done at `now`, and what it took."""
        self._last, self._cost = now, seconds

    def leave_out(self, seconds: float) -> None:
        """Leave out seconds in which the training waited."""
        self._last += seconds
