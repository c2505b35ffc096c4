"""Which convolutions can still add context: those whose smallest field does not cover the image yet.

Source: Richter, Schöning, Wiedenroth and Krumnack, "Should you go deeper? Optimizing convolutional neural network
architectures without training" (2021): behind the border layer, the first whose input has a smallest field larger than
the image, layers add weights and little accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from convscope.api.public import public
from convscope.capture.load import ModelLike, load
from convscope.errors import CaptureError
from convscope.files.checked import Json
from convscope.graph.axes import sources_of
from convscope.graph.network_field import spatial_input
from convscope.graph.smallest_path import SmallestPaths
from convscope.graph.vocabulary import CONVOLUTIONS
from convscope.interpret.effective_field.linear_probe import LinearProbes, probes_of_run
from convscope.interpret.effective_field.object_size import Objects, object_side
from convscope.interpret.explanation.explain import given_network
from convscope.interpret.inspection.record import Inspection, inspected
from convscope.interpret.replay.replays import Replays
from convscope.report.charts import Curve, line_chart
from convscope.report.document import Block, Document, Figure, Paragraph
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.printable import few
from convscope.report.progress import ProgressOption, progress_of
from convscope.report.svg import Drawing, below
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import per_axis, percent, plural

NAMED = 5  # layers that a headline names

Sizes = tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvolutionContext:
    """What a convolution's input has seen of the image.

    Args:
        layer: the convolution.
        before: size of its input's field along each axis, as if the image had no borders; None where not known.
        smallest: the same along the smallest path.
        covers_image: whether even that is as large as the image.
        covers_object: whether it is as large as the object; None where its size is not known.
        accuracy: of a linear classifier on the convolution's output, 0 to 1; None where it was not measured.
    """

    layer: str
    before: Sizes
    smallest: Sizes
    covers_image: bool
    covers_object: bool | None
    accuracy: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class UnproductiveLayers(Pictured):
    """The convolutions of a network, and which of them can't add context.

    Args:
        network: its name.
        image_shape: the image along each axis.
        convolutions: those with a kernel larger than 1, in the order in which they ran.
        object_side: side of what is to be recognised, in pixels; None where it is not known.
        probes: how the accuracies were measured; None where they were not.
    """

    network: str
    image_shape: tuple[int, ...]
    convolutions: tuple[ConvolutionContext, ...]
    object_side: float | None = None
    probes: LinearProbes | None = None

    @property
    def unproductive(self) -> tuple[str, ...]:
        """The convolutions whose input has seen the whole image along every path."""
        return tuple(found.layer for found in self.convolutions if found.covers_image)

    @property
    def beyond_object(self) -> tuple[str, ...]:
        """The convolutions whose input has seen as much as the object's size along every path."""
        return tuple(found.layer for found in self.convolutions if found.covers_object)

    def headline(self) -> str:
        """Return how many convolutions add no context, and which."""
        found, of = self.unproductive, plural(len(self.convolutions), "convolution")
        if not found:
            return f"{self.network}: none of {of} is unproductive by its field"
        verb = "is" if len(found) == 1 else "are"
        return f"{self.network}: {len(found)} of {of} {verb} unproductive: {few(found, NAMED)}"

    def to_dict(self) -> dict[str, Json]:
        """Return the fields as JSON's types.

        Keys:
            network: its name.
            image_shape: the image along each axis.
            object_side: side of what is to be recognised, in pixels; None where it is not known.
            unproductive: the convolutions whose input has seen the whole image along every path.
            beyond_object: those whose input has seen as much as the object's size.
            convolutions: of each the layer, before (the field of its input), smallest (along the smallest path),
                covers_image, covers_object and accuracy (of a linear probe on its output).
            probe_images: how many images the probes learned from and were measured on; None without probes.
        """
        return json_dict({
            "network": self.network,
            "image_shape": self.image_shape,
            "object_side": self.object_side,
            "unproductive": self.unproductive,
            "beyond_object": self.beyond_object,
            "convolutions": [
                {name: getattr(found, name) for name in ConvolutionContext.__dataclass_fields__}
                for found in self.convolutions
            ],
            "probe_images": None if self.probes is None else [self.probes.learned, self.probes.measured],
        })  # fmt: skip

    def figure(self) -> Drawing:
        """Draw the fields over the convolutions, with the image's and the object's size, and below them the probes."""
        fields = line_chart(
            self._curves(),
            title=f"Fields before each convolution, {self.network}",
            x_label="convolution",
            y_label="side in pixels",
        )
        if self.probes is None:
            return fields
        places = range(1, len(self.convolutions) + 1)
        found = [None if each.accuracy is None else 100 * each.accuracy for each in self.convolutions]
        curves = [Curve("linear probe on its output", places, found)]
        if self.probes.majority is not None:
            curves.append(Curve("most frequent class", (1, len(places)), (100 * self.probes.majority,) * 2))
        probed = line_chart(
            curves,
            title="Accuracy of a linear classifier on each convolution's output",
            x_label="convolution",
            y_label="accuracy, %",
            y_limits=(0, 100),
            height=260,
        )
        return below(fields, probed, title=fields.title)

    def _curves(self) -> list[Curve]:
        places = range(1, len(self.convolutions) + 1)
        level = (1, len(places))
        image = min(self.image_shape)
        curves = [
            Curve("field", places, [_side(found.before) for found in self.convolutions]),
            Curve("along the smallest path", places, [_side(found.smallest) for found in self.convolutions]),
            Curve(f"image, {image}", level, (image,) * 2),
        ]
        return curves + ([Curve(f"object, {self.object_side:g}", level, (self.object_side,) * 2)]
                         if self.object_side else [])  # fmt: skip

    def document(self) -> Document:
        """Return what is shown: the fields before each convolution, and which of them add no context."""
        names = ", ".join(f"{place} {found.layer}" for place, found in enumerate(self.convolutions, 1))
        blocks: tuple[Block, ...] = (
            Paragraph(f"{self.headline()}."),
            self.table(),
            Figure(self.figure, f"Convolutions: {names}."),
            *map(Paragraph, self._remarks()),
        )
        return Document(f"Unproductive layers of {self.network}", blocks)

    def table(self) -> Table:
        """Return the convolutions with the fields of their inputs, and the accuracies where they were measured."""
        columns = [Column("convolution"), Column("field before", numeric=True),
                   Column("smallest path", numeric=True, note="the path that widens the field least"),
                   Column("adds context")]  # fmt: skip
        columns += [Column("linear probe", numeric=True, note="accuracy on its output")] * bool(self.probes)
        return Table(tuple(columns), tuple(Row.of(list(self._cells(found))) for found in self.convolutions))

    def _cells(self, found: ConvolutionContext) -> Iterator[Cell]:
        yield found.layer
        yield per_axis(found.before), list(found.before)
        yield per_axis(found.smallest), list(found.smallest)
        yield "no" if found.covers_image else "beyond the object" if found.covers_object else "yes"
        if self.probes is not None:
            yield "–" if found.accuracy is None else (percent(found.accuracy), found.accuracy)

    def _remarks(self) -> Iterator[str]:
        yield (
            "A convolution adds no context once the field of its input is as large as the image along every path, the "
            "smallest included (Richter et al., 2021); it can still combine features."
        )
        if self.probes is not None:
            yield (
                f"Linear probes: features averaged over positions, {plural(self.probes.learned, 'image')} to learn "
                f"from and {self.probes.measured:,} to measure on."
            )


