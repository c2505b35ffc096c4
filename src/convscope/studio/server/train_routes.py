"""The endpoints of Train."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from convscope.files.fields import Fields
from convscope.studio.models import Openable
from convscope.studio.protocol import BINARY_TYPE, HTML_TYPE, Packet, StudioError
from convscope.studio.server.answers import (
    TAB_HEADER,
    answered,
    event_stream,
    json_fields,
    packet_response,
)
from convscope.studio.trainings.forecasting import NewestOnly, forecast_in_process
from convscope.studio.trainings.room import TrainRoom
from convscope.studio.trainings.run_events import RunEvent, RunWatcher

# Between two looks at the files of a run that trains, and of any other.
LOOK_SECONDS, QUIET_SECONDS = 0.1, 1.0
LAST_EVENT = "last-event-id"
_STOPPED = Packet({"stopped": True})
# A report is a page of a run that may be a stranger's: nothing in it runs, asks the server, or is of its origin.
REPORT_POLICY = (
    "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def train_routes(openable: Openable, closing: asyncio.Event, room: TrainRoom | None = None) -> list[BaseRoute]:
    """Return the routes; streams of events end when `closing` is set."""
    return TrainRoutes(room or TrainRoom(openable.runs, openable.data), closing).routes()


class TrainRoutes:
    """The endpoints of a Train room.

    Args:
        room: what they ask.
        closing: is set when the server ends.
    """

    def __init__(self, room: TrainRoom, closing: asyncio.Event) -> None:
        self._room, self._closing = room, closing
        self._forecasts = NewestOnly()

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        get: list[tuple[str, Callable[[Request], Any]]] = [
            ("/api/train/options", self.options),
            ("/api/runs", self.runs),
            ("/api/runs/{name}", self.record),
            ("/api/runs/{name}/events", self.events),
            ("/api/runs/{name}/live", self.live),
            ("/api/runs/{name}/report", self.report),
            ("/api/compare", self.compare),
        ]
        post: list[tuple[str, Callable[[Request], Any]]] = [
            ("/api/train", self.start),
            ("/api/train/forecast", self.forecast),
            ("/api/train/forecast/stop", self.stop_forecast),
            ("/api/runs/{name}/pause", self.pause),
            ("/api/runs/{name}/continue", self.go_on),
            ("/api/runs/{name}/stop", self.stop),
        ]
        return [
            *(Route(path, answered(endpoint), methods=["GET"]) for path, endpoint in get),
            *(Route(path, answered(endpoint), methods=["POST"]) for path, endpoint in post),
        ]

    async def options(self, request: Request) -> Response:
        """Return the data sets, the fields of a recipe and the presets."""
        return await _json(self._room.options)

    async def forecast(self, request: Request) -> Response:
        """Return what a training would take, or {"stopped": true}: a newer question of a tab replaces the older one."""
        chosen, values = _form(await json_fields(request))
        tab = _tab(request)
        recipe_file = await asyncio.to_thread(self._room.recipe_file, chosen, values, tab)

        async def work() -> Any:
            return await forecast_in_process(recipe_file, cache=self._room.cache)

        asked = asyncio.ensure_future(self._forecasts.run(tab, work))
        closed = asyncio.ensure_future(self._closing.wait())
        left = asyncio.ensure_future(_disconnected(request))
        try:
            await asyncio.wait({asked, closed, left}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                return packet_response(_STOPPED)
            return packet_response(Packet(asked.result()))
        except StudioError as error:
            if error.kind != "stopped":
                raise
            return packet_response(_STOPPED)
        finally:
            for task in (asked, closed, left):
                task.cancel()

    async def stop_forecast(self, request: Request) -> Response:
        """Stop the forecast of a tab."""
        await self._forecasts.stop(_tab(request))
        return packet_response(_STOPPED)

    async def start(self, request: Request) -> Response:
        """Start a training in a process of its own, and return the name of its run."""
        fields = await json_fields(request)
        chosen, values = _form(fields)
        name = fields.text("name", default="").strip() or None
        return packet_response(Packet({"name": await asyncio.to_thread(self._room.start, chosen, values, name)}))

    async def runs(self, request: Request) -> Response:
        """Return a row for each run."""
        return await _json(self._room.listed)

    async def record(self, request: Request) -> Response:
        """Return everything of one run."""
        return await _json(self._room.record, _name(request))

    async def events(self, request: Request) -> Response:
        """Return what happens to a run, from the event with the id `after`, or that of the header, on."""
        name = _name(request)
        after = request.headers.get(LAST_EVENT) or request.query_params.get("after", "")
        if not await asyncio.to_thread(self._room.is_waiting, name):
            await asyncio.to_thread(self._room.runs.find, name)  # refuses a run that is not there
        return event_stream(self._happening(name, after), self._closing)

    async def live(self, request: Request) -> Response:
        """Return the filters, maps and norms of a run as they were last written."""
        view = await asyncio.to_thread(self._room.view, _name(request))
        return Response(view.encoded(), media_type=BINARY_TYPE)

    async def report(self, request: Request) -> Response:
        """Return the report of a run, in a sandbox."""
        content = await asyncio.to_thread(self._room.report, _name(request))
        return Response(content, media_type=HTML_TYPE, headers={"content-security-policy": REPORT_POLICY})

    async def compare(self, request: Request) -> Response:
        """Return several runs beside each other: `run` for each, or `runs` with commas between them."""
        names = request.query_params.getlist("run")
        names = names or [name for name in request.query_params.get("runs", "").split(",") if name]
        return await _json(self._room.compare, names)

    async def pause(self, request: Request) -> Response:
        """Ask a training to wait."""
        return await _json(self._room.ask, _name(request), "pause")

    async def go_on(self, request: Request) -> Response:
        """Let a training go on."""
        return await _json(self._room.go_on, _name(request))

    async def stop(self, request: Request) -> Response:
        """Ask a training to end after its step."""
        return await _json(self._room.ask, _name(request), "stop")

    async def _happening(self, name: str, after: str) -> AsyncIterator[RunEvent]:
        """Yield what happens to a run; until it has its directory, what its process prints."""
        said: dict[str, Any] = {}
        while (found := await asyncio.to_thread(self._waiting, name)) is not None:
            if found != said:
                said = found
                yield "process", found, ""
            await asyncio.sleep(LOOK_SECONDS * 2)
        try:
            watcher: RunWatcher = await asyncio.to_thread(self._room.watcher, name, after)
        except StudioError as error:  # removed meanwhile
            yield "process", {"state": "gone", "alive": False, "reason": str(error)}, ""
            return
        alive = True
        while True:
            for event in await asyncio.to_thread(watcher.look):
                if event[0] == "process":
                    alive = bool(event[1].get("alive"))
                yield event
            await asyncio.sleep(LOOK_SECONDS if alive else QUIET_SECONDS)

    def _waiting(self, name: str) -> dict[str, Any] | None:
        return self._room.record(name) if self._room.is_waiting(name) else None


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


def _tab(request: Request) -> str:
    return request.headers.get(TAB_HEADER, "")[:80]


def _form(fields: Fields) -> tuple[str, dict[str, Any]]:
    """Return the id of the data set and the settings of a form."""
    return fields.text("set"), dict(fields.object("recipe").values) if "recipe" in fields else {}


async def _json(work: Callable[..., dict[str, Any]], *given: str | Literal["pause", "stop"] | list[str]) -> Response:
    return packet_response(Packet(await asyncio.to_thread(work, *given)))


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
