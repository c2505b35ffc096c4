"""Replace a network's strided layers by blurred ones, and say what that costs.

Zhang, "Making convolutional networks shift-invariant again", ICML 2019, section 3.2. A convolution of stride 2 runs at
every pixel, and the blur comes after its activation: a blur before it would not hold back what the activation adds.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convscope.api.annotations import Seed
from convscope.api.public import public
from convscope.capture.capture import capture
from convscope.capture.load import ModelLike, load
from convscope.errors import CaptureError
from convscope.files.checked import Json
from convscope.graph.records import Graph
from convscope.interpret.equivariance.blur_plan import BlurPlan
from convscope.interpret.explanation.explain import given_network
from convscope.report.document import Block, Callout, Document, Fact, Facts
from convscope.report.documented import Documented
from convscope.report.json_values import json_dict
from convscope.report.short_repr import ShortRepr
from convscope.report.table import Column, Row, Table
from convscope.report.units import macs as macs_text
from convscope.report.units import plural, times


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class BlurredLayer(ShortRepr):
    """A layer that no longer aliases.

    Args:
        layer: its name.
        how: what it became.
        macs_before: its multiply-adds for one sample.
        macs_after: the same now, without the blur's own.
    """

    layer: str
    how: str
    macs_before: int
    macs_after: int


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AntialiasedNetwork(Documented):
    """A network with blurred subsampling, and what it costs.

    Args:
        name: the network's.
        network: the new module; its state has the names and numbers of the old one's, and it must be trained further.
        blurred: the layers that were replaced.
        kept: the strided layers that were not, as (name, why).
        macs_before: multiply-adds for one sample of the network as it was.
        macs_after: the same with the blurs.
    """

    name: str
    network: nn.Module
    blurred: tuple[BlurredLayer, ...]
    kept: tuple[tuple[str, str], ...]
    macs_before: int
    macs_after: int

    @property
    def cost(self) -> float:
        """Multiply-adds after, divided by those before."""
        return self.macs_after / max(1, self.macs_before)

    def headline(self) -> str:
        """Return the network, how many layers are blurred, and the cost."""
        layers = plural(len(self.blurred), "layer")
        return f"{self.name}: {layers} blurred at {times(self.cost)} the MACs, to be trained further"

    def to_dict(self) -> dict[str, Json]:
        """Return the figures as JSON's types.

        Keys:
            name: the network's.
            blurred: each with layer, how, macs_before, macs_after.
            kept: strided layers that were not replaced, each with layer and why.
            macs_before: multiply-adds for one sample of the network as it was.
            macs_after: the same with the blurs.
            cost: the second divided by the first.
        """
        fields = BlurredLayer.__dataclass_fields__
        return json_dict({
            "name": self.name,
            "blurred": [{name: getattr(found, name) for name in fields} for found in self.blurred],
            "kept": [{"layer": layer, "why": why} for layer, why in self.kept],
            "macs_before": self.macs_before,
            "macs_after": self.macs_after,
            "cost": self.cost,
        })  # fmt: skip

    def document(self) -> Document:
        """Return what is shown: the cost, the blurred layers, and those that were kept."""
        facts = (
            Fact("MACs", f"{macs_text(self.macs_before)} to {macs_text(self.macs_after)}", self.macs_after,
                 f"{macs_text(self.macs_before)} before, {macs_text(self.macs_after)} after: {times(self.cost)}"),
        )  # fmt: skip
        blocks: list[Block] = [
            Callout("note", "its weights were trained without the blurs: train it for 1 or 2 epochs before use"),
            Facts(facts),
        ]
        columns = [Column("layer"), Column("now"), Column("MACs before", numeric=True),
                   Column("MACs after", numeric=True, note="without the blur's own"),
                   Column("times", numeric=True, note="4 where a convolution runs at every pixel")]  # fmt: skip
        rows = [
            Row((found.layer, found.how, macs_text(found.macs_before), macs_text(found.macs_after),
                 times(found.macs_after / found.macs_before) if found.macs_before else "–"))
            for found in self.blurred
        ]  # fmt: skip
        blocks.append(Table(tuple(columns), tuple(rows)))
        if self.kept:
            kept = [Row((layer, why)) for layer, why in self.kept]
            blocks.append(Table((Column("kept"), Column("why")), tuple(kept), title="strided layers as they were"))
        return Document(f"{self.name} with blurred subsampling", tuple(blocks))


@public
def antialiased(
    model: ModelLike, input_shape: Sequence[int] | None = None, *, taps: int = 3, seed: Seed = 0
) -> AntialiasedNetwork:
    """Return a copy of a network in which max poolings and convolutions of stride 2 blur before they subsample.

    Max pooling becomes the maximum at every pixel and a blur; a convolution runs at every pixel, four times its
    multiply-adds, and the blur follows its activation. A 1x1 convolution without an activation, as of a shortcut, is
    blurred before, which costs nothing more than the blur. Weights keep their names, so files of them still load; their
    values were trained for another network, so it must be trained further.

    Args:
        model: as of `convscope.inspect`; it is left as it was.
        input_shape: of one sample, (C, H, W); the model's own unless given.
        taps: of the binomial filter, 1 to 9: 3 is 1 2 1.
        seed: of the weights of a model that has none of its own.

    Raises:
        CaptureError: it does not run on such a sample, or has nothing to replace.
        GeometryError: other taps.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    >>> found = antialiased(network, (3, 16, 16))
    >>> [(layer.layer, layer.macs_after / max(1, layer.macs_before)) for layer in found.blurred]
    [('0', 4.0), ('2', 0.0)]
    >>> found.network(torch.ones(1, 3, 16, 16)).shape, list(found.network.state_dict())
    (torch.Size([1, 8, 4, 4]), ['0.weight', '0.bias'])
    """
    loaded = load(model)
    network = given_network(loaded, input_shape, seed)
    if network.input_shape is None:
        raise CaptureError(f"{network.name} does not say what it takes: give its input_shape, such as (3, 224, 224)")
    module = network.module if loaded.module is None else loaded.module  # it is trained further where it is: on its GPU
    return antialiased_network(module, network.input_shape, taps=taps, name=network.name)


def antialiased_network(
    network: nn.Module, input_shape: Sequence[int], *, taps: int = 3, name: str = ""
) -> AntialiasedNetwork:
    """Return a copy of a module with blurred subsampling; see `antialiased`.

    Raises:
        CaptureError: it does not run on such a sample, or has nothing to replace.
    """
    name = name or type(network).__name__
    sample = _sample(network, input_shape)
    before = _captured(network, sample, name)
    result = copy.deepcopy(network)
    plan = BlurPlan(before, result, taps)
    done, kept = plan.carry_out()
    if not done:
        why = f": {kept[0][0]} is kept, {kept[0][1]}" if kept else ": no pooling or convolution has a stride of 2"
        raise CaptureError(f"{name} has nothing to blur{why}")
    after = _captured(result, sample, name)
    shapes = [[graph.shape(value) for value in graph.outputs] for graph in (before, after)]
    if shapes[0] != shapes[1]:
        raise CaptureError(f"{name} with blurs gives {shapes[1]}, not {shapes[0]}: its layers can't be replaced")
    return AntialiasedNetwork(
        name=name,
        network=result,
        blurred=tuple(
            BlurredLayer(layer=layer, how=how, macs_before=_macs(before, layer), macs_after=_macs(after, layer))
            for layer, how in done
        ),
        kept=tuple(kept),
        macs_before=before.macs,
        macs_after=after.macs,
    )


def _sample(network: nn.Module, input_shape: Sequence[int]) -> Tensor:
    like = next((p for p in network.parameters() if p.is_floating_point()), torch.zeros(()))
    return torch.zeros(1, *input_shape, dtype=like.dtype, device=like.device)


def _captured(network: nn.Module, sample: Tensor, name: str) -> Graph:
    graph = capture(network, sample, name=name)
    if graph.error is not None:
        raise CaptureError(f"{name} does not run on {tuple(sample.shape)}: {graph.error}")
    return graph


def _macs(graph: Graph, module: str) -> int:
    """Return the multiply-adds of a module's own operation, or of its first part, without the blur's."""
    own = [node for node in graph.nodes if node.module == module]
    return max((node.macs or 0 for node in own), default=0)
