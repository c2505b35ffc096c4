"""A model that the page opened: its network with weights, its graph with every size and field, and how inputs are made.

A network whose weights are random has no batch statistics either: with those that it is built with, its maps grow or
die from layer to layer. They are measured once over the samples, and the page says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count

import numpy as np
import torch
from torch import nn

from convscope.api.generators import exclusive
from convscope.capture.input_shapes import smallest_input
from convscope.capture.input_text import parse_input
from convscope.capture.load import Loaded, ModelLike, load
from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import Pixels
from convscope.errors import CaptureError, ConvscopeError, DataError
from convscope.graph.layer_names import LayerNames
from convscope.graph.records import Graph
from convscope.interpret.explanation.explain import given_network
from convscope.interpret.explanation.given import Given, GivenNetwork, NetworkInput, in_dtype, network_input
from convscope.interpret.features.observed import AxesOfMaps, MapAxes
from convscope.interpret.inspection.record import Inspection, inspect_graph
from convscope.interpret.replay.replays import Replays
from convscope.interpret.subject import Subject
from convscope.nets.modules import TorchBatchNorm
from convscope.report.units import shape as shape_text
from convscope.runs.model_spec import ModelSpec
from convscope.studio.compute.samples import drawn_sample
from convscope.studio.models import WeightsOrigin
from convscope.training.loop.running_statistics import measured_anew

SIDE = 224  # of the input of a network that does not say what it takes
SEED = 0
INPUT = "input"  # the key of the image
STATISTICS_OVER = ("0", "1", "2", "rings")  # samples


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A model that the page opened.

    Args:
        key: names it in requests.
        title: what the page shows.
        loaded: how it was found.
        network: with its weights, in evaluation mode.
        notes: remarks on its weights and its input.
        worked_out: what is worked out of its graph once, by name.
        serial: of the models that this process opened, each has its own.
    """

    key: str
    title: str
    loaded: Loaded
    network: GivenNetwork
    notes: tuple[str, ...] = ()
    worked_out: dict[str, object] = field(default_factory=dict)
    serial: int = field(default_factory=count().__next__)

    @property
    def weight_bytes(self) -> int:
        """Bytes of its parameters and buffers."""
        module = self.network.module
        return sum(tensor.numel() * tensor.element_size() for tensor in (*module.parameters(), *module.buffers()))

    @property
    def weights(self) -> WeightsOrigin:
        """Where its weights are from."""
        if self.loaded.run is not None:
            return "trained"
        return "own" if self.loaded.makes_own or self.loaded.module is not None else "random"

    @cached_property
    def spec(self) -> ModelSpec | None:
        """What its run says of it; None where it has none."""
        return None if self.loaded.run is None else self.loaded.run.spec_of_one()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes; empty where they are not known."""
        return () if self.network.preprocessing is None else self.network.preprocessing.classes

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several classes, or none."""
        return self.spec is not None and self.spec.multi_label

    @cached_property
    def replays(self) -> Replays:
        """The network on any input, operation by operation."""
        return Replays(self.network.module, name=self.network.name)

    @cached_property
    def blank(self) -> tuple[torch.Tensor, ...]:
        """Inputs of the right shapes, all 0."""
        assert self.network.input_shape is not None
        first = torch.zeros(1, *self.network.input_shape, dtype=self.network.dtype)
        return tuple(self.loaded.beside(first)[0])

    @cached_property
    def _captured(self) -> tuple[Graph, LayerNames]:
        return self.replays.graph_on(*self.blank)

    @property
    def graph(self) -> Graph:
        """The network as it runs on one sample."""
        return self._captured[0]

    @property
    def names(self) -> LayerNames:
        """The names of its layers and operations."""
        return self._captured[1]

    def has_layer(self, name: str) -> bool:
        """Return whether a layer or an operation has this name."""
        return name in self._layer_names

    @cached_property
    def _layer_names(self) -> frozenset[str]:
        return frozenset(self.names.of_node(node) for node in self.names.nodes)

    @cached_property
    def inspection(self) -> Inspection:
        """Sizes, costs, fields and warnings."""
        return inspect_graph(self.graph)

    @cached_property
    def axes(self) -> AxesOfMaps:
        """Which axes of a value hold channels and positions."""
        return AxesOfMaps(self.names)

    def axes_of(self, value: int) -> MapAxes:
        """Return which axes of a value hold channels and positions."""
        known = self._known_axes
        if value not in known:
            known[value] = self.axes.of(value)
        return known[value]

    @cached_property
    def _known_axes(self) -> dict[int, MapAxes]:
        return {}

    @property
    def image(self) -> int:
        """The input that the image is given as, as an index into `Graph.values`."""
        return self.inspection.source if self.inspection.source is not None else self.graph.inputs[0]

    @property
    def takes_pictures(self) -> bool:
        """Whether its input is a picture, grey or in colour."""
        shape = self.network.input_shape or ()
        return len(shape) == 3 and shape[0] in (1, 3)

    def input_of(self, given: Given) -> NetworkInput:
        """Return an image, a sound or an array as the network's input.

        Raises:
            DataError: it can't be read, or is no input of this network.
        """
        found = network_input(given, self.network)
        tensor = in_dtype(found.tensor, self.network.dtype, name="the input", network=self.network.name)
        return replace(found, tensor=tensor)

    def subject(self, given: NetworkInput, name: str, *, replays: Replays | None = None) -> Subject:
        """Return the network with an input, as looks and attributions take it."""
        return Subject(
            network=self.network.module,
            name=self.network.name,
            image_name=name,
            tensor=given.tensor,
            pixels=given.pixels,
            classes=self.classes,
            preprocessing=self.network.preprocessing,
            run=self.loaded.run,
            spec=self.spec,
            notes=given.notes,
            given_replays=replays or self.replays,
        )

    def normalised(self, pixels: Pixels, normalization: Normalization) -> torch.Tensor:
        """Return pixels (H, W, C) of the network's size as its input."""
        return to_floats(np.ascontiguousarray(pixels)[None], normalization).to(self.network.dtype)


