"""One compute process as the server has it: started, written to, read from and ended. No torch."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, BinaryIO

from convscope.studio.models import Openable
from convscope.studio.protocol import read_frame, write_frame


class ComputeChild:
    """One compute process with a thread that reads from it and one that writes to it.

    Raises:
        OSError: no process can be started.
    """

    def __init__(
        self,
        command: list[str],
        openable: Openable,
        loop: asyncio.AbstractEventLoop,
        *,
        on_frame: Callable[[ComputeChild, dict[str, Any], bytes], None],
        on_end: Callable[[ComputeChild, int], None],
    ) -> None:
        ends: list[int] = []
        try:
            ends += os.pipe()
            ends += os.pipe()
            questions, to_child, from_child, answers = ends
            self._process = subprocess.Popen(
                [*command, str(questions), str(answers)],
                pass_fds=(questions, answers),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the server's
            )
        except OSError:
            for end in ends:
                os.close(end)
            raise
        os.close(questions)
        os.close(answers)
        self._loop, self._on_frame, self._on_end = loop, on_frame, on_end
        self._frames: SimpleQueue[tuple[Mapping[str, Any], bytes] | None] = SimpleQueue()
        self.send(openable.to_dict())
        threading.Thread(target=self._write, args=(os.fdopen(to_child, "wb"),), daemon=True).start()
        threading.Thread(target=self._read, args=(os.fdopen(from_child, "rb"),), daemon=True).start()

    def send(self, envelope: Mapping[str, Any], body: bytes = b"") -> None:
        """Send a frame, after those before it."""
        self._frames.put((envelope, body))

    def end(self) -> None:
        """Kill the process and wait for its end."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # and what a model has started
        self._process.wait()
        self._frames.put(None)

    def _write(self, stream: BinaryIO) -> None:
        with suppress(OSError), stream:
            while (frame := self._frames.get()) is not None:
                write_frame(stream, *frame)

    def _read(self, stream: BinaryIO) -> None:
        with suppress(EOFError, OSError), stream:
            while True:
                self._in_loop(self._on_frame, *read_frame(stream))
        with suppress(ProcessLookupError):  # it closed its pipe, and may be there still
            self._process.kill()
        self._in_loop(self._on_end, self._process.wait())
        self._frames.put(None)

    def _in_loop(self, callback: Callable[..., None], *values: Any) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(callback, self, *values)
