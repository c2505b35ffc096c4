"""What each axis of a value is: batch, frames, channels, or positions, as the network itself treats them.

The shape alone does not say: (N, C, H, W), (N, H, W, C) and (N, T, C, L) look the same, and a waveform (N, X) has no
channels. What decides is the first convolution that reads an input: an axis that lies along its windows holds
positions, one along its channels holds channels, one that is a part of its batch holds samples or frames. An input that
no convolution reads is (N, C, *S). Poolings decide nothing: local response normalization pools channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy.typing as npt

from convscope.geometry.axis_names import axis_letter, axis_names
from convscope.geometry.relation import Concat, Number
from convscope.graph.branches import ReachPart, union
from convscope.graph.intervals import walk
from convscope.graph.reach import AxisReach, itself
from convscope.graph.records import Graph, Node
from convscope.graph.vocabulary import CONVOLUTIONS

BATCH, FRAMES, CHANNELS = "batch", "frames", "channels"

# A value (N, C, D, H, W) that no convolution reads is as likely a clip (N, T, C, H, W).
_VOLUME = 5


@dataclass(frozen=True, slots=True)
class ValueAxes:
    """What the axes of a value are, in order: "batch", "channels", or the name of an axis of positions.

    >>> axes = plain_axes(4)
    >>> axes.names, axes.positions, axes.letters
    (('batch', 'channels', 'rows', 'columns'), (2, 3), 'Y,X')
    """

    names: tuple[str, ...]

    @property
    def positions(self) -> tuple[int, ...]:
        """The axes that positions are laid out along, frames included."""
        return tuple(axis for axis, name in enumerate(self.names) if name not in (BATCH, CHANNELS))

    @property
    def channels(self) -> int | None:
        """The axis of the channels: the last one, where frames are channels too."""
        return max((axis for axis, name in enumerate(self.names) if name == CHANNELS), default=None)

    @property
    def shown(self) -> tuple[str, ...]:
        """The names of the axes of positions."""
        return tuple(self.names[axis] for axis in self.positions)

    @property
    def letters(self) -> str:
        """How a position is written on the command line."""
        return ",".join(axis_letter(name, number) for number, name in enumerate(self.shown))

    def one_sample(self, numbers: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """Return the first sample of a value's numbers as (C, *S), with one channel where it has none."""
        kept = [*([] if self.channels is None else [self.channels]), *self.positions]
        others = [axis for axis in range(len(self.names)) if axis not in kept]
        sample: npt.NDArray[Number] = numbers.transpose([*others, *kept])[(0,) * len(others)]
        return sample[None] if self.channels is None else sample

    def cell(self, position: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return where along the axes of positions a cell is."""
        return tuple(position[axis] for axis in self.positions)

    def channel(self, position: Sequence[int | None]) -> int | None:
        """Return the channel of a cell."""
        return None if self.channels is None else position[self.channels]


def plain_axes(rank: int) -> ValueAxes:
    """Return the axes of (N, C, *S)."""
    return ValueAxes((BATCH, CHANNELS, *axis_names(rank - 2))[:rank])


def spatial_inputs(graph: Graph) -> tuple[int, ...]:
    """Return the inputs that have positions: those against which receptive fields are given."""
    return tuple(value for value in graph.inputs if input_axes(graph, value).positions)


def batch_of(graph: Graph) -> int:
    """Return the samples that a network ran on: of its first input; 1 where that is in a list of images."""
    first = graph.values[graph.inputs[0]] if graph.inputs else None
    if first is None or "." in first.name or input_axes(graph, first.index).names[:1] != (BATCH,):
        return 1
    return max(1, first.spec.shape[0])


def sources_of(graph: Graph, value: int) -> list[tuple[int, int]]:
    """Return the axes of positions of a value, as (value, axis): those that fields are measured along."""
    return [(value, axis) for axis in value_axes(graph, value).positions]


def value_axes(graph: Graph, value: int) -> ValueAxes:
    """Return what the axes of a value are.

    Those of (N, C, *S), unless the network's first input with positions is another: then those along which the input's
    positions lie are named as these are.
    """
    if value in graph.inputs:
        return input_axes(graph, value)
    plain = plain_axes(len(graph.shape(value)))
    image = next((one for one in graph.inputs if input_axes(graph, one).positions), None)
    if image is None:
        return plain
    given = input_axes(graph, image)
    if given == plain_axes(len(given.names)):
        return plain
    found = next((along for of, along in _followed(graph, image) if of == value), None)
    return plain if found is None else _laid_out(given, found, len(graph.shape(value)))


def input_axes(graph: Graph, value: int) -> ValueAxes:
    """Return what the axes of an input are."""
    rank = len(graph.shape(value))
    node = _first_convolution(graph, value)
    if node is None:
        return plain_axes(rank) if rank < _VOLUME else _numbered(rank)
    if node.inputs[0] == value and len(node.windows) == rank - 2:
        return plain_axes(rank)
    along = next((along for of, along in _followed(graph, value) if of == node.inputs[0]), None)
    return plain_axes(rank) if along is None else _read_by(node, along, graph.shape(value), graph.shape(node.inputs[0]))


def _numbered(rank: int) -> ValueAxes:
    return ValueAxes((BATCH, CHANNELS, *(f"axis {axis}:" for axis in range(2, rank))))


def _first_convolution(graph: Graph, value: int) -> Node | None:
    """Return the first convolution whose map depends on a value."""
    reached = {value}
    for node in graph.nodes:
        if node.op in CONVOLUTIONS and node.inputs[0] in reached:
            return node
        if not reached.isdisjoint(node.inputs):
            reached.update(node.outputs)
    return None


def _followed(graph: Graph, value: int) -> Iterator[tuple[int, list[AxisReach | None]]]:
    """Yield every value that some axis of a value lies along, with the reach along each of them, by one way to it."""
    shape = graph.shape(value)
    known = {value: [itself(shape, axis) if size else None for axis, size in enumerate(shape)]}
    for node in graph.nodes:
        arriving: dict[int, list[list[ReachPart]]] = {}
        for path in node.paths or ():
            if path.source in known:
                parts = arriving.setdefault(path.output, [[] for _ in shape])
                place = next((step for step in path.steps[-1:] if isinstance(step, Concat)), None)
                for found, reach in zip(parts, known[path.source], strict=True):
                    moving = path.steps[:-1] if place else path.steps
                    there = reach and walk(reach, moving, graph.shape(path.source))
                    found += [] if there is None else [(there, place)]
        for output, parts in arriving.items():
            along = [union(part, graph.shape(output)) if part else None for part in parts]
            if output not in known and any(reach is not None and reach.along for reach in along):
                known[output] = along
                yield output, along


def _places(reach: AxisReach | None) -> dict[int, int]:
    """Return the axes that a reach lies along, and how many positions of the source it has along each."""
    if reach is None:
        return {}
    if reach.layout is None:
        return {part: reach.clipped[0].shape[part] for part in reach.along}
    axes: dict[int, int] = {}
    for part in reach.along:
        axis = reach.layout.axis_of(part)
        axes[axis] = axes.get(axis, 1) * reach.layout.parts[part]
    return axes


def _read_by(node: Node, along: Sequence[AxisReach | None], shape: tuple[int, ...], read: tuple[int, ...]) -> ValueAxes:
    """Return what the axes of an input are, by where they lie in the map of shape `read` that a convolution reads."""
    windows = range(len(read) - len(node.windows), len(read))
    places = [_places(reach) for reach in along]
    for axis, place in enumerate(places):
        if shape[axis] == 1 and any(read[there] > 1 for there in place if there in windows):
            places[axis] = {}  # of one position, which lies beside others
    kinds = ["position" if any(axis in windows for axis in place) else "" for place in places]
    loose = [axis for axis, kind in enumerate(kinds) if not kind]
    # Frames that are taken one by one lie somewhere with a size of 1.
    kept = [axis for axis in loose if windows.start - 1 in places[axis] and prod(places[axis].values()) > 1]
    mixed = [axis for axis in loose if not places[axis]]
    channels = [axis for axis in kept or mixed or loose[1:][-1:] if axis or len(loose) == 1]
    last = channels[-1] if channels else len(shape)
    for axis in loose:
        frames = 0 < axis < last and (shape[axis] > 1 or len(windows) > 1)
        kinds[axis] = CHANNELS if axis in channels else FRAMES if frames else BATCH if not axis else CHANNELS
    spatial = iter(axis_names(kinds.count("position")))
    if kinds.count("position") != len(windows):
        return plain_axes(len(shape))  # positions were mixed before, as by attention: where they lie tells nothing
    return ValueAxes(tuple(next(spatial) if kind == "position" else kind for kind in kinds))


def _laid_out(given: ValueAxes, along: Sequence[AxisReach | None], rank: int) -> ValueAxes:
    """Return what the axes of a value are, by where the input's axes lie in it."""
    names = [""] * rank
    for axis in given.positions:
        places = _places(along[axis])
        if len(places) == 1 and not names[(place := next(iter(places)))]:
            names[place] = given.names[axis]
    # What holds no positions, or those of frames beside the batch, is the batch in front and the channels after it.
    left = [axis for axis, name in enumerate(names) if not name or (name == FRAMES and not axis)]
    if left and left[0] == 0 and (BATCH in given.names or len(left) > 1):
        names[left.pop(0)] = BATCH
    for number, axis in enumerate(left):
        names[axis] = CHANNELS if not number else f"axis {axis}:"
    return ValueAxes(tuple(names))
