"""The Starlette application: the page, what it may open, Explore, Train, Learn. No torch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from convscope import __version__
from convscope.studio.compute.client import ComputeClient
from convscope.studio.images import Uploads, list_images
from convscope.studio.intervention_text import MOST_INTERVENTIONS
from convscope.studio.models import GIVEN, Openable, list_models
from convscope.studio.protocol import BODY_LIMIT, IMAGE_PIXELS, Packet, StudioError
from convscope.studio.server.answers import answered, error_response, packet_response
from convscope.studio.server.explore_routes import ExploreRoutes
from convscope.studio.server.lab_routes import lab_routes
from convscope.studio.server.learn_routes import learn_routes
from convscope.studio.server.safety import Rules, Safety
from convscope.studio.server.static_files import INDEX, StaticFile, inline_script_hashes, static_files
from convscope.studio.server.train_routes import train_routes
from convscope.studio.state import LINK_LIMIT
from convscope.studio.trainings.room import TrainRoom

LIMITS = {
    "upload_bytes": BODY_LIMIT,
    "image_pixels": IMAGE_PIXELS,
    "interventions": MOST_INTERVENTIONS,
    "link_characters": LINK_LIMIT,
}


def make_app(
    openable: Openable,
    *,
    hosts: frozenset[str],
    token: str = "",
    cookie: str = "convscope_studio",
    compute: ComputeClient | None = None,
    closing: asyncio.Event | None = None,
) -> tuple[ASGIApp, Rules]:
    """Return the application and the rules that it holds requests to.

    Args:
        openable: what may be opened.
        hosts: what the header Host may be.
        token: what admits a browser; one is drawn unless given.
        cookie: the name of the cookie that the token becomes.
        compute: the compute process, which is started with the application; one of `openable` unless given.
        closing: is set when the server ends, so that streams of events end too.
    """
    compute = compute or ComputeClient(openable)
    room = TrainRoom(openable.runs, openable.data)
    closing = closing or asyncio.Event()
    files = static_files()
    page = files.get(INDEX)
    hashes = inline_script_hashes(page.content) if page else ()
    rules = Rules(hosts=hosts, cookie=cookie, script_hashes=hashes, **({"token": token} if token else {}))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        compute.start()
        try:
            yield
        finally:
            await compute.close()
            room.close()

    routes: list[BaseRoute] = [
        Route("/api/session", answered(_SessionEndpoint(openable, compute).read), methods=["GET"]),
        *ExploreRoutes(openable, compute, Uploads()).routes(),
        *train_routes(openable, closing, room),
        *learn_routes(),
        *lab_routes(openable),
        *_page_routes(files),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _not_answered})
    app.router.redirect_slashes = False
    return Safety(app, rules), rules


class _SessionEndpoint:
    """What the page asks first, and again while it waits: never waits for torch."""

    def __init__(self, openable: Openable, compute: ComputeClient) -> None:
        self._openable, self._compute = openable, compute

    async def read(self, request: Request) -> Response:
        stage, text = self._compute.stage, self._compute.text
        models, images = await asyncio.to_thread(lambda: (list_models(self._openable), list_images(self._openable)))
        found = {
            "version": __version__,
            "ready": stage == "ready",
            "stage": stage,
            "text": text,
            "given": GIVEN if self._openable.given else None,
            "given_image": GIVEN if self._openable.image else None,
            "models": [model.to_dict() for model in models],
            "images": [image.to_dict() for image in images],
            "limits": LIMITS,
        }
        return packet_response(Packet(found))


def _page_routes(files: dict[str, StaticFile]) -> list[BaseRoute]:
    async def index(request: Request) -> Response:
        return _file_response(request, files.get(INDEX))

    async def static(request: Request) -> Response:
        return _file_response(request, files.get(request.path_params["name"]))

    return [Route("/", index, methods=["GET"]), Route("/static/{name:path}", static, methods=["GET"])]


def _file_response(request: Request, found: StaticFile | None) -> Response:
    if found is None:
        return error_response(StudioError("there is no such file in the page", "gone"))
    headers = {"etag": found.tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == found.tag:
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)


async def _not_answered(request: Request, problem: Exception) -> Response:
    """Return what an address or method that is not answered gets."""
    status = problem.status_code if isinstance(problem, HTTPException) else 500
    said = f"{request.method} {request.url.path[:100]} is not answered here"
    return packet_response(Packet({"error": said, "kind": "data"}), status)
