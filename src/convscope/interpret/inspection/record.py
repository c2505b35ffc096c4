"""`inspect`: everything exact about a network, as one record with a terminal, a notebook and a JSON form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from convscope.api.annotations import Positive
from convscope.api.public import public
from convscope.capture.capture import capture
from convscope.capture.inputs import Inputs
from convscope.capture.left_as_found import CaptureMode, garbage_left
from convscope.capture.load import ModelLike, load
from convscope.errors import CaptureError
from convscope.graph.axes import batch_of
from convscope.graph.diagnose.diagnose import Folded, diagnose, fold_warnings
from convscope.graph.diagnose.finding import DesignWarning
from convscope.graph.diagnose.training import EXPLAINED, noted_for_training
from convscope.graph.fold import FoldedLine, fold
from convscope.graph.json_form import graph_to_dict, network_field_to_dict
from convscope.graph.layer_names import LayerNames
from convscope.graph.memory import forward_memory
from convscope.graph.network_field import (
    LayerFields,
    NetworkField,
    fields_by_layer,
    local_fields,
    network_field,
    network_local_field,
    spatial_input,
)
from convscope.graph.propagate import Source, propagate
from convscope.graph.receptive_field import ReceptiveField, summarise_all
from convscope.graph.records import Graph
from convscope.graph.summary import Layer, summarise_layers
from convscope.interpret.inspection.cost_bars import cost_drawings
from convscope.interpret.inspection.field_drawing import field_drawing, field_growth
from convscope.interpret.inspection.field_fact import field_fact
from convscope.interpret.inspection.layer_table import PAGE_COLUMNS, layer_table
from convscope.interpret.inspection.network_drawing import network_drawing
from convscope.report import units
from convscope.report.document import Callout, Document, Fact, Facts, Figure, Section
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.printable import few
from convscope.report.svg import Drawing
from convscope.report.table import Table

if TYPE_CHECKING:
    from convscope.files.checked import Json

NAMED = 6  # this many further layers of a folded warning are named


@dataclass(frozen=True, eq=False, repr=False)
class Inspection(Pictured):
    """A network with its sizes, costs, receptive fields and design warnings.

    Args:
        graph: what the network computed; `graph.error` says where the forward pass failed, if it did.
        fields: the receptive fields of every value of the graph.
        layers: one row per call of a leaf module or functional operation.
        warnings: findings about the design, warnings before notes.

    `print(inspection)` shows the table; a notebook shows it as HTML; `.to_dict()` gives the documented JSON form.
    """

    graph: Graph
    fields: Sequence[Mapping[Source, ReceptiveField]]
    layers: tuple[Layer, ...]
    warnings: tuple[DesignWarning, ...]

    @property
    def parameters(self) -> int:
        """Elements of all parameters, shared ones once."""
        return self.graph.parameter_count

    @property
    def macs(self) -> int:
        """Multiply-adds of one sample, of everything that can be counted."""
        return self.graph.macs // self.batch

    @property
    def activation_bytes(self) -> int:
        """Bytes of all layers' outputs for one sample: in-place results and views take none."""
        return sum(layer.activation_bytes for layer in self.layers) // self.batch

    @property
    def peak_bytes(self) -> int:
        """Bytes of inputs and activations alive at the worst moment of a forward pass, as the network was run."""
        return forward_memory(self.graph).peak_bytes

    @cached_property
    def batch(self) -> int:
        """Samples that the network was run on."""
        return batch_of(self.graph)

    @property
    def error(self) -> str | None:
        """Why the forward pass stopped early; None when it finished."""
        return self.graph.error

    @cached_property
    def source(self) -> int | None:
        """The input against which receptive fields are shown: the first with spatial axes."""
        return spatial_input(self.graph)

    @public
    def layer(self, name: str) -> Layer:
        """Return the layer of a name that any command prints; a module of several layers means the last of them.

        Raises:
            CaptureError: there is none; the message has the nearest names.
        """
        names = LayerNames(self.graph)
        return self.layers[names.layers.index(names.find_layer(name))]

    @cached_property
    def network_field(self) -> NetworkField | None:
        """The network's receptive field: at the last map before an operation reads whole axes, or at the output."""
        image = self.source
        return None if image is None else network_field(self.graph, self.layers, fields_by_layer(self.layers, image))

    @cached_property
    def local_field(self) -> NetworkField | None:
        """The same apart from gates and normalization, where it is another; docs/receptive-fields.md defines both."""
        return network_local_field(self.graph, self.layers, self.network_field)

    @cached_property
    def _local_fields(self) -> LayerFields:
        return {} if self.source is None else local_fields(self.graph, self.layers, self.source)[0]

    def lines(self, depth: int | None = None) -> tuple[FoldedLine, ...]:
        """Return the module tree as lines, repeated blocks folded, levels below `depth` collapsed."""
        return fold(self.graph, self.layers, depth=depth)

    def table(
        self,
        depth: int | None = None,
        *,
        formulas: bool = False,
        wide: bool = False,
        local_fields: bool = False,
        kept: Mapping[str, int] | None = None,
    ) -> Table:
        """Return the table of layers.

        Args:
            depth: levels of modules to show; all, with repeats folded, unless given.
            formulas: with how the parameters and the MACs come about.
            wide: with inputs, output values, kernels, shares of the totals, where fields start, and memory.
            local_fields: with the receptive fields apart from gates and normalization.
            kept: bytes that training keeps of each layer, from `convscope.training_memory`; a column if given.
        """
        return layer_table(
            self.graph,
            self.lines(depth),
            source=self.source,
            batch=self.batch,
            formulas=formulas,
            wide=wide,
            local=self._local_fields if local_fields else None,
            kept=kept,
        )

    def headline(self) -> str:
        """Return the name, the input, the totals and the number of warnings."""
        warnings = sum(one.severity == "warning" for one in self.warnings)
        totals = f"{units.count(self.parameters)} parameters, {units.count(self.macs)} MACs"
        found = "the forward pass failed" if self.error else totals
        return f"{_title(self)}: {found}" + f", {units.plural(warnings, 'warning')}" * bool(warnings)

    def to_dict(self) -> dict[str, Json]:
        """Return the network, its layers and its warnings as JSON's types; docs/inspect.md describes each key.

        Keys:
            version: of this form; within one, keys are only added.
            model: the name.
            inputs: name, shape and element type of each.
            outputs: shape and element type of each.
            totals: parameters, MACs, bytes.
            layers: a record a layer, in the order in which they ran.
            warnings: findings about the design.
            network_field: the network's receptive field, and where it is; None without one.
            local_field: the same apart from gates and normalization; None where it is no other.
            uncounted: layers whose MACs are not known.
            shared_parameters: the names of each parameter that has several.
            notes: remarks on how it was captured.
            error: why the forward pass stopped; None where it finished.
        """
        form = graph_to_dict(self.graph, self.layers, self.warnings)
        fields = {"network_field": self.network_field, "local_field": self.local_field}
        return json_dict(form | {name: found and network_field_to_dict(found) for name, found in fields.items()})

    def figure(self) -> Drawing:
        """Draw the network."""
        return network_drawing(self.graph, self.layers)

    def field_figure(self) -> Drawing | None:
        """Draw the receptive field as it grows from layer to layer; None where no layer has a local one."""
        return self._field_figure and self._field_figure()

    @cached_property
    def _field_figure(self) -> Callable[[], Drawing] | None:
        last = None if self.network_field is None else self.network_field.index + 1
        growth = [] if self.source is None else field_growth(self.layers[:last], self.source)
        return partial(field_drawing, self.graph, growth, self.source) if growth and self.source is not None else None

    def document(
        self,
        depth: int | None = None,
        *,
        formulas: bool = False,
        wide: bool = False,
        local_fields: bool = False,
        kept: Mapping[str, int] | None = None,
        more: Sequence[Fact] = (),
        all_warnings: bool = False,
    ) -> Document:
        """Return what is shown: the layers, drawings, the totals and the warnings.

        Args:
            depth: as of `table`, likewise `formulas` and `kept`.
            formulas: see `depth`.
            wide: in a terminal too, what `table` adds with `wide`.
            local_fields: see `depth`.
            kept: see `depth`.
            more: further totals.
            all_warnings: every warning by itself, also those that are alike.
        """
        table = self.table(depth, formulas=formulas, wide=True, local_fields=local_fields, kept=kept)
        caption = "Boxes are as high as their maps and as wide as their channels. Point at one for its figures."
        drawings = [Section("Network", (Figure(self.figure, caption),))]
        growth = self._field_figure
        if growth is not None:
            caption = "Which pixels the middle position of a map depends on, as if the image had no borders."
            drawings.append(Section("Receptive field", (Figure(growth, caption),)))
        drawn = cost_drawings(self.layers, self.batch)
        costs = Section("Where the cost is", tuple(map(Figure, drawn)))
        return Document(
            _title(self),
            (*drawings, costs, Section("Layers", (table if wide else table.on_pages(PAGE_COLUMNS),))),
            lead=f"{units.plural(len(self.layers), 'layer')}, computed from shapes alone, without running the network.",
            # Totals of a part would be taken for the network's.
            summary=(*([] if self.error else [Facts((*_totals(self), *more))]), *_remarks(self, all_warnings)),
            footer="Made by convscope inspect.",
        )


