"""Answers that are asked for and kept, while there is room and time. No torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from convscope.errors import ConvscopeError
from convscope.studio.exporting.answer_archive import AnswerArchive, AnswerKey
from convscope.studio.protocol import Ask, Packet, StoppedWorkError, joined
from convscope.studio.state import PageState

MOST_PARTS = 64  # of a value whose channels have different fields, as a concatenation's
MISSING_SAID = 8  # questions that could not be answered, of which the page says why

Answering: TypeAlias = Callable[[Ask], Packet]
"""A question of the protocol becomes an answer, as the compute process gives it."""


@dataclass
class Carried:
    """The answers that a page carries, and in words what they are and what is not among them."""

    archive: AnswerArchive = field(default_factory=AnswerArchive)
    contains: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class AskedAnswers:
    """Asks questions about one state of the page, and keeps the answers that there is room and time for."""

    def __init__(self, state: PageState, answering: Answering, ask: Ask, *, room: int, seconds: float) -> None:
        self.state = state
        self.carried = Carried()
        self._answering = answering
        self._ask = ask
        self._room = room
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        # Of values whose channels differ: (model, value, first and last channel, the channel that was asked for).
        self._parts: list[list[Any]] = []

    def _maps(self, run: str, value: str, page: int, size: int, *, room: int | None = None) -> Packet | None:
        order = self.state.order
        asked = {"run": run, "value": value, "order": order, "page": page, "size": size}
        return self._tried(("maps", run, value, order, page), "maps", asked, room=room)

    def _reach(self, value: str, direction: str, channel: int = 0, *, model: str = "", room: int | None = None) -> bool:
        """Carry the tables of a value; where channels differ, of the part with `channel`, then of all parts."""
        model = model or self.state.model
        start = self.carried.archive.size
        parts: list[tuple[int, int]] = []

        def tables(of: int | None) -> Mapping[str, Any] | None:
            asked = {"model": model, "value": value, "channel": of, "direction": direction}
            left = None if room is None else room - (self.carried.archive.size - start)
            found = self._tried(("reach", model, value, direction, of), "reach", asked, room=left)
            return None if found is None else found.header

        header = tables(None)
        if header is None:
            return False
        if direction == "forward" or header.get("channels_agree", True):
            return True
        count = int(header["shape"][0])
        for of in (channel, *range(count)):
            if len(parts) == MOST_PARTS or any(first <= of <= last for first, last in parts):
                continue
            header = tables(of)
            if header is None:
                break
            first, last = header["channels"]
            parts.append((first, last))
            self._parts.append([model, value, first, last, of])
        return bool(parts)

    def _answer(self, operation: str, values: Mapping[str, Any]) -> Packet:
        """Return the answer to a question; of an attribution its parts, as the page reads them when it has ended."""
        self._ask.check()
        parts: list[Packet] = []
        body = self._ask.body if operation in ("run", "image_png") else b""
        answer = self._answering(Ask(operation, values, body, self._ask.check, parts.append))
        if operation != "attribution":
            return answer
        return joined([*parts, answer], done=True, error=None, next=len(parts))

    def _kept(self, key: AnswerKey, operation: str, values: Mapping[str, Any]) -> Packet:
        answer = self._answer(operation, values)
        self.carried.archive.add(key, answer)
        return answer

    def _tried(
        self, key: AnswerKey, operation: str, values: Mapping[str, Any], *, room: int | None = None
    ) -> Packet | None:
        """Return an answer that is carried, or None where there is none or no room for it."""
        if room is not None and room <= 0:
            return None
        try:
            answer = self._answer(operation, values)
        except StoppedWorkError:
            raise
        except ConvscopeError as error:
            of = next(str(values[name]) for name in ("value", "method", "image") if values.get(name))
            said = f"{operation.replace('_png', '')} of {of}: {error}"
            if len(self.carried.missing) < MISSING_SAID and said not in self.carried.missing:
                self.carried.missing.append(said)
            return None
        return answer if self.carried.archive.add(key, answer, room=room) else None

    def _left(self, share: float) -> int:
        """Return a share of the compressed bytes that are left."""
        return max(int((self._room - self.carried.archive.size) * share), 0)

    def _is_late(self, part: float) -> bool:
        """Return whether this part of the time is over."""
        return time.monotonic() > self._deadline - (1 - part) * self._seconds
