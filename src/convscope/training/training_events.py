"""The events of a training as an iterator: it trains in a thread, which waits while the caller looks at an event."""

from __future__ import annotations

import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from types import TracebackType

from convscope.api.torch_state import callers_state, known_state
from convscope.errors import RunError
from convscope.report.progress import ProgressOption
from convscope.runs.events import EpochRow, Event, Listener, Message, Silent, StepProgress
from convscope.runs.training_display import listening
from convscope.training.interrupt import StopRequest, StopTraining
from convscope.training.outcome import Outcome


class Ended:
    """The end of a training in the queue of its events: what it came to, or the error that ended it."""

    def __init__(self, outcome: Outcome | None, error: BaseException | None) -> None:
        self.outcome, self.error = outcome, error


class Channel:
    """What the thread that trains and the iterator share; it is the training's listener, before a display."""

    def __init__(self, progress: ProgressOption) -> None:
        self.queue = SimpleQueue[Event | Ended]()
        self.request = StopRequest()
        # Set once the caller is done with the event that was handed over last.
        self.looked_at = threading.Event()
        self.thread: threading.Thread | None = None
        self._progress = progress
        self._display: Listener = Silent()

    def notify(self, line: str) -> None:
        """Hand a message over."""
        self._display.notify(line)
        self._hand_over(Message(text=line))

    def warn(self, line: str) -> None:
        """Hand a warning over."""
        self._display.warn(line)
        self._hand_over(Message(text=line, level="warning"))

    def progressed(self, done: int, total: int, what: str) -> None:
        """Show it."""
        self._display.progressed(done, total, what)

    def stepped(self, step: StepProgress) -> None:
        """Show it."""
        self._display.stepped(step)

    def epoch_ended(self, row: EpochRow) -> None:
        """Show it; `on_epoch` hands it over, once it is written."""
        self._display.epoch_ended(row)

    def moved(self, share: float, seconds_left: float | None) -> None:
        """Show it."""
        self._display.moved(share, seconds_left)

    def on_epoch(self, row: EpochRow) -> None:
        """Hand an epoch over; a caller that leaves the loop there stops the training."""
        self._hand_over(row)
        if self.request.called:
            raise StopTraining

    def _hand_over(self, event: Event) -> None:
        """Hand an event over, and wait until the caller, whose own state is in force, asks for the next or leaves."""
        self.looked_at.clear()
        with callers_state():
            self.queue.put(event)
            if not self.request.called:  # set before the last `looked_at`
                self.looked_at.wait()

    def start(self, train: Callable[[Channel], Outcome]) -> None:
        """Train in a thread of its own, in the known state of torch."""

        def work() -> None:
            try:
                with known_state(), listening(self._progress) as self._display:
                    ended = Ended(train(self), None)
            except BaseException as error:
                ended = Ended(None, error)
            self.queue.put(ended)

        self.thread = threading.Thread(target=work, name="convscope-training", daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Ask the training to stop, and wait until its run is written."""
        if self.thread is not None:
            self.request.called = True
            self.looked_at.set()
            self.thread.join()


class TrainingEvents(Iterator[Event]):
    """The events of a training, oldest first, as `convscope.training_events` returns it.

    Leaving the loop, `close()` and the end of a `with` block stop the training after its step and write its run.
    """

    def __init__(self, train: Callable[[Channel], Outcome], *, progress: ProgressOption = False) -> None:
        self._train = train
        self._channel = Channel(progress)
        self._ended: Ended | None = None
        # Also where the loop was left, and at the interpreter's exit.
        self._close = weakref.finalize(self, self._channel.close)

    def __next__(self) -> Event:
        channel = self._channel
        if self._ended is not None:
            raise StopIteration
        channel.looked_at.set()
        if channel.thread is None:
            channel.start(self._train)
        try:
            event = channel.queue.get()
        except KeyboardInterrupt:
            if channel.request:
                raise  # the second Ctrl-C
            channel.request.signal_number = signal.SIGINT
            event = channel.queue.get()
        if not isinstance(event, Ended):
            return event
        self._ended = event
        if event.error is not None:
            raise event.error
        status = event.outcome.run.status() if event.outcome is not None else None
        if status is None:
            raise StopIteration
        return status

    @property
    def outcome(self) -> Outcome:
        """What the training came to; raises RunError while it has not ended, or where an error ended it."""
        self._look_for_end()
        if self._ended is None:
            raise RunError("the training has not ended: go through its events to the end, or call close() first")
        if self._ended.outcome is None:
            raise RunError(f"the training ended with an error: {self._ended.error}")
        return self._ended.outcome

    def close(self) -> None:
        """Stop the training after the step that it is in, and write its run; nothing is done where it has ended."""
        self._close()
        self._look_for_end()

    def _look_for_end(self) -> None:
        while self._ended is None and not self._close.alive and not self._channel.queue.empty():
            event = self._channel.queue.get()
            if isinstance(event, Ended):
                self._ended = event

    def __enter__(self) -> TrainingEvents:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "not begun" if self._channel.thread is None else "ended" if self._ended else "training"
        return f"<TrainingEvents {state}>"
