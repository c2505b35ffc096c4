"""The endpoints of Explore: a request becomes a question to the compute process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from convscope.files.fields import Fields
from convscope.studio.compute.client import ComputeClient, Question
from convscope.studio.exporting.copy_as import as_command, as_python
from convscope.studio.images import Uploads, image_source
from convscope.studio.intervention_text import MOST_INTERVENTIONS, parse_interventions, read_intervention
from convscope.studio.models import Openable, model_source
from convscope.studio.protocol import Packet, StudioError, joined
from convscope.studio.server.answers import (
    answer_response,
    answered,
    json_fields,
    packet_response,
    query_choice,
    query_whole,
    query_wholes,
    tab_of,
    while_connected,
)
from convscope.studio.state import ORDERS, format_state, parse_state

ATTRIBUTIONS_KEPT = 32
LONG_POLL_SECONDS = 10.0


class ExploreRoutes:
    """The endpoints of Explore, with the uploads and the attributions that are at work."""

    def __init__(self, openable: Openable, compute: ComputeClient, uploads: Uploads) -> None:
        self._openable, self._compute, self._uploads = openable, compute, uploads
        self._attributions: OrderedDict[str, Question] = OrderedDict()

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        get, post, delete = ["GET"], ["POST"], ["DELETE"]
        table = (
            ("/api/graph/{model}", self.graph, get),
            ("/api/image", self.send_image, post),
            ("/api/image/{key:path}", self.picture, get),
            ("/api/run", self.run, post),
            ("/api/run/{run}/maps/{value:path}", self.maps, get),
            ("/api/run/{run}/values/{value:path}", self.values, get),
            ("/api/reach/{model}/{value:path}", self.reach, get),
            ("/api/run/{run}/field/{value:path}", self.field, get),
            ("/api/run/{run}/cell/{value:path}", self.cell, get),
            ("/api/run/{run}/kernel/{module:path}", self.kernel, get),
            ("/api/run/{run}/attribution", self.attribute, post),
            ("/api/run/{run}/attribution/{id}", self.attribution, get),
            ("/api/run/{run}/attribution/{id}", self.stop_attribution, delete),
            ("/api/stop", self.stop, post),
            ("/api/again", self.again, post),
            ("/api/export", self.export, post),
            ("/api/copy", self.copy, post),
        )
        return [Route(path, answered(endpoint), methods=methods) for path, endpoint, methods in table]

    async def graph(self, request: Request) -> Response:
        """Return the record of a model: its tree of units, its drawing, its warnings."""
        return await self._ask(request, "graph", {"model": self._model(request.path_params["model"])})

    async def send_image(self, request: Request) -> Response:
        """Keep an image that was sent, once the compute process could decode it."""
        data = await request.body()
        if not data:
            raise StudioError("the image is empty: 0 bytes")
        key = self._uploads.add(data)
        try:
            values = {"image": key, "title": request.query_params.get("title", "")[:200]}
            return await self._ask(request, "image", values, data)
        except StudioError as error:
            if error.kind == "data":
                self._uploads.forget(key)
            raise

    async def picture(self, request: Request) -> Response:
        """Return what the network is given of an image, as PNG, after the interventions on the image."""
        key, query = request.path_params["key"], request.query_params
        model = query.get("model")
        changes, notes = parse_interventions(query.get("x", ""))
        if notes:
            raise StudioError(notes[0])
        values = {
            "image": self._image(key),
            "model": None if not model else self._model(model),
            "interventions": list(changes),
        }
        return await self._ask(request, "image_png", values, self._uploads.content(key))

    async def run(self, request: Request) -> Response:
        """Run a network on an image, both changed as asked, and return the prediction."""
        fields = await json_fields(request)
        image = self._image(fields.text("image"))
        values = {
            "model": self._model(fields.text("model")),
            "image": image,
            "interventions": _interventions(fields),
        }
        return await self._ask(request, "run", values, self._uploads.content(image))

    async def maps(self, request: Request) -> Response:
        """Return one page of a value's feature maps as uint8."""
        values = {
            **_of_run(request),
            "order": query_choice(request, "order", ORDERS),
            "page": _at_least(query_whole(request, "page", 0), 0, "page"),
            "size": _between(query_whole(request, "size", 64), 1, 4096, "size"),
            "class": _optional(request, "class"),
            "slice": _optional(request, "slice"),
        }
        return await self._ask(request, "maps", values)

    async def values(self, request: Request) -> Response:
        """Return a part of one channel as float32."""
        values = {
            **_of_run(request),
            "channel": _at_least(query_whole(request, "channel", 0), 0, "channel"),
            "box": query_wholes(request, "box", 4),
            "slice": _optional(request, "slice"),
        }
        return await self._ask(request, "values", values)

    async def reach(self, request: Request) -> Response:
        """Return the tables of what each position reads, or with direction=forward of what it reaches."""
        values = {
            "model": self._model(request.path_params["model"]),
            "value": request.path_params["value"],
            "channel": _optional(request, "channel"),
            "direction": query_choice(request, "direction", ("backward", "forward")),
        }
        return await self._ask(request, "reach", values)

    async def field(self, request: Request) -> Response:
        """Return the exact mask of one cell's field on the input."""
        query = request.query_params
        values = {**_cell_of(request), "weights": query.get("weights"), "of": query.get("of")}
        return await self._ask(request, "field", values)

    async def cell(self, request: Request) -> Response:
        """Return the worked arithmetic of one cell."""
        page = _at_least(query_whole(request, "page", 0), 0, "page")
        return await self._ask(request, "cell", {**_cell_of(request), "page": page})

    async def kernel(self, request: Request) -> Response:
        """Return one kernel of a convolution, as the changes of the run have left it."""
        places = {name: _at_least(query_whole(request, name, 0), 0, name) for name in ("out", "in")}
        run, module = request.path_params["run"], request.path_params["module"]
        return await self._ask(request, "kernel", {"run": run, "module": module, **places})

    async def attribute(self, request: Request) -> Response:
        """Start an attribution; its parts are read under the id that is returned."""
        fields = await json_fields(request)
        target, layer = fields.values.get("class"), fields.values.get("layer")
        values = {
            "run": request.path_params["run"],
            "method": fields.text("method"),
            "class": None if target is None else fields.integer("class", at_least=0),
            "layer": None if layer is None else fields.text("layer"),
            "checks": fields.flag("checks") if "checks" in fields else True,
        }
        question = self._compute.submit("attribution", values, tab=tab_of(request))
        self._attributions[str(question.number)] = question
        while len(self._attributions) > ATTRIBUTIONS_KEPT:
            _, oldest = self._attributions.popitem(last=False)
            self._compute.stop_question(oldest)
        return packet_response(Packet({"id": str(question.number)}))

    async def attribution(self, request: Request) -> Response:
        """Return the parts of an attribution from number `after` on, as soon as there is one, or it has ended.

        Where the page goes away meanwhile, the attribution is stopped.
        """
        question = self._attribution(request)
        after = _at_least(query_whole(request, "after", 0), 0, "after")
        if len(question.parts) <= after and not question.answer.done():
            question.told.clear()
            try:
                await while_connected(request, asyncio.wait_for(question.told.wait(), LONG_POLL_SECONDS))
            except TimeoutError:
                pass  # it is asked again
            except (StudioError, asyncio.CancelledError):
                self._compute.stop_question(question)
                raise
        parts = question.parts[after:]
        error = None
        if question.answer.done():
            problem = question.answer.exception()
            if isinstance(problem, StudioError):
                error = {"error": str(problem), "kind": problem.kind}
            elif problem is None:
                parts.append(question.answer.result())
        header = {"done": question.answer.done(), "error": error, "next": len(question.parts)}
        return packet_response(joined([Packet.decoded(part.payload, part.type) for part in parts], **header))

    async def stop_attribution(self, request: Request) -> Response:
        """Stop an attribution; the parts that are there stay."""
        self._compute.stop_question(self._attribution(request))
        return packet_response(Packet({"stopped": True}))

    async def stop(self, request: Request) -> Response:
        """Stop all that a tab has asked."""
        return packet_response(Packet({"stopped": self._compute.stop_tab(tab_of(request))}))

    async def again(self, request: Request) -> Response:
        """Let all that passed the deadline be asked again."""
        return packet_response(Packet({"expired": self._compute.ask_again()}))

    async def export(self, request: Request) -> Response:
        """Return one state as an HTML file that needs no server."""
        state, _ = parse_state((await json_fields(request)).text("state"))
        image = self._image(state.image) if state.image else ""
        values = {"state": format_state(state), "model": state.model}
        response = await self._ask(request, "export", values, self._uploads.content(image))
        response.headers["content-security-policy"] = "sandbox"
        return response

    async def copy(self, request: Request) -> Response:
        """Return a state as Python, and as a command."""
        state, _ = parse_state((await json_fields(request)).text("state"))
        found = {"python": as_python(state, self._openable), "command": as_command(state, self._openable)}
        return packet_response(Packet(found))

    async def _ask(self, request: Request, operation: str, values: Mapping[str, Any], body: bytes = b"") -> Response:
        asked = self._compute.ask(operation, values, tab=tab_of(request), body=body)
        return answer_response(await while_connected(request, asked))

    def _model(self, key: str) -> str:
        return model_source(key, self._openable).key

    def _image(self, key: str) -> str:
        self._uploads.content(key)  # gone, it is said before anything is computed
        return image_source(key, self._openable).key

    def _attribution(self, request: Request) -> Question:
        number = request.path_params["id"]
        if number not in self._attributions:
            raise StudioError("that attribution is here no more: start it again", "gone")
        return self._attributions[number]