def _title(inspection: Inspection) -> str:
    """Return the model's name and the input's shape."""
    graph = inspection.graph
    shapes = " and ".join(units.shape(graph.shape(v)["." not in graph.values[v].name :]) for v in graph.inputs)
    if inspection.batch > 1:
        shapes = f"a batch of {inspection.batch} samples of {shapes}; the table is of one"
    return f"{graph.name} on {shapes}" if shapes else graph.name


def _totals(inspection: Inspection) -> Iterator[Fact]:
    graph, batch = inspection.graph, inspection.batch
    records = [record for record in graph.parameters if not record.buffer]
    trainable = sum(r.spec.elements for r in records if r.trainable)
    frozen = "" if trainable == inspection.parameters else f", {units.exact(trainable)} of them trainable"
    weight_bytes = units.byte_size(sum(r.spec.bytes for r in records))
    parameters, macs = inspection.parameters, inspection.macs
    kept, peak = inspection.activation_bytes, inspection.peak_bytes
    many = batch > 1
    yield Fact("parameters", units.count(parameters), parameters,
               f"{units.exact(parameters)} ({weight_bytes}){frozen}")  # fmt: skip
    yield Fact("MACs", units.count(macs), macs,
               f"{units.exact(macs)} for one sample" + f", {units.exact(macs * batch)} for {batch}" * many)  # fmt: skip
    yield Fact(
        "activations",
        units.byte_size(kept),
        kept,
        f"{units.byte_size(kept)} for one sample; a forward pass without gradients holds at most "
        f"{units.byte_size(peak // batch)} with its input"
        + f"; {units.byte_size(kept * batch)} and {units.byte_size(peak)} for {batch}"
        * many,
    )
    if many and graph.outputs:
        yield Fact("output", " and ".join(units.shape(graph.shape(value)) for value in graph.outputs))
    if inspection.network_field is not None:
        yield field_fact("field", inspection.network_field, "")
    if inspection.local_field is not None:
        yield field_fact("local field", inspection.local_field, "apart from gates and normalization: ")


