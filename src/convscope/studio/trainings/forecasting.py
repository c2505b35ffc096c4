"""The forecast of a training before it is started, by `convscope train --forecast` in a process of its own."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from convscope.files.checked import parse_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.report.printable import printable
from convscope.studio.protocol import StudioError
from convscope.studio.trainings.child_process import be_nice, command_line, end_all, killed_for_memory, why_ended

LONGEST_SECONDS = 900.0
# What a forecast leaves out for the page: it is the recipe that is sent back.
_SHOWN = (
    "forecast", "text", "faster", "classes", "images", "model", "parameters", "epochs", "steps", "batch_size",
    "reasons", "notices",
)  # fmt: skip


async def forecast_in_process(recipe_file: Path, *, cache: Path | None, deadline: float = LONGEST_SECONDS) -> Any:
    """Return the forecast of a recipe as `TrainingForecast.to_dict` has it, without the path of its data.

    The process is ended where the call is cancelled, or takes longer than the deadline.

    Raises:
        StudioError: the training would be refused, with the reason; or the process failed.
    """
    words = ["train", "--recipe", str(recipe_file), "--forecast", "--json"]
    words += [f"--cache={cache}"] if cache is not None else []
    killed_before = killed_for_memory()
    try:
        process = await asyncio.create_subprocess_exec(
            *command_line(*words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise StudioError(f"no process can be started: {error.strerror or error}", "internal") from None
    try:
        await asyncio.to_thread(be_nice, process.pid)  # which may wait
        out, err = await asyncio.wait_for(process.communicate(), deadline)
    except TimeoutError:
        raise StudioError(f"the forecast took more than {deadline / 60:.0f} minutes: start the training") from None
    finally:
        if process.returncode is None:
            end_all(process.pid, signal.SIGKILL)
            with suppress(ProcessLookupError):
                process.kill()
    if process.returncode:
        raise _refused(err, why_ended(process.returncode, killed_before=killed_before), process.returncode)
    try:
        found = Fields.of(parse_json(out)).values
    except UnreadableError as error:
        raise StudioError(f"the forecast can't be read: {error}", "internal") from None
    return {name: found[name] for name in _SHOWN if name in found}


def _refused(err: bytes, why: str, code: int) -> StudioError:
    """Return the error of a forecast that was refused: its own line where it is the user's input."""
    lines = [line.strip() for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
    last = printable(lines[-1]).removeprefix("convscope: ") if lines else ""
    if code == 2 and last:
        return StudioError(last)
    return StudioError("; ".join(filter(None, ("the forecast failed", why, last))), "internal")


class NewestOnly:
    """Runs one piece of work a tab: a newer one cancels the older one.

    The older one's caller gets a StudioError of kind "stopped".
    """

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    async def run(self, tab: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Return what the work returns; raises StudioError where newer work of the tab replaced it."""
        if (older := self._tasks.pop(tab, None)) is not None:
            older.cancel()
        task = asyncio.ensure_future(work())
        assert isinstance(task, asyncio.Task)
        self._tasks[tab] = task
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise StudioError("stopped: a newer forecast of this tab replaced it", "stopped") from None
            task.cancel()
            raise
        finally:
            if self._tasks.get(tab) is task:
                del self._tasks[tab]

    async def stop(self, tab: str) -> None:
        """Cancel the work of a tab."""
        if (task := self._tasks.pop(tab, None)) is not None:
            task.cancel()