@public
def unproductive_layers(
    model: Inspection | ModelLike,
    *,
    objects: Objects | None = None,
    input_shape: Sequence[int] | None = None,
    probes: LinearProbes | bool = False,
    progress: ProgressOption = False,
) -> UnproductiveLayers:
    """Find the convolutions that can add no context, by the smallest field of their input.

    Args:
        model: what `convscope.inspect` returned, or anything that it takes.
        objects: the size of what is to be recognised: a side in pixels, boxes (N, 4), or masks (N, H, W).
        input_shape: the shape of one sample; the model's own unless given.
        probes: True measures a linear classifier on the output of each convolution, of a run on its own images; or
            the accuracies that `linear_probes` measured.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        CaptureError: no such model, a forward pass that fails, no images as input, or probes of what is no run.
        DataError: the images of a run that is to be probed can't be read.
        GeometryError: objects without a size.

    >>> from torch import nn
    >>> deep = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(6)))
    >>> unproductive_layers(deep, input_shape=(1, 8, 8)).unproductive
    ('4', '5')
    """
    side = None if objects is None else object_side(objects)
    inspection = inspected(model, input_shape)
    graph, image = inspection.graph, spatial_input(inspection.graph)
    if image is None:
        raise CaptureError(f"{graph.name} takes no images: its input has no axes of positions, so no fields")
    axes = sources_of(graph, image)
    image_shape = tuple(graph.shape(image)[axis] for _, axis in axes)
    paths = SmallestPaths(graph, axes)
    convolutions = [layer for layer in inspection.layers if layer.op in CONVOLUTIONS and layer.inputs]
    judged = [layer for layer in convolutions if any(window.kernel_size > 1 for window in layer.windows)]
    if not judged:
        raise CaptureError(f"{graph.name} has no convolution with a kernel larger than 1, so there is nothing to judge")
    probed = _probed(model, [layer.name for layer in judged], probes, progress)
    found = []
    for layer in judged:
        fields = [inspection.fields[layer.inputs[0]].get(axis) for axis in axes]
        smallest = paths.sizes(layer.inputs[0]) or (None,) * len(axes)
        found.append(
            ConvolutionContext(
                layer=layer.name,
                before=tuple(None if field is None else field.size for field in fields),
                smallest=smallest,
                covers_image=_covers(smallest, image_shape),
                covers_object=None if side is None else _covers(smallest, (side,) * len(axes)),
                accuracy=None if probed is None else probed.accuracy.get(layer.name),
            )
        )
    return UnproductiveLayers(
        network=graph.name, image_shape=image_shape, convolutions=tuple(found), object_side=side, probes=probed
    )


def _probed(
    model: Inspection | ModelLike, layers: Sequence[str], probes: LinearProbes | bool, progress: ProgressOption
) -> LinearProbes | None:
    """Return the probes that are given, or those of a run where they are asked for."""
    if isinstance(probes, LinearProbes) or not probes:
        return probes or None
    loaded = None if isinstance(model, Inspection) else load(model)
    if loaded is None or loaded.run is None:
        raise CaptureError("probes: only a run has images to measure linear probes on: give its directory as the model")
    network = given_network(loaded, None, 0)
    replays = Replays(network.module, name=network.name)
    with progress_of(progress) as report:
        return probes_of_run(loaded.run, replays, layers, progress=report)


def _covers(sizes: Sizes, needed: Sequence[float]) -> bool:
    return all(size is not None and size >= least for size, least in zip(sizes, needed, strict=True))


def _side(sizes: Sizes) -> float | None:
    """Return the shorter side of a field, by which it covers an image; None where one is not known."""
    known = [size for size in sizes if size is not None]
    return float(min(known)) if len(known) == len(sizes) else None
