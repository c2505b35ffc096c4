"""An inspected network as JSON: versioned, documented in docs/inspect.md, and only ever added to within a version."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from convscope.graph.axes import input_axes, spatial_inputs
from convscope.graph.diagnose.finding import DesignWarning
from convscope.graph.memory import forward_memory
from convscope.graph.network_field import NetworkField
from convscope.graph.receptive_field import ReceptiveField
from convscope.graph.records import Graph
from convscope.graph.summary import Layer

if TYPE_CHECKING:
    from convscope.files.checked import Json

VERSION = 1


def graph_to_dict(graph: Graph, layers: Sequence[Layer], warnings: Sequence[DesignWarning]) -> dict[str, Json]:
    """Return the network, its layers and its warnings as JSON's types.

    Sizes are in elements, receptive fields in input pixels, costs as the network ran: for one sample unless it was
    given more. What is not known is null.
    """
    sources = spatial_inputs(graph)
    parameters = [record for record in graph.parameters if not record.buffer]
    return {
        "version": VERSION,
        "model": graph.name,
        "inputs": [_tensor(graph, value, named=True) for value in graph.inputs],
        "outputs": [_tensor(graph, value, named=False) for value in graph.outputs],
        "totals": {
            "parameters": graph.parameter_count,
            "trainable_parameters": sum(r.spec.elements for r in parameters if r.trainable),
            "buffers": graph.buffer_count,
            "macs": graph.macs,
            "layers": len(layers),
            "parameter_bytes": sum(r.spec.bytes for r in parameters),
            "activation_bytes": sum(layer.activation_bytes for layer in layers),
            "peak_activation_bytes": forward_memory(graph).peak_bytes,
        },
        "layers": [_layer(graph, layer, sources) for layer in layers],
        "warnings": [
            {
                "layer": w.layer,
                "kind": w.kind,
                "severity": w.severity,
                "message": w.message,
                "evidence": w.evidence,
                "remedy": w.remedy,
            }
            for w in warnings
        ],
        "uncounted": [{"layer": layer.name, "op": layer.op} for layer in layers if layer.macs is None],
        "shared_parameters": [list(record.names) for record in parameters if len(record.names) > 1],
        "notes": list(graph.notes),
        "error": graph.error,
    }


def _tensor(graph: Graph, value: int, *, named: bool) -> Json:
    spec = graph.values[value].spec
    form: dict[str, Json] = {}
    if named:
        form = {"name": graph.values[value].name, "axes": list(input_axes(graph, value).names)}
    return {**form, "shape": list(spec.shape), "dtype": spec.dtype}


def _layer(graph: Graph, layer: Layer, sources: Sequence[int]) -> Json:
    fields = {graph.values[source].name: _field(layer.field_along(source)) for source in sources}
    form: dict[str, Json] = {
        "name": layer.name,
        "module": layer.module,
        "call": layer.call,
        "op": layer.op,
        "kind": layer.kind or None,
        "input_shapes": [list(graph.shape(value)) for value in layer.inputs],
        "output_shape": list(layer.output_shape),
        "parameters": layer.parameters,
        "buffers": layer.buffers,
        "parameter_names": list(layer.parameter_names),
        "shares_parameters": layer.shares,
        "macs": layer.macs,
        "formula": layer.formula or None,
        "activation_bytes": layer.activation_bytes,
        "receptive_field": next(iter(fields.values()), None),
    }
    if layer.windows:
        form["window"] = {
            "kernel_size": [w.kernel_size for w in layer.windows],
            "stride": [w.stride for w in layer.windows],
            "padding": [[w.padding_before, w.padding_after] for w in layer.windows],
            "dilation": [w.dilation for w in layer.windows],
            "ceil_mode": any(w.ceil_mode for w in layer.windows),
            "groups": layer.groups,
        }
    if len(sources) > 1:
        form["receptive_fields"] = {**fields}
    return form


def _field(along: Sequence[ReceptiveField]) -> Json:
    if not along:
        return None
    return {
        "status": max(field.status for field in along).label,
        "size": [field.size for field in along],
        "least": [field.least for field in along],
        "stride": [number(field.stride) for field in along],
        "start": [field.start for field in along],
        "sizes": [list(field.sizes) for field in along],
        "without_borders": all(field.endless for field in along),
    }


def network_field_to_dict(found: NetworkField) -> Json:
    """Return a network's receptive field, and where it is, as JSON's types."""
    return {
        "size": [field.size for field in found.fields],
        "least": [field.least for field in found.fields],
        "stride": [number(field.stride) for field in found.fields],
        "without_borders": all(field.endless for field in found.fields),
        "layer": found.layer,
        "before": found.reader or None,
    }


def number(value: Fraction | None) -> Json:
    """Return a stride as a number: a whole number where it is one: a stride of 2 is 2, that of an upsampled map 0.5."""
    if value is None:
        return None
    return value.numerator if value.denominator == 1 else float(value)
