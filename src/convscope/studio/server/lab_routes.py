"""The endpoint that checks a lab of the course from a folder below the runs folder."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from convscope.course.labs import check_lab
from convscope.errors import did_you_mean
from convscope.studio.models import Openable
from convscope.studio.protocol import Packet, StudioError
from convscope.studio.server.answers import answered, packet_response

MOST_GUESSED = 40


def lab_routes(openable: Openable) -> list[BaseRoute]:
    """Return the route: `/api/learn/lab/NAME?folder=FOLDER&guess=first,second`."""

    def folders() -> list[str]:
        with suppress(OSError):  # it is not there, or closed to this user
            return sorted(path.name for path in openable.runs.iterdir() if path.is_dir() and not path.is_symlink())
        return []

    async def lab(request: Request) -> Response:
        """Answer with what a folder shows of a lab."""
        name = request.query_params.get("folder", "")[:255].strip().rstrip("/").removeprefix(f"{openable.runs.name}/")
        found = await asyncio.to_thread(folders)
        if name not in found:
            raise StudioError(f"there is no folder {name!r} below the runs folder.{did_you_mean(name, found)}", "gone")
        guess = [each.strip()[:64] for each in request.query_params.get("guess", "").split(",")[:MOST_GUESSED]]
        result = await asyncio.to_thread(
            check_lab, request.path_params["name"], openable.runs / name, [each for each in guess if each]
        )
        return packet_response(Packet(result.to_dict()))

    return [Route("/api/learn/lab/{name}", answered(lab), methods=["GET"])]
