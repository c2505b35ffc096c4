"""The compute process: it imports torch, and answers questions in two threads, one for each lane.

`python -P -m convscope.studio.compute.process FROM TO` reads frames from one descriptor and writes them to another. The
first holds what may be opened (`Openable`). Then come questions, {id, operation, values} with an upload as the payload,
and {stop: [id, ...]}. What is sent back: {stage}; {id, part: true | false, type} with an encoded packet as the payload,
and with the `name` of a file or the number of a `run`; {id, error, kind}; and {id, alive} while a question is worked
on, at most once a second.

The operations are in `convscope.studio.compute.handlers`:

    HANDLERS: dict[str, AskHandler[ExploreSession]]   (session, ask) -> Packet for each name in protocol.OPERATIONS
    open_session(openable: Openable) -> ExploreSession

A question about an uploaded image ("image", "image_png", "run", "export") has the upload's bytes as its body.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any, BinaryIO, TypeAlias

from convscope.errors import ConvscopeError
from convscope.files.regular import UnreadableError
from convscope.studio.models import Openable
from convscope.studio.protocol import (
    Ask,
    AskHandler,
    AskLane,
    Packet,
    StoppedWorkError,
    StudioError,
    lane_of,
    read_frame,
    write_frame,
)

ALIVE_SECONDS = 1.0  # between two signs of life of one question
_PARENT_DEATH_SIGNAL = 1  # Linux's prctl

Load: TypeAlias = Callable[[Openable], tuple[Mapping[str, AskHandler[Any]], Any]]
"""Imports the operations and opens a session: what takes seconds."""


def load_operations(openable: Openable) -> tuple[Mapping[str, AskHandler[Any]], Any]:
    """Import torch and the operations, and open a session."""
    from convscope.hardware.allocator import prepare_memory

    prepare_memory()  # before torch is imported
    from convscope.studio.compute.handlers import HANDLERS, open_session

    return HANDLERS, open_session(openable)


class Answerer:
    """Answers the questions of a stream, until it ends."""

    def __init__(self, questions: BinaryIO, answers: BinaryIO) -> None:
        self._questions, self._answers = questions, answers
        self._writing = threading.Lock()
        self._stopped: set[int] = set()
        self._lanes: dict[AskLane, SimpleQueue[tuple[int, str, dict[str, Any], bytes]]] = {
            "fast": SimpleQueue(),
            "slow": SimpleQueue(),
        }

    def run(self, load: Load) -> None:
        """Load the operations, then answer until the questions end."""
        setup, _ = read_frame(self._questions)
        threading.Thread(target=self._open, args=(Openable.from_dict(setup), load), daemon=True).start()
        try:
            while True:
                envelope, body = read_frame(self._questions)
                if "stop" in envelope:
                    self._stopped.update(envelope["stop"])
                else:
                    lane = self._lanes[lane_of(envelope["operation"], envelope["values"])]
                    lane.put((envelope["id"], envelope["operation"], envelope["values"], body))
        except EOFError:
            return

    def _open(self, openable: Openable, load: Load) -> None:
        self._send({"stage": "importing torch"})
        try:
            handlers, session = load(openable)
        except (Exception, SystemExit) as problem:
            if not isinstance(problem, ConvscopeError):
                traceback.print_exception(problem)
            self._send({"stage": "failed", "error": in_one_line(problem)})
            return
        for lane in self._lanes:
            threading.Thread(target=self._work, args=(lane, handlers, session), daemon=True).start()
        self._send({"stage": "ready"})

    def _work(self, lane: AskLane, handlers: Mapping[str, AskHandler[Any]], session: Any) -> None:
        while True:
            number, operation, values, body = self._lanes[lane].get()
            self._answer(number, handlers[operation], session, operation, values, body)

    def _answer(
        self, number: int, handler: AskHandler[Any], session: Any, operation: str, values: dict[str, Any], body: bytes
    ) -> None:
        last = 0.0

        def check() -> None:
            nonlocal last
            if number in self._stopped:
                raise StoppedWorkError
            if time.monotonic() - last >= ALIVE_SECONDS:
                last = time.monotonic()
                self._send({"id": number, "alive": True})

        def tell(part: Packet) -> None:
            check()
            self._send({"id": number, "part": True, "type": part.type}, part.encoded())

        try:
            check()
            packet = handler(session, Ask(operation, values, body, check, tell))
            made = "name" if packet.is_file else "run" if operation == "run" else ""
            named = {made: str(packet.header[made])} if made in packet.header else {}
            self._send({"id": number, "part": False, "type": packet.type, **named}, packet.encoded())
        except StudioError as error:
            self._send({"id": number, "error": str(error), "kind": error.kind})
        except (ConvscopeError, UnreadableError) as error:
            self._send({"id": number, "error": in_one_line(error), "kind": "data"})
        except BaseException as problem:  # SystemExit among them: no question ends this process
            traceback.print_exception(problem)
            self._send({"id": number, "error": in_one_line(problem), "kind": "internal"})
        finally:
            self._stopped.discard(number)

    def _send(self, envelope: dict[str, Any], payload: bytes = b"") -> None:
        try:
            with self._writing:
                write_frame(self._answers, envelope, payload)
        except OSError:  # the server is gone
            os._exit(0)


def in_one_line(problem: BaseException) -> str:
    """Return what an exception says in one line; its type too, where it is none of convscope's own."""
    said = " ".join(str(problem).split())[:1000]
    if isinstance(problem, ConvscopeError | UnreadableError):
        return said
    return f"{type(problem).__name__}: {said}" if said else type(problem).__name__


def main(arguments: list[str], load: Load = load_operations) -> None:
    """Answer what comes from the first descriptor on the second; ends with the server, however that ends."""
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends this process
    questions, answers = map(int, arguments)
    os.dup2(2, 1)  # what a model prints goes to stderr
    Answerer(os.fdopen(questions, "rb"), os.fdopen(answers, "wb")).run(load)
    os._exit(0)  # threads of a model are not waited for


def _end_with_parent() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
