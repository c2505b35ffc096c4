"""What an offline page carries of a state: a rule, within a number of bytes and a number of seconds. No torch.

Always: the graph, the image, the prediction, the page of feature maps that is shown, the fields of the selected value,
and the selected cell worked out, by its largest operands down to the pixels, with its exact field. Then, as far as
there is room, in this order and at most these shares of the room that is left:

1. a tenth: the exact numbers of the maps that this way reads; elsewhere a map has 256 levels
2. a quarter: more worked cells; the operands that the selected one shows, the cells around it, the operands of every
   step down to the pixels, then the three largest operands of each of these
3. a tenth: the exact fields of more cells of the selected value, the nearest first; elsewhere there is the hull
4. a quarter: fields on hover for every other value, the nearest layers first
5. all of it: feature maps of the other values, the same share for each, the first channels in the order that is shown
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from convscope.errors import ConvscopeError
from convscope.report.units import plural
from convscope.studio.exporting.answer_archive import AnswerKey
from convscope.studio.exporting.asked_answers import Answering, AskedAnswers, Carried
from convscope.studio.exporting.value_places import (
    counterpart,
    image_title,
    map_shape_of,
    named_values,
    nearest_cells,
)
from convscope.studio.exporting.worked_cells import CellPlace, largest_operands, neighbours
from convscope.studio.intervention_text import for_other_network
from convscope.studio.protocol import Ask, StoppedWorkError
from convscope.studio.state import PageState

CELLS_SHARE, REACH_SHARE, MASKS_SHARE, VALUES_SHARE = 0.25, 0.25, 0.1, 0.1
PAGE_SIZE = 64  # feature maps of a page
TOP_OPERANDS = 3
MOST_CELLS, MOST_MASKS = 800, 200
COMPRESSED = 0.8  # of the bytes of a feature map, about
INPUT = "input"


class Carrying(AskedAnswers):
    """Chooses what a page of a state carries."""

    def __init__(self, state: PageState, answering: Answering, ask: Ask, *, room: int, seconds: float) -> None:
        super().__init__(state, answering, ask, room=room, seconds=seconds)
        self._runs: list[dict[str, Any]] = []
        self._pictures: list[dict[str, Any]] = []
        self._models: list[dict[str, Any]] = []
        self._images: dict[str, dict[str, Any]] = {}

    def all_of_it(self) -> Carried:
        """Return what the page carries: of a second model beside the first, what is shown of it."""
        state, archive = self.state, self.carried.archive
        archive.begin()
        graph, run = self._opened(state.model, list(state.interventions))
        units = [unit for unit in graph["units"] if unit.get("value") and unit.get("shape")]
        by_value = {unit["value"]: unit for unit in units}
        if state.value in by_value:
            self._selected(run, by_value[state.value], units)
        if state.other and state.other != state.model:
            self._beside(state.other, units)
        if state.attribution:
            self._attribution(run)
        if units:
            self._others(run, units)
        archive.describe("runs", self._runs)
        archive.describe("pictures", self._pictures)
        archive.describe("parts", self._parts)
        archive.describe("session", self._session())
        self._say_what_is_missing()
        return self.carried

    # What is always there.

    def _opened(self, model: str, changes: list[Any]) -> tuple[Mapping[str, Any], str]:
        """Carry a model's graph, the image as it is given to it, and the run; return the graph and the run's name."""
        state = self.state
        graph = self._kept(("graph", model), "graph", {"model": model}).header
        # The page shows what a network of pictures is given; beside any other, the image as it is.
        is_picture = len(graph.get("input", ())) == 3 and graph["input"][0] in (1, 3)
        named = {"image": state.image, "model": model if is_picture else None, "interventions": changes}
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
            state.image, {"key": state.image, "title": image_title(state.image), "width": shape[2], "height": shape[1]}
        )
        if not self.carried.contains:
            said = f"{graph.get('title', model)}: its graph, sizes, costs and receptive fields"
            self.carried.contains += [said, "the image as the network is given it, and the prediction"]
        return graph, str(run["run"])

    def _selected(self, run: str, unit: Mapping[str, Any], units: Sequence[Mapping[str, Any]]) -> None:
        """Carry what is shown of the selected value: its maps, its fields, its cell, its exact numbers."""
        state, archive = self.state, self.carried.archive
        value, (channels, height, width) = state.value, map_shape_of(unit)
        channel = state.channel or 0
        archive.begin()
        shown = self._maps(run, value, state.page, PAGE_SIZE)
        if shown is not None:
            kept = len(shown.header.get("channels", ()))
            self.carried.contains.append(f"{value}: {kept} of {channels} feature maps, ordered by {state.order}")
        archive.begin()
        asked = {"run": run, "value": value, "channel": channel, "box": None}
        self._tried(("values", run, value, channel), "values", asked)
        self._reach(value, "backward", channel)
        self._reach(INPUT, "forward")
        if state.at is None:
            return
        cell = CellPlace(value, channel, *state.at)
        archive.begin()
        self._mask(run, cell)
        archive.begin()
        self._cells(run, cell, (height, width))
        archive.begin()
        masks, kept, room = self._left(MASKS_SHARE), 1, archive.size
        for place in nearest_cells(cell, height, width):
            if kept >= MOST_MASKS or not self._mask(run, place, room=masks - (archive.size - room)):
                break
            kept += 1
        told = "" if kept >= height * width else "; elsewhere the smallest box around it"
        self.carried.contains.append(f"the exact field of {plural(kept, 'cell')} of {value}{told}")

    def _beside(self, model: str, units: Sequence[Mapping[str, Any]]) -> None:
        """Carry what is shown of the second model: its graph, its run, the maps of the value beside the first's."""
        changes = for_other_network(self.state.interventions)
        self.carried.archive.begin()
        try:
            graph, run = self._opened(model, changes)
        except StoppedWorkError:
            raise
        except ConvscopeError as error:
            self.carried.missing.append(f"{model}: {error}")
            return
        value = counterpart(self.state.value, named_values(units), named_values(graph["units"]))
        if value is not None:
            self._maps(run, value, self.state.page, PAGE_SIZE)
            self._reach(value, "backward", self.state.channel or 0, model=model)
        self.carried.contains.append(f"beside it {graph.get('title', model)}: its graph, and its maps of {value}")

    def _attribution(self, run: str) -> None:
        state = self.state
        asked = {"run": run, "method": state.attribution, "class": state.target, "layer": None, "checks": True}
        self.carried.archive.begin()
        key: AnswerKey = ("attribution", run, state.attribution, state.target, None)
        if self._tried(key, "attribution", asked) is not None:
            self.carried.contains.append(f"the attribution {state.attribution}, with its checks")

    # What is there as far as there is room.

    def _cells(self, run: str, first: CellPlace, size: tuple[int, int]) -> None:
        """Carry worked cells: a way from the first one down to the pixels, then those around it, then operands."""
        found: dict[CellPlace, list[CellPlace]] = {}

        def worked(place: CellPlace, limit: int | None) -> bool:
            answer = self._tried(
                ("cell", run, *place, 0),
                "cell",
                {"run": run, "value": place.value, "c": place.channel, "at": [place.row, place.column], "page": 0},
                room=limit,
            )
            if answer is not None:
                found[place] = list(largest_operands(answer.header))
            return answer is not None

        place: CellPlace | None = first
        steps = 0
        while place is not None and place not in found and worked(place, None):
            steps += 1
            place = next(iter(found[place]), None)
        limit = self.carried.archive.size + self._left(VALUES_SHARE)
        for value, channel in dict.fromkeys(one[:2] for step in list(found) for one in (step, *found[step])):
            asked = {"run": run, "value": value, "channel": channel, "box": None}
            left = limit - self.carried.archive.size
            self._tried(("values", run, value, channel), "values", asked, room=left)
        limit = self.carried.archive.size + self._left(CELLS_SHARE)
        way = list(found)
        waiting = [*found.get(first, ()), *neighbours(first, *size), *(inner for step in way for inner in found[step])]
        while waiting and len(found) < MOST_CELLS and not self._is_late(0.5):
            place = waiting.pop(0)
            if place in found:
                continue
            if not worked(place, limit - self.carried.archive.size):
                break
            waiting += found[place][:TOP_OPERANDS]
        self.carried.contains.append(
            f"{plural(len(found), 'worked number')}: the selected one in {plural(steps, 'step')} down to the "
            "pixels, the operands that each step shows, the cells around it, and the largest operands of these"
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
            channels, height, width = map_shape_of(unit)
            size = min(channels, max(1, int(share / COMPRESSED) // max(height * width, 1)), 16 * PAGE_SIZE)
            archive.begin()
            # How far they compress is known afterwards: half as many are tried until they fit, one in any case.
            while size > 1 and self._maps(run, str(unit["value"]), 0, size, room=share) is None:
                size //= 2
            shown += self._maps(run, str(unit["value"]), 0, size, room=self._left(1.0)) is not None
        self.carried.contains.append(f"fields on hover in {reached + 1} of {len(near) + 1} layers")
        self.carried.contains.append(f"feature maps of {shown + 1} of {len(near) + 1} layers, their first channels")

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