def _of_run(request: Request) -> dict[str, Any]:
    return {"run": request.path_params["run"], "value": request.path_params["value"]}


def _cell_of(request: Request) -> dict[str, Any]:
    at = query_wholes(request, "at", 2) or [0, 0]
    channel = _at_least(query_whole(request, "c", 0), 0, "c")
    return {**_of_run(request), "c": channel, "at": [_at_least(position, 0, "at") for position in at]}


def _optional(request: Request, name: str) -> int | None:
    """Return a whole number of 0 or more of the query; None where it has none."""
    return None if name not in request.query_params else _at_least(query_whole(request, name), 0, name)


def _at_least(number: int, least: int, name: str) -> int:
    if number < least:
        raise StudioError(f"{name} is {number}: it must be at least {least}", "range")
    return number


def _between(number: int, low: int, high: int, name: str) -> int:
    if not low <= number <= high:
        raise StudioError(f"{name} is {number}: it must be from {low} to {high:,}", "range")
    return number


def _interventions(fields: Fields) -> list[Mapping[str, Any]]:
    """Return the changes of a request, each checked."""
    given: Sequence[Fields] = fields.objects("interventions") if "interventions" in fields else ()
    if len(given) > MOST_INTERVENTIONS:
        raise StudioError(f"{len(given)} changes at once: at most {MOST_INTERVENTIONS} are made", "range")
    try:
        return [read_intervention(dict(change.values)) for change in given]
    except ValueError as error:
        raise StudioError(str(error)) from None
