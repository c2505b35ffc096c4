"""What an offline page carries of a state: a rule, within a number of bytes and a number of seconds. No torch.

Always: the graph, the image, the prediction, the page of feature maps that is shown, the fields of the selected value,
and the selected cell worked out, by its largest operands down to the pixels, with its exact field. Then, as far as
there is room, in this order and at most these shares of the room that is left:

1. a quarter: more worked cells; first those around the selected one, then the three largest operands of each
2. a tenth: the exact fields of more cells of the selected value, the nearest first; elsewhere there is the hull
3. a quarter: fields on hover for every other value, the nearest layers first
4. all of it: feature maps of the other values, the same share for each, the first channels in the order that is shown
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from convscope.errors import ConvscopeError
from convscope.studio.exporting.answer_archive import AnswerArchive, AnswerKey
from convscope.studio.exporting.worked_cells import CellPlace, largest_operands, neighbours
from convscope.studio.images import SAMPLE_PREFIX, UPLOAD_PREFIX, image_source
from convscope.studio.models import GIVEN, Openable
from convscope.studio.protocol import Ask, Packet, StoppedWorkError, joined
from convscope.studio.state import PageState

Answering: TypeAlias = Callable[[Ask], Packet]
"""A question of the protocol becomes an answer, as the compute process gives it."""

CELLS_SHARE, REACH_SHARE, MASKS_SHARE = 0.25, 0.25, 0.1
PAGE_SIZE = 64  # feature maps of a page
TOP_OPERANDS = 3
MOST_CELLS, MOST_MASKS = 400, 200
COMPRESSED = 0.8  # of the bytes of a feature map, about
INPUT = "input"


@dataclass
class Carried:
    """The answers that a page carries, and in words what they are and what is not among them."""

    archive: AnswerArchive = field(default_factory=AnswerArchive)
    contains: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class Carrying:
    """Asks what a page of a state needs, and keeps the answers that there is room and time for."""

    def __init__(self, state: PageState, answering: Answering, ask: Ask, *, room: int, seconds: float) -> None:
        self.state = state
        self.carried = Carried()
        self._answering = answering
        self._ask = ask
        self._room = room
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._runs: list[dict[str, Any]] = []
        self._pictures: list[dict[str, Any]] = []
        self._models: list[dict[str, Any]] = []
        self._images: dict[str, dict[str, Any]] = {}
        self._agreeing: list[str] = []  # values whose channels all have the same fields

    def all_of_it(self) -> Carried:
        """Return what the page carries: of a second model beside the first, what is shown of it."""
        state, archive = self.state, self.carried.archive
        archive.begin()
        graph, run = self._opened(state.model)
        units = [unit for unit in graph["units"] if unit.get("value") and unit.get("shape")]
        by_value = {unit["value"]: unit for unit in units}
        if state.value in by_value:
            self._selected(run, by_value[state.value], units)
        if state.other and state.other != state.model:
            self._beside(state.other)
        if state.attribution:
            self._attribution(run)
        if units:
            self._others(run, units)
        archive.describe("runs", self._runs)
        archive.describe("pictures", self._pictures)
        archive.describe("agreeing", self._agreeing)
        archive.describe("session", self._session())
        self._say_what_is_missing()
        return self.carried

    # What is always there.

    def _opened(self, model: str) -> tuple[Mapping[str, Any], str]:
        """Carry a model's graph, the image as it is given to it, and the run; return the graph and the run's name."""
        state = self.state
        graph = self._kept(("graph", model), "graph", {"model": model}).header
        changes = list(state.interventions)
        named = {"image": state.image, "model": model, "interventions": changes}
        picture: AnswerKey = ("image_png", state.image, model)
        self._tried(picture, "image_png", named)
        self._pictures.append({"image": state.image, "model": model})
        asked = {"model": model, "image": state.image, "interventions": changes}
        run = self._kept(("run", model, state.image, len(self._runs)), "run", asked).header
        self._runs.append(asked)
        self._models.append(
            {"key": model, "title": graph.get("title", model), "kind": "run", "weights": graph.get("weights", "random")}
        )
        shape = [*graph.get("input", ()), 1, 1, 1]
        self._images.setdefault(
            state.image, {"key": state.image, "title": _image_title(state.image), "width": shape[2], "height": shape[1]}
        )
        if not self.carried.contains:
            said = f"{graph.get('title', model)}: its graph, sizes, costs and receptive fields"
            self.carried.contains += [said, "the image as the network is given it, and the prediction"]
        return graph, str(run["run"])

    def _selected(self, run: str, unit: Mapping[str, Any], units: Sequence[Mapping[str, Any]]) -> None:
        """Carry what is shown of the selected value: its maps, its fields, its cell, its exact numbers."""
        state, archive = self.state, self.carried.archive
        value, (channels, height, width) = state.value, _map_shape(unit)
        channel = state.channel or 0
        archive.begin()
        shown = self._maps(run, value, state.page, PAGE_SIZE)
        if shown is not None:
            kept = len(shown.header.get("channels", ()))
            self.carried.contains.append(f"{value}: {kept} of {channels} feature maps, ordered by {state.order}")
        archive.begin()
        box = [0, 0, height, width]
        asked = {"run": run, "value": value, "channel": channel, "box": box}
        self._tried(("values", run, value, channel), "values", asked)
        self._reach(value, "backward", channel)
        self._reach(INPUT, "forward")
        self._reach(value, "forward", channel)
        if state.at is None:
            return
        cell = CellPlace(value, channel, *state.at)
        archive.begin()
        self._mask(run, cell)
        archive.begin()
        self._cells(run, cell, (height, width))
        archive.begin()
        masks, kept, room = self._left(MASKS_SHARE), 1, archive.size
        for place in _nearest(cell, height, width):
            if kept >= MOST_MASKS or not self._mask(run, place, room=masks - (archive.size - room)):
                break
            kept += 1
        told = "" if kept >= height * width else "; elsewhere the smallest box around it"
        self.carried.contains.append(f"the exact field of {_counted(kept, 'cell')} of {value}{told}")

    def _beside(self, model: str) -> None:
        """Carry what is shown of the second model: its graph, its run, the same value's maps and fields."""
        archive = self.carried.archive
        archive.begin()
        graph, run = self._opened(model)
        value = self.state.value
        if any(unit.get("value") == value for unit in graph["units"]):
            self._maps(run, value, self.state.page, PAGE_SIZE)
            self._reach(value, "backward", self.state.channel or 0, model=model)
        self.carried.contains.append(f"beside it {graph.get('title', model)}, with its maps of the same layer")

    def _attribution(self, run: str) -> None:
        state = self.state
        asked = {"run": run, "method": state.attribution, "class": state.target, "layer": None, "checks": True}
        self.carried.archive.begin()
        key: AnswerKey = ("attribution", run, state.attribution, state.target)
        if self._tried(key, "attribution", asked) is not None:
            self.carried.contains.append(f"the attribution {state.attribution}, with its checks")

    # What is there as far as there is room.

    def _cells(self, run: str, first: CellPlace, size: tuple[int, int]) -> None:
        """Carry worked cells: a way from the first one down to the pixels, then those around it, then operands."""
        found: dict[CellPlace, list[CellPlace]] = {}
        room, start = self._left(CELLS_SHARE), self.carried.archive.size

        def worked(place: CellPlace, limit: int | None) -> bool:
            answer = self._tried(
                ("cell", run, *place, 0),
                "cell",
                {"run": run, "value": place.value, "c": place.channel, "at": [place.row, place.column], "page": 0},
                room=limit,
            )
            if answer is not None:
                found[place] = list(largest_operands(answer.header, TOP_OPERANDS))
            return answer is not None

        place: CellPlace | None = first
        steps = 0
        while place is not None and place not in found and worked(place, None):
            steps += 1
            place = next(iter(found[place]), None)
        waiting = [*neighbours(first, *size), *(inner for known in list(found.values()) for inner in known)]
        while waiting and len(found) < MOST_CELLS and not self._is_late(0.5):
            place = waiting.pop(0)
            if place in found:
                continue
            if not worked(place, room - (self.carried.archive.size - start)):
                break
            waiting += found[place]
        self.carried.contains.append(
            f"{_counted(len(found), 'worked number')}: the selected one in {_counted(steps, 'step')} down to the "
            "pixels, those around it, and their largest operands"
        )

    def _mask(self, run: str, place: CellPlace, *, room: int | None = None) -> bool:
        if room is not None and self._is_late(0.7):
            return False
        asked = {"run": run, "value": place.value, "c": place.channel, "at": [place.row, place.column]}
        return self._tried(("field", run, *place), "field", asked, room=room) is not None

    def _others(self, run: str, units: Sequence[Mapping[str, Any]]) -> None:
        """Carry fields and feature maps of the other values, those that are near the selected one first."""
        archive = self.carried.archive
        names = [str(unit["value"]) for unit in units]
        chosen = names.index(self.state.value) if self.state.value in names else 0
        near = [units[number] for number in sorted(range(len(units)), key=lambda number: abs(number - chosen))]
        near = list({unit["value"]: unit for unit in near if unit["value"] != self.state.value}.values())
        archive.begin()
        room, start, reached = self._left(REACH_SHARE), archive.size, 0
        for unit in near:
            if self._is_late(0.85) or not self._reach(
                str(unit["value"]), "backward", room=room - (archive.size - start)
            ):
                break
            reached += 1
        shown = 0
        for number, unit in enumerate(near):
            if self._is_late(1.0):
                break
            share = self._left(1.0) // (len(near) - number)
            channels, height, width = _map_shape(unit)
            size = min(channels, max(1, int(share / COMPRESSED) // max(height * width, 1)), 16 * PAGE_SIZE)
            archive.begin()
            shown += self._maps(run, str(unit["value"]), 0, size, room=max(self._left(1.0), 0)) is not None
        self.carried.contains.append(f"fields on hover in {reached + 1} of {len(near) + 1} layers")
        self.carried.contains.append(f"feature maps of {shown + 1} of {len(near) + 1} layers, their first channels")

    # One answer.

    def _maps(self, run: str, value: str, page: int, size: int, *, room: int | None = None) -> Packet | None:
        order = self.state.order
        asked = {"run": run, "value": value, "order": order, "page": page, "size": size}
        return self._tried(("maps", run, value, order, page), "maps", asked, room=room)

    def _reach(self, value: str, direction: str, channel: int = 0, *, model: str = "", room: int | None = None) -> bool:
        """Carry the tables of a value: one for all channels where these agree, else that of one channel."""
        model = model or self.state.model
        start = self.carried.archive.size
        for asked_channel in (None, channel):
            asked = {"model": model, "value": value, "channel": asked_channel, "direction": direction}
            left = None if room is None else room - (self.carried.archive.size - start)
            answer = self._tried(("reach", model, value, direction, asked_channel), "reach", asked, room=left)
            if answer is None:
                return False
            if answer.header.get("channels_agree", False):
                self._agreeing.append(value)
                break
            if direction == "forward" or value != self.state.value:
                break
        return True

    def _answer(self, operation: str, values: Mapping[str, Any]) -> Packet:
        """Return the answer to a question; of an attribution its parts, as the page reads them when it has ended."""
        self._ask.check()
        parts: list[Packet] = []
        body = self._ask.body if operation in ("run", "image_png") else b""
        answer = self._answering(Ask(operation, values, body, self._ask.check, parts.append))
        if operation != "attribution":
            return answer
        return joined([*parts, answer], done=True, error=None, next=len(parts))

    def _kept(self, key: AnswerKey, operation: str, values: Mapping[str, Any]) -> Packet:
        answer = self._answer(operation, values)
        self.carried.archive.add(key, answer)
        return answer

    def _tried(
        self, key: AnswerKey, operation: str, values: Mapping[str, Any], *, room: int | None = None
    ) -> Packet | None:
        """Return an answer that is carried, or None where there is none or no room for it."""
        if room is not None and room <= 0:
            return None
        try:
            answer = self._answer(operation, values)
        except StoppedWorkError:
            raise
        except ConvscopeError as error:
            said = f"{operation} of {values.get('value') or values.get('method')}: {error}"
            if len(self.carried.missing) < 8:
                self.carried.missing.append(said)
            return None
        return answer if self.carried.archive.add(key, answer, room=room) else None

    def _left(self, share: float) -> int:
        """Return a share of the compressed bytes that are left."""
        return max(int((self._room - self.carried.archive.size) * share), 0)

    def _is_late(self, part: float) -> bool:
        """Return whether this part of the time is over."""
        return time.monotonic() > self._deadline - (1 - part) * self._seconds

    def _session(self) -> dict[str, Any]:
        return {
            "ready": True,
            "stage": "ready",
            "text": "",
            "given": None,
            "given_image": None,
            "models": self._models,
            "images": list(self._images.values()),
            "limits": {},
        }

    def _say_what_is_missing(self) -> None:
        self.carried.missing += [
            "what is not listed above: it is shown as not carried",
            "other images and networks, changes of the image or of the network, other orders of the maps, trainings: "
            "`convscope studio` has them",
        ]


def _image_title(key: str) -> str:
    """Return what the page shows of an image; of a run's image its key."""
    if key.startswith((SAMPLE_PREFIX, UPLOAD_PREFIX)):
        return image_source(key, Openable(runs=Path())).title
    return "the image of the command" if key == GIVEN else key


def _map_shape(unit: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return a unit's shape as (channels, rows, columns): a vector's are (C, 1, 1)."""
    shape = [int(size) for size in unit["shape"]]
    return shape[0], *((shape[1], math.prod(shape[2:])) if len(shape) > 1 else (1, 1))


def _nearest(cell: CellPlace, height: int, width: int) -> Iterator[CellPlace]:
    """Yield the other cells of a map, the nearest first."""
    rows, columns = range(height), range(width)
    others = [(row, column) for row in rows for column in columns if (row, column) != (cell.row, cell.column)]
    others.sort(key=lambda at: ((at[0] - cell.row) ** 2 + (at[1] - cell.column) ** 2, at))
    yield from (CellPlace(cell.value, cell.channel, row, column) for row, column in others)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
