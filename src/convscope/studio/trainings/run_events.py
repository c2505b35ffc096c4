"""What happens to a run, as events with ids: a reader that was away goes on after the last one that it got.

An id is a place in events.jsonl, the file's number and the bytes up to the end of the event's line: "1f3a.2048". Other
events have none: they say how things are now, and the newest of each replaces those before it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.errors import RunError
from convscope.files.checked import parse_json
from convscope.files.regular import UnreadableError, read_part
from convscope.report.json_values import in_json
from convscope.runs.events import EVENTS, read_event
from convscope.runs.run_directory import Run
from convscope.studio.trainings.run_state import RunState, is_there

# Name, value, id or "".
RunEvent = tuple[str, Any, str]

EVENTS_AT_ONCE = 2**20
LONGEST_ID = 40
# Between two looks at whether the process is there.
STATE_SECONDS = 0.5
_PLACE = re.compile(r"([0-9a-f]{1,16})\.([0-9]{1,15})")


@dataclass(frozen=True)
class EventPlace:
    """A place in events.jsonl: the file's number in its file system, and how many bytes are before it.

    >>> EventPlace.parse("1f.20"), str(EventPlace(31, 20)), EventPlace.parse("1f.-1")
    (EventPlace(file=31, offset=20), '1f.20', None)
    """

    file: int
    offset: int

    def __str__(self) -> str:
        return f"{self.file:x}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> EventPlace | None:
        """Return the place of an id; None for any other text."""
        found = _PLACE.fullmatch(text[:LONGEST_ID])
        return cls(int(found[1], 16), int(found[2])) if found else None

    @classmethod
    def end_of(cls, run: Run) -> EventPlace | None:
        """Return the end of what a run's events are now; None where it has none."""
        try:
            found = run.events_path.stat()
        except OSError:
            return None
        return cls(found.st_ino, found.st_size)


class RunWatcher:
    """Looks at a run's files for what is new.

    Args:
        run: the run.
        state: returns its state now.
        after: the id of the last event that the reader got; "" from the first on.
        clock: returns seconds, and never goes back.
    """

    def __init__(
        self,
        run: Run,
        state: Callable[[], RunState],
        *,
        after: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._state, self._clock = run, state, clock
        self._file, self._offset = self._begin(EventPlace.parse(after))
        self._restarted = bool(after) and not self._offset
        self._progress_at = self._view_at = 0
        self._shown: dict[str, Any] | None = None
        self._looked = float("-inf")

    def look(self) -> list[RunEvent]:
        """Return what is new since the last call."""
        if not is_there(self._run):
            gone = {"state": "gone", "alive": False, "reason": "the run's folder was moved or removed"}
            return [] if self._shown == gone else [self._noted(gone)]
        found = list(self._lines())
        if self._restarted:
            found.insert(0, ("restart", {}, ""))
            self._restarted = False
        found += self._progress()
        found += self._view()
        now = self._clock()
        if found or now - self._looked >= STATE_SECONDS:
            self._looked = now
            state = self._state().to_dict()
            if state["alive"]:  # whoever reads events looks at the view
                self._run.live.watch()
            if state != self._shown:
                found.append(self._noted(state))
        return found

    def _noted(self, state: dict[str, Any]) -> RunEvent:
        self._shown = state
        return ("process", state, "")

    def _begin(self, place: EventPlace | None) -> tuple[int, int]:
        """Return the file and the byte to go on from: the beginning, where the id is of another file."""
        there = EventPlace.end_of(self._run)
        if there is None:
            return 0, 0
        if place is None or place.file != there.file or not 0 < place.offset <= there.offset:
            return there.file, 0
        with suppress(UnreadableError):
            if read_part(self._run.events_path, place.offset - 1, 1) == b"\n":
                return place.file, place.offset
        return there.file, 0

    def _lines(self) -> Iterator[RunEvent]:
        there = EventPlace.end_of(self._run)
        if there is None:
            return
        if there.file != self._file or there.offset < self._offset:
            self._restarted = self._restarted or bool(self._offset)
            self._file, self._offset = there.file, 0
        size = min(there.offset - self._offset, EVENTS_AT_ONCE)
        if size <= 0:
            return
        try:
            written = read_part(self._run.events_path, self._offset, size)
        except UnreadableError:
            return
        whole = written.rfind(b"\n") + 1
        if not whole and size == EVENTS_AT_ONCE:  # a line that no event of ours has
            self._offset += size
        for line in written[:whole].split(b"\n")[:-1]:
            self._offset += len(line) + 1
            if (event := _event(line)) is not None:
                yield (*event, str(EventPlace(self._file, self._offset)))

    def _progress(self) -> Iterator[RunEvent]:
        at = _changed_at(self._run.live.progress_path)
        if at != self._progress_at:
            self._progress_at = at
            if (progress := self._run.live.read_progress()) is not None:
                yield ("progress", in_json(progress.to_dict()), "")

    def _view(self) -> Iterator[RunEvent]:
        at = _changed_at(self._run.live.view_path)
        if at != self._view_at:
            self._view_at = at
            if at:
                yield ("view", {"version": str(at)}, "")


def _event(line: bytes) -> tuple[str, Any] | None:
    """Return the name and the value of a line of events.jsonl; None where it is none."""
    text = line.decode("utf-8", "replace")
    event = read_event(text)
    if event is None:
        return None
    with suppress(UnreadableError, RunError):
        written = parse_json(text).get("time")
        return EVENTS[type(event)], {**event.to_dict(), "time": written if isinstance(written, (int, float)) else None}
    return None


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
