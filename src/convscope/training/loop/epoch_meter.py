"""An epoch's sums and clocks: how fast, how good, how long yet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from convscope.runs.events import EpochRow, StepProgress

SHOW_EVERY_SECONDS = 0.1


class EpochMeter:
    """The sums and clocks of the epoch after `epoch` complete ones, which took `seconds`."""

    def __init__(self, *, epoch: int, epochs: int, batches: int, seconds: float) -> None:
        self._epoch = epoch
        self._epochs = epochs
        self._batches = batches
        self._began = time.perf_counter()
        self._shown = self._began
        self._waited = 0.0
        self._images = 0
        self._loss = 0.0
        self._right = 0
        # Epochs before this one tell what an epoch takes, its validation included.
        self._epoch_seconds = seconds / epoch if epoch else None

    @property
    def elapsed(self) -> float:
        """Seconds since the epoch began."""
        return time.perf_counter() - self._began

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time spent inside is time spent on preparing data."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    def count(self, images: int, loss: float, right: int) -> None:
        """Add a batch."""
        self._images += images
        self._loss += loss * images
        self._right += right

    def due(self, batch: int, rate: float) -> StepProgress | None:
        """Where the epoch stands, when it is time to show it and anything was counted."""
        now = time.perf_counter()
        if not self._images:
            return None
        if now - self._shown < SHOW_EVERY_SECONDS and batch < self._batches:
            return None
        self._shown = now
        elapsed = now - self._began
        epoch_seconds = self._epoch_seconds or elapsed / batch * self._batches
        left = epoch_seconds * (self._epochs - self._epoch - batch / self._batches)
        return StepProgress(
            epoch=self._epoch + 1,
            epochs=self._epochs,
            batch=batch,
            batches=self._batches,
            loss=self._loss / self._images,
            accuracy=self._right / self._images,
            learning_rate=rate,
            images_per_second=self._images / max(elapsed, 1e-9),
            seconds_left=left,
        )

    def row(self, rate: float) -> EpochRow:
        """The epoch's measures, before its validation."""
        elapsed = max(self.elapsed, 1e-9)
        return EpochRow(
            epoch=self._epoch + 1,
            seconds=elapsed,
            train_loss=self._loss / self._images,
            train_accuracy=self._right / self._images,
            val_loss=None,
            val_accuracy=None,
            learning_rate=rate,
            images_per_second=self._images / elapsed,
            data_wait=self._waited / elapsed,
            best=False,
        )
