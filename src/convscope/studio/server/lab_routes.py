"""The endpoint that checks a lab of the course from a folder below the runs folder."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from convscope.course.labs import check_lab
from convscope.errors import did_you_mean
from convscope.studio.models import Openable
from convscope.studio.protocol import Packet, StudioError
from convscope.studio.server.answers import answered, packet_response

MOST_GUESSED = 40
_BETWEEN = re.compile(r"[,;>\s，；、]+")  # names of a guess


def lab_routes(openable: Openable) -> list[BaseRoute]:
    """Return the route: `/api/learn/lab/NAME?folder=FOLDER&guess=first,second`."""

    def folders() -> list[str]:
        with suppress(OSError):  # it is not there, or closed to this user
            return sorted(path.name for path in openable.runs.iterdir() if path.is_dir() and not path.is_symlink())
        return []

    def folder_name(typed: str) -> str:
        """Return the name of a folder below the runs folder, of its path as a command prints it too."""
        text = typed[:1024].strip()
        if not text:
            return ""
        path = Path(os.path.normpath(text))
        runs = Path(os.path.normpath(openable.runs)).absolute()
        in_runs = path.parent.absolute() == runs or str(path.parent) == runs.name
        return path.name if in_runs else str(path)

    async def lab(request: Request) -> Response:
        """Answer with what a folder shows of a lab."""
        name = folder_name(request.query_params.get("folder", ""))
        found = await asyncio.to_thread(folders)
        if name not in found:
            hint = did_you_mean(name, found)
            raise StudioError(f"there is no folder {name!r:.80} below the runs folder.{hint}", "gone")
        guess = [each[:64] for each in _BETWEEN.split(request.query_params.get("guess", ""))[:MOST_GUESSED]]
        result = await asyncio.to_thread(
            check_lab, request.path_params["name"], openable.runs / name, [each for each in guess if each]
        )
        return packet_response(Packet(result.to_dict()))

    return [Route("/api/learn/lab/{name}", answered(lab), methods=["GET"])]
