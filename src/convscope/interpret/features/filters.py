"""The weights of a layer as pictures: of the first layer in colour, of deeper ones as norms and strongest slices."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np

from convscope.arrays import Array, Booleans, Floats, Integers, Rgb
from convscope.errors import CaptureError, GeometryError
from convscope.graph.layer_names import LayerNames
from convscope.graph.records import Node, Ref
from convscope.graph.vocabulary import CONVOLUTIONS
from convscope.interpret.execution.torch_executor import as_array
from convscope.interpret.features.observed import middle_plane
from convscope.interpret.replay.replay import Replay
from convscope.report.colour_maps import ColourScale, hatched, number_text, range_text
from convscope.report.document import Block, Callout, Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.image_grid import Tile, grid_text, image_grid
from convscope.report.json_values import json_dict
from convscope.report.printable import few
from convscope.report.svg import Drawing
from convscope.report.units import plural, shape

FilterForm = Literal["colour", "single", "bars", "slices"]

STRONGEST = 3  # input channels that are drawn of a filter, those of largest norm
_PER_PAGE: dict[FilterForm, int] = {"colour": 64, "single": 64, "bars": 24, "slices": 16}
_EIGHT = {"columns": 8, "tile_width": 102}  # pictures in a row, which a page's column holds
_CAPTIONS: dict[FilterForm, str] = {
    "colour": "Each filter's weights as red, green and blue around mid-grey, which is 0; one scale for all.",
    "single": "Orange is above 0, blue below; one scale for all filters.",
    "bars": "A bar for each input; orange is above 0, blue below; one scale for all.",
    "slices": "Of each filter the norm over its input channels, and the input channels whose weights have the largest "
              "norm.",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LayerFilters(Pictured):
    """The filters of a layer.

    Args:
        network: its name.
        layer: the layer.
        weights: of all filters, (F, C, *K): filters, input channels of a group, positions of the kernel.
        form: "colour" (three channels), "single" (one channel), "bars" (kernels of one position) or "slices".
        page: which part of the filters is drawn, from 1.
        per_page: how many are drawn at once.
        groups: of the convolution's channels.
        notes: remarks.
    """

    network: str
    layer: str
    weights: Floats
    form: FilterForm
    page: int = 1
    per_page: int = 64
    groups: int = 1
    notes: tuple[str, ...] = field(default=())

    @property
    def pages(self) -> int:
        """How many pages all filters fill."""
        return max(1, -(-len(self.weights) // self.per_page))

    @property
    def shown(self) -> range:
        """The filters of this page."""
        start = (self.page - 1) * self.per_page
        return range(start, min(start + self.per_page, len(self.weights)))

    @property
    def norms(self) -> Floats:
        """The norm of each filter, (F,)."""
        return _norm(self.weights, axis=tuple(range(1, self.weights.ndim)))

    @property
    def strongest(self) -> Integers:
        """Of each filter the input channels whose weights have the largest norm, (F, up to 3), the largest first."""
        by_channel = _norm(self.weights, axis=tuple(range(2, self.weights.ndim)))
        order: Integers = np.argsort(-np.nan_to_num(by_channel, nan=np.inf), axis=1, kind="stable")[:, :STRONGEST]
        return order

    def headline(self) -> str:
        """Return the layer and its filters."""
        return f"{self.layer} of {self.network}: {self._sizes()}"

    def arrays(self) -> dict[str, Array]:
        """Return the numbers that are kept beside a picture: all weights, their norms, the strongest input channels."""
        return {"weights": self.weights, "norms": self.norms, "strongest": self.strongest}

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON's types, without the weights, which `arrays` has.

        Keys:
            network: its name.
            layer: the layer.
            shape: filters, input channels of a group, positions of the kernel.
            groups: of the channels.
            form: how they are drawn: colour, single, bars or slices.
            filters: those of this page, each with filter, norm and strongest: the input channels of largest norm.
            page: which page.
            pages: of how many.
            notes: remarks.
        """
        norms, strongest = self.norms, self.strongest
        return json_dict({
            "network": self.network,
            "layer": self.layer,
            "shape": self.weights.shape,
            "groups": self.groups,
            "form": self.form,
            "filters": [{"filter": one, "norm": norms[one], "strongest": strongest[one]} for one in self.shown],
            "page": self.page,
            "pages": self.pages,
            "notes": self.notes,
        })  # fmt: skip

    def figure(self) -> Drawing:
        """Draw this page's filters on one scale."""
        return image_grid(self._tiles(), **self._settings())

    def document(self) -> Document:
        """Return what is shown: the layer's weights in numbers, and its filters."""
        norms = self.norms
        facts = [
            Fact("layer", self.layer),
            Fact("filters", self._sizes(), list(self.weights.shape)),
            Fact("weights", range_text(self.weights)),
            Fact("norms", range_text(norms)),
        ]
        if self.pages > 1:
            facts.append(Fact("page", f"{self.page} of {self.pages}", self.page))
        text = grid_text(self._tiles(), subtitle=self._settings()["subtitle"])
        figure = Figure(self.figure, _CAPTIONS[self.form], text)
        blocks: list[Block] = [*(Callout("note", note) for note in self.notes), Facts(tuple(facts)), figure]
        return Document(f"Filters of {self.layer} of {self.network}", tuple(blocks))

    def _sizes(self) -> str:
        count, channels, *kernel = self.weights.shape
        of = f" of {plural(channels, 'channel')}" if kernel else f" of {plural(channels, 'input')}"
        grouped = f", {self.groups} groups" if self.groups > 1 else ""
        return f"{plural(count, 'filter')}{of}{f', {shape(kernel)}' if kernel else ''}{grouped}"

    def _largest(self) -> float:
        return max(0.0, float(np.abs(self.weights[np.isfinite(self.weights)]).max(initial=0.0)))

    def _scale(self) -> ColourScale:
        # Colour is red, green and blue around mid-grey: its bar is that of one channel, from black to white.
        return ColourScale("grey" if self.form == "colour" else "diverging", -self._largest(), self._largest())

    def _norm_scale(self) -> ColourScale:
        return ColourScale.of(_norm(self.weights, axis=1))

    def _settings(self) -> dict[str, Any]:
        which = f"filters {self.shown.start} to {self.shown.stop - 1} of {len(self.weights)}"
        settings: dict[str, Any] = {
            "title": f"{self.network}: filters of {self.layer}, {shape(self.weights.shape)}",
            "subtitle": which if self.pages == 1 else f"{which}, page {self.page} of {self.pages}",
            "scale": self._scale(),
            "unit": "weight",
        }
        if self.form == "colour":
            return settings | {"bars": ((self._scale(), "weight, in each of red, green and blue"),), **_EIGHT}
        if self.form == "slices":
            settings |= {"bars": ((self._norm_scale(), "norm over input channels"),)}
            return settings | {"columns": 2 * (1 + self.strongest.shape[1]), "tile_width": 84}
        return settings | ({"columns": 3, "tile_width": 236} if self.form == "bars" else _EIGHT)

    def _tiles(self) -> list[Tile]:
        tiles: list[Tile] = []
        norms, strongest, scale = self.norms, self.strongest, self._scale()
        for one in self.shown:
            title, note, weights = f"filter {one}", f"norm {number_text(norms[one])}", self.weights[one]
            if self.form == "colour":
                tiles.append(Tile(_colours(weights, scale), title, note, description=range_text(weights)))
            elif self.form == "bars":
                tiles.append(Tile(weights.reshape(-1), title, note))
            elif self.form == "single":
                tiles.append(Tile(middle_plane(weights[0]), title, note))
            else:
                plane = middle_plane(_norm(weights, axis=0))
                tiles.append(Tile(plane, title, note, self._norm_scale()))
                tiles += [Tile(middle_plane(weights[c]), f"input {self._input(one, c)}") for c in strongest[one]]
        return tiles

    def _input(self, filter_index: int, channel: int) -> int:
        """Return the number of an input channel, counted over all groups."""
        per_group = -(-len(self.weights) // self.groups)
        return int(filter_index // per_group * self.weights.shape[1] + channel)


def filters(run: Replay, layer: str = "", *, page: int = 1, per_page: int | None = None) -> LayerFilters:
    """Return the filters of a convolution or a linear layer.

    Args:
        run: any run of the network, such as a subject's `replay`.
        layer: by name; the first convolution, or else the first linear layer, unless given.
        page: which part of the filters is drawn, from 1.
        per_page: how many are drawn at once; 64 where a filter is one picture, 16 where it is several.

    Raises:
        CaptureError: no such layer, or it has no filters: the message has those that do.
        GeometryError: no such page.

    >>> import torch
    >>> from convscope.interpret.replay.replays import Replays
    >>> run = Replays(torch.nn.Conv2d(3, 16, 5)).on(torch.zeros(1, 3, 8, 8))
    >>> found = filters(run)
    >>> found.weights.shape, found.form
    ((16, 3, 5, 5), 'colour')
    """
    node = _filtering(run, layer)
    weights = _weights(run, node)
    form = _form(weights)
    size = per_page or _PER_PAGE[form]
    pages = max(1, -(-len(weights) // max(1, size)))
    name = layer or run.names.of_node(node)
    if not 1 <= page <= pages or size < 1:
        raise GeometryError(f"page {page} of {size} filters each: {name} has {plural(pages, 'page')} of them, from 1")
    notes = []
    missing = int(weights.size - np.isfinite(weights).sum())
    if missing:
        notes.append(f"{missing:,} of {weights.size:,} weights of {name} are not finite")
    if weights.ndim > 4:
        notes.append(f"kernels of {shape(weights.shape[2:])}: of each the middle slice is drawn")
    return LayerFilters(
        network=run.graph.name, layer=name, weights=weights, form=form, page=page, per_page=size,
        groups=node.groups, notes=tuple(notes),
    )  # fmt: skip


def _filtering(run: Replay, layer: str) -> Node:
    """Return the operation with the filters of a layer."""
    convolutions = [node for node in run.graph.nodes if node.op in CONVOLUTIONS]
    linear = [node for node in run.graph.nodes if node.op == "linear"]
    if not layer:
        if not convolutions and not linear:
            raise CaptureError(f"{run.graph.name} has no convolution and no linear layer, so it has no filters")
        return (convolutions or linear)[0]
    nodes = run.names.find_layer(layer).nodes
    found = next((node for node in nodes if node.op in CONVOLUTIONS or node.op == "linear"), None)
    if found is None:
        known = _layers_with(run.names, convolutions or linear)
        raise CaptureError(f"{layer} has no filters: it is a {nodes[0].op}. Layers with filters: {known}")
    return found


def _layers_with(names: LayerNames, nodes: list[Node]) -> str:
    return few([names.of_node(node) for node in nodes], 6) or "none"


def _weights(run: Replay, node: Node) -> Floats:
    """Return a layer's weights as filters, input channels of a group, positions; of a linear layer as it reads them."""
    name = "weight" if "weight" in node.arguments else "mat2"
    given = node.arguments.get(name)
    if not isinstance(given, Ref):
        raise CaptureError(f"{run.names.of_node(node)} has no weights of its own")
    weights: Floats = as_array(run.tensor(given.value).double())
    if name == "mat2":
        weights = weights.T
    if node.op == "linear":
        return weights.reshape(len(weights), *_sizes_read(run, node, weights.shape[1]))
    if node.op == "transposed_convolution":
        inputs, outputs, *kernel = weights.shape
        grouped = weights.reshape(node.groups, inputs // node.groups, outputs, *kernel)
        return np.moveaxis(grouped, 2, 1).reshape(node.groups * outputs, inputs // node.groups, *kernel)
    return weights


def _sizes_read(run: Replay, node: Node, values: int) -> tuple[int, ...]:
    """Return (C, H, W) for a linear layer that reads the flattened image, else how many values it reads."""
    graph = run.graph
    for producer in (graph.values[value].producer for value in node.inputs):
        made = None if producer is None else graph.nodes[producer]
        if made is not None and made.op == "reshape" and made.inputs[0] in graph.inputs:
            sizes = graph.shape(made.inputs[0])[1:]
            if len(sizes) == 3 and prod(sizes) == values:
                return sizes
    return (values,)


def _form(weights: Floats) -> FilterForm:
    _, channels, *kernel = weights.shape
    if np.prod(kernel) == 1 or (len(kernel) == 1 and channels == 1):
        return "bars"
    if channels == 3 and len(kernel) == 2:
        return "colour"
    return "single" if channels == 1 else "slices"


def _colours(weights: Floats, scale: ColourScale) -> Rgb:
    """Return the weights of one filter (3, H, W) as a picture: 0 is mid-grey in each colour."""
    largest = scale.high or 1.0
    planes = np.moveaxis(weights, 0, -1)
    finite: Booleans = np.isfinite(planes)
    missing: Booleans = np.asarray(~finite.all(axis=-1))
    pixels = np.rint(127.5 + 127.5 * np.clip(np.where(finite, planes, 0) / largest, -1, 1)).astype(np.uint8)
    return hatched(pixels, missing)


def _norm(values: Floats, axis: int | tuple[int, ...]) -> Floats:
    found: Floats = np.sqrt(np.square(values).sum(axis=axis))
    return found
