"""Requests become values, and packets, errors and events become responses."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from convscope.errors import ConvscopeError
from convscope.files.checked import parse_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.studio.compute.client import Answer
from convscope.studio.protocol import (
    STATUS_CODES,
    Packet,
    StudioError,
    error_packet,
    json_bytes,
)

TAB_HEADER = "x-convscope-tab"
EVENT_TYPE = "text/event-stream"
KEEP_ALIVE_SECONDS = 15.0
Endpoint = Callable[[Request], Awaitable[Response]]
Awaited = TypeVar("Awaited")
_TAB = re.compile(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,8})?")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")  # in the name of a file that a header holds
_WHOLE = re.compile(r"-?[0-9]{1,9}")


def answered(endpoint: Endpoint) -> Endpoint:
    """Let an endpoint's errors become answers that the page shows."""

    async def guarded(request: Request) -> Response:
        try:
            return await endpoint(request)
        except StudioError as error:
            return error_response(error)
        except (ConvscopeError, UnreadableError) as error:
            return error_response(StudioError(" ".join(str(error).split())))
        except Exception as error:  # a fault of ours: the page shows it in one line, the terminal whole
            traceback.print_exception(error)
            return error_response(StudioError(f"{type(error).__name__} in the server: see the terminal", "internal"))

    guarded.__name__ = endpoint.__name__
    guarded.__doc__ = endpoint.__doc__
    return guarded


def packet_response(packet: Packet, status: int = 200) -> Response:
    """Return a packet as a response."""
    return Response(packet.encoded(), status_code=status, media_type=packet.type)


def answer_response(answer: Answer) -> Response:
    """Return what the compute process answered, without reading it."""
    response = Response(answer.payload, media_type=answer.type)
    if answer.name:
        name = _UNSAFE.sub("-", answer.name)
        response.headers["content-disposition"] = f'attachment; filename="{name}"'
    return response


def error_response(error: StudioError) -> Response:
    """Return an error as the page reads it."""
    return packet_response(error_packet(error), STATUS_CODES[error.kind])


def tab_of(request: Request) -> str:
    """Return the tab that asks; raises StudioError where the request names none, or it is no name.

    A picture may be asked for by an element of the page, which sends no header.
    """
    tab = request.headers.get(TAB_HEADER, "-" if request.method == "GET" else "")
    if not _TAB.fullmatch(tab):
        raise StudioError(f"the header {TAB_HEADER} must name the tab: letters, digits, - and _, at most 64")
    return tab


async def json_fields(request: Request) -> Fields:
    """Return the fields of a request's JSON body; what is no object raises UnreadableError."""
    return Fields.of(parse_json(await request.body()))


def query_whole(request: Request, name: str, default: int | None = None) -> int:
    """Return a whole number of the query; raises StudioError where it is none, or missing without a default."""
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    if text is None or not _WHOLE.fullmatch(text):
        raise StudioError(f"{name} is {text!r:.40}: it must be a whole number")
    return int(text)


def query_wholes(request: Request, name: str, count: int) -> list[int] | None:
    """Return whole numbers of the query that commas part; None where there is no such name."""
    text = request.query_params.get(name)
    if text is None:
        return None
    parts = text.split(",", count)
    if len(parts) != count or not all(map(_WHOLE.fullmatch, parts)):
        raise StudioError(f"{name} is {text!r:.40}: it must be {count} whole numbers, with commas between them")
    return [int(part) for part in parts]


def query_choice(request: Request, name: str, known: tuple[str, ...]) -> str:
    """Return a value of the query that is one of those known, the first where the query has none."""
    text = request.query_params.get(name, known[0])
    if text not in known:
        raise StudioError(f"{name} is {text!r:.40}: it must be one of {', '.join(known)}")
    return text


async def while_connected(request: Request, work: Awaitable[Awaited]) -> Awaited:
    """Return what the work returns; it is cancelled where the page goes away, or takes its request back."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise StudioError("the page took its request back", "stopped")
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()


async def _left(request: Request) -> None:
    await request.body()
    while (await request.receive())["type"] != "http.disconnect":
        pass


def event_stream(events: AsyncIterator[tuple[str, Any, str]], closing: asyncio.Event) -> Response:
    """Return events (name, value, id or "") as a stream that ends with the server; a comment keeps it open."""

    async def lines() -> AsyncIterator[bytes]:
        upcoming = asyncio.ensure_future(anext(events, None))
        closed = asyncio.ensure_future(closing.wait())
        try:
            yield b"retry: 1000\n\n"
            while True:
                await asyncio.wait({upcoming, closed}, timeout=KEEP_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if closed.done():
                    return
                if not upcoming.done():
                    yield b": still here\n\n"
                    continue
                event = upcoming.result()
                if event is None:
                    return
                name, value, number = event
                yield (f"id: {number}\n" if number else "").encode() + f"event: {name}\ndata: ".encode()
                yield json_bytes(value) + b"\n\n"
                upcoming = asyncio.ensure_future(anext(events, None))
        finally:
            upcoming.cancel()
            closed.cancel()

    return StreamingResponse(lines(), media_type=EVENT_TYPE, headers={"x-accel-buffering": "no"})