def open_model(
    model: ModelLike,
    *,
    key: str = "given",
    title: str = "",
    input_text: str = "",
    check: Callable[[], None] = lambda: None,
) -> OpenedModel:
    """Return a model in any form with its weights; those of the catalogue are random, from one seed.

    Args:
        model: as `convscope.explain` takes it.
        key: names it in requests.
        title: what the page shows; its own name unless given.
        input_text: the shape of its input as the command line writes it; its own unless given.
        check: is called between two steps, and raises where the work is wanted no more.

    Raises:
        CaptureError: there is no such model, or it can't be built.
        RunError: a run that can't be used.
    """
    loaded = load(model)
    check()
    shape = _asked_shape(input_text)
    network = given_network(loaded, shape, SEED)
    network.module.eval()
    check()
    notes = [note for note in (loaded.weights_note(SEED),) if note]
    if network.input_shape is None:
        network = replace(network, input_shape=_guessed_shape(network.module))
        notes.append(f"the model does not say what it takes: it is given {network.shape_text}")
    opened = OpenedModel(key, title or network.name, loaded, network, tuple(notes))
    if opened.weights == "random" and (note := _measure_statistics(opened)):
        opened = replace(opened, notes=(*opened.notes, note))
    return opened


def _asked_shape(text: str) -> tuple[int, ...] | None:
    if not text:
        return None
    asked = parse_input(text)
    if not isinstance(asked, tuple):
        raise CaptureError(f"the input {text!r} is more than a shape: give one, such as 3x224x224")
    return tuple(asked)


def _guessed_shape(module: nn.Module) -> tuple[int, ...]:
    """Return a shape that a network's first convolution can read."""
    for layer in module.modules():
        for kind, axes in ((nn.Conv2d, 2), (nn.Conv1d, 1), (nn.Conv3d, 3)):
            if isinstance(layer, kind):
                side = SIDE if axes == 2 else 4096 if axes == 1 else 32
                shape = (layer.in_channels, *(side,) * axes)
                return smallest_or(module, shape)
    return (3, SIDE, SIDE)


def smallest_or(module: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape if the network runs on it, else the smallest of its kind on which it does; that shape if none."""
    from convscope.capture.capture import capture

    if capture(module, shape).error is None:
        return shape
    return smallest_input(module, shape, None) or shape


def _measure_statistics(opened: OpenedModel) -> str:
    """Measure a random network's batch statistics over samples; "" where it has none, or takes no pictures."""
    module, shape = opened.network.module, opened.network.input_shape
    norms = [one for one in module.modules() if isinstance(one, TorchBatchNorm) and one.running_mean is not None]
    if not norms or shape is None or len(shape) != 3:
        return ""
    try:
        inputs = [opened.input_of(np.ascontiguousarray(drawn_sample(name))).tensor for name in STATISTICS_OVER]
        with exclusive():
            learning = module.train()
            measured_anew(module, learning, [torch.cat(inputs)])
    except (ConvscopeError, RuntimeError, DataError):
        return ""
    finally:
        module.eval()
    return f"batch statistics were measured over {len(inputs)} samples of {shape_text(shape)}"


def value_of(opened: OpenedModel, key: str) -> int:
    """Return a value by its key, as an index into `Graph.values`; "input" is the image.

    Raises:
        CaptureError: there is none; the message has the nearest names.
    """
    return opened.image if key == INPUT and not opened.has_layer(INPUT) else opened.names.find_source(key)


def key_of(opened: OpenedModel, value: int) -> str:
    """Return the key of a value: "input" of the image, the name of what made it of any other."""
    return INPUT if value == opened.image and not opened.has_layer(INPUT) else opened.names.of_value(value)


def map_shape(opened: OpenedModel, value: int) -> tuple[int, ...]:
    """Return the shape of one sample's maps of a value, (C, *S)."""
    shape, axes = opened.graph.shape(value), opened.axes_of(value)
    channels = 1 if axes.channels is None else shape[axes.channels]
    return (channels, *(shape[axis] for axis in axes.positions))


def drawn_shape(opened: OpenedModel, value: int) -> tuple[int, ...]:
    """Return how a value is drawn: (C,) for a vector, else (C, H, W), a signal with one row, of a volume one slice."""
    channels, *sizes = map_shape(opened, value)
    if all(size == 1 for size in sizes):
        return (channels,)
    return (channels, 1, *sizes) if len(sizes) == 1 else (channels, *sizes[-2:])
