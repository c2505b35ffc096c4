"""`convscope studio` as a user starts it: the real command in a process of its own, on a free port."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

START_SECONDS, END_SECONDS = 200.0, 60.0  # on a machine that is busy with other work
_ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\]):\d+/\S*")


@dataclass(kw_only=True)
class StudioCommand:
    """A running `convscope studio`.

    Args:
        process: of the command, the first of its process group.
        folder: where it was started.
        address: as the command printed it, with the token.
        lines: what it has printed on either stream.
    """

    process: subprocess.Popen[str]
    folder: Path
    address: str
    lines: list[str]
    reader: threading.Thread = field(repr=False)

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def port(self) -> int:
        """The port that it listens to."""
        port = urlsplit(self.address).port
        assert port is not None
        return port

    def compute_processes(self) -> list[int]:
        """Process ids of its children that have torch loaded."""
        return [pid for pid in _children(self.process.pid) if _has_torch(pid)]

    def kill(self) -> None:
        """End it at once, as the system does that runs out of memory."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self._ended()

    def stop(self) -> int:
        """Interrupt it as Ctrl-C does; return its exit code. What it leaves behind is ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(END_SECONDS)
        code = self.process.poll()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._ended()
        return -signal.SIGKILL if code is None else code

    def _ended(self) -> None:
        self.process.wait(END_SECONDS)
        self.reader.join(END_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()


def start_studio(
    *arguments: str | Path,
    folder: Path,
    port: int = 0,
    environment: dict[str, str] | None = None,
    limits: Sequence[str] = (),
) -> StudioCommand:
    """Start the command with these arguments in a folder, and wait for the address that it prints.

    Its runs are in `folder/runs`. `limits` are lines of a shell that run before the command, as "ulimit -f 100".

    Raises:
        AssertionError: it ended, or printed no address in time; with all that it printed.
    """
    words = [sys.executable, "-m", "convscope", "studio", *map(str, arguments), "--no-browser", "--port", str(port)]
    if limits:
        words = ["bash", "-c", "; ".join([*limits, 'exec "$@"']), "bash", *words]
    began = time.monotonic()
    process = subprocess.Popen(
        words,
        cwd=folder,
        env={
            **os.environ,
            "CONVSCOPE_CACHE": str(folder / "cache"),
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
            "COLUMNS": "400",
            **(environment or {}),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: list[str] = []
    found, ended = threading.Event(), threading.Event()
    reader = threading.Thread(target=_read, args=(process.stdout, lines, found, ended), daemon=True)
    reader.start()
    while not found.wait(0.01):
        if ended.is_set() or time.monotonic() - began > START_SECONDS:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(END_SECONDS)
            raise AssertionError(f"convscope studio printed no address:\n{''.join(lines)}")
    address = next(match[0] for line in lines if (match := _ADDRESS.search(line)))
    return StudioCommand(
        process=process,
        folder=folder,
        address=address,
        lines=lines,
        reader=reader,
    )


def _read(stream: IO[str] | None, lines: list[str], found: threading.Event, ended: threading.Event) -> None:
    assert stream is not None
    try:
        for line in stream:
            lines.append(line)
            if _ADDRESS.search(line):
                found.set()
    except ValueError:  # closed while it was read
        pass
    ended.set()


def _children(parent: int) -> list[int]:
    """Return the ids of all processes below one, as /proc lists them."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = stat.read_text().partition(" (")
        except OSError:
            continue
        parents.setdefault(int(rest.rpartition(") ")[2].split()[1]), []).append(int(pid))
    found, last = [], [parent]
    while last:
        last = [child for one in last for child in parents.get(one, [])]
        found += last
    return found


def _has_torch(pid: int) -> bool:
    try:
        return "libtorch" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False
