"""The endpoints of Learn. Each answers a GET, so that a copy of the course can hold the answers of all paths."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from convscope.course.course import SEEDS, course_record
from convscope.course.exercise_record import exercise_record
from convscope.course.record import make_record
from convscope.studio.protocol import Packet, StudioError
from convscope.studio.server.answers import answered, packet_response

_SEED = re.compile(r"[0-9]{1,15}")
_MOST_SETTINGS = 8


def learn_routes() -> list[BaseRoute]:
    """Return the routes: the course, an exercise, a widget's record."""
    return [
        Route("/api/learn/course", answered(course), methods=["GET"]),
        Route("/api/learn/exercise/{name}", answered(exercise), methods=["GET"]),
        Route("/api/learn/record/{name}", answered(record), methods=["GET"]),
    ]


async def course(request: Request) -> Response:
    """Answer with the chapters and all texts."""
    return await _made(course_record)


async def exercise(request: Request) -> Response:
    """Answer with an exercise of a seed, and everything that marking needs."""
    text = request.query_params.get("seed", "")
    if not _SEED.fullmatch(text):
        raise StudioError(f"seed is {text!r:.40}: it must be a whole number of at most 15 digits, such as {SEEDS - 1}")
    return await _made(lambda: exercise_record(request.path_params["name"][:64], int(text)))


async def record(request: Request) -> Response:
    """Answer with the numbers of a widget."""
    given = dict(request.query_params)
    if len(given) > _MOST_SETTINGS:
        raise StudioError(f"{len(given)} settings are too many: give {_MOST_SETTINGS} at most")
    return await _made(lambda: make_record(request.path_params["name"], given))


async def _made(make: Callable[[], dict[str, Any]]) -> Response:
    return packet_response(Packet(await asyncio.to_thread(make)))