def _remarks(inspection: Inspection, all_warnings: bool) -> Iterator[Callout]:
    """Return where the forward pass failed, the warnings, and what is not counted."""
    if inspection.error:
        yield Callout("error", f"the forward pass stopped: {inspection.error}", ("what is shown ran before it",))
    warnings = inspection.warnings
    for group in [Folded(one, ()) for one in warnings] if all_warnings else fold_warnings(warnings):
        first = group.first
        more = (f"likewise {_named(group.others)}",) if group.others else ()
        yield Callout(first.severity, first.message, (first.evidence, f"→ {first.remedy}", *more))
    uncounted = [layer.name for layer in inspection.layers if layer.macs is None]
    if uncounted:
        yield Callout("note", f"the MACs of {_named(uncounted)} are not known, and not in the sum")
    for note in inspection.graph.notes:
        yield Callout("note", note)


def _named(names: Sequence[str]) -> str:
    return few(names, NAMED)


@public
def inspect(
    model: ModelLike,
    input_shape: Inputs | None = None,
    *,
    batch_size: Positive = 1,
    name: str = "",
    mode: CaptureMode = "eval",
    object_size: Positive | None = None,
) -> Inspection:
    """Work out every size, cost and receptive field of a network, without running it on numbers.

    Args:
        model: a module, left exactly as found; a function that makes one, whose weights are then never allocated; a
            catalogue name, file.py:factory, package.module:factory, timm/NAME or an ONNX file; a run, what
            `convscope.train` returned, or a predictor.
        input_shape: the shape of one sample, such as (3, 224, 224), or whatever else `capture` takes; the model's own
            unless given.
        batch_size: samples that it is run on; figures are those of one sample, and totals also of the batch.
        name: what to call it; the model's own name, or its class's, unless given.
        mode: "eval", "train", or "as is".
        object_size: side of what is to be recognised, in pixels, to be warned where no position sees it whole.

    Returns:
        The inspection; when the forward pass fails, of what ran before, and `.error` says where and why.

    Raises:
        CaptureError: the model can't be found or built, its input shape is unknown, or the inputs can't be made.
        RunError: a directory that is no run, of another format, or an ensemble; or its weights are damaged.

    >>> import torch
    >>> inspection = inspect(torch.nn.Conv2d(3, 10, 5, padding=2), (3, 32, 32))
    >>> inspection.parameters, inspection.macs, inspection.layers[0].output_shape
    (760, 768000, (1, 10, 32, 32))
    >>> inspect("lenet5").parameters
    61706
    """
    loaded = load(model)
    loaded.require_intact_weights()
    shape = loaded.inputs(input_shape)
    graph = capture(loaded.model, shape, batch_size=batch_size, name=name or loaded.name, mode=mode)
    inspection = inspect_graph(graph, object_size=object_size)
    if mode != "eval" or not any(w.kind in EXPLAINED and w.severity == "warning" for w in inspection.warnings):
        return inspection
    # Heads that only training uses are no fault of the design. Two samples, for batch normalisation's sake.
    training = capture(loaded.model, shape, batch_size=max(2, batch_size), mode="train")
    warnings = inspection.warnings if training.error else noted_for_training(inspection.warnings, training)
    return replace(inspection, warnings=warnings)


def inspected(given: Inspection | ModelLike, input_shape: Inputs | None = None) -> Inspection:
    """Return an inspection as it is, and that of anything that `inspect` takes.

    Raises:
        CaptureError: as `inspect`, or the forward pass fails; or an input shape beside an inspection, which has one.
    """
    if isinstance(given, Inspection):
        if input_shape is not None:
            raise CaptureError(f"input_shape: the inspection of {given.graph.name} has its own: leave it out")
        found = given
    else:
        found = inspect(given, input_shape)
    if found.error:
        raise CaptureError(f"{found.graph.name}: {found.error}")
    return found


def inspect_graph(graph: Graph, *, object_size: int | None = None) -> Inspection:
    """Return the inspection of a graph that was captured before."""
    with garbage_left():
        fields = summarise_all(propagate(graph))
        layers = summarise_layers(graph, fields)
        return Inspection(graph, fields, layers, diagnose(graph, layers, fields, object_size=object_size))
