"""Batch normalization that an exporter folded into the layer before it, as far as the file says so."""

from __future__ import annotations

from collections.abc import Iterator

from convscope.nets.onnx.plan import Plan
from convscope.nets.onnx.step import OnnxStep

_LAYERS = ("Conv", "ConvTranspose", "Gemm")


def folded_note(plan: Plan) -> str | None:
    """Return what to say of folded batch normalization; None where the file shows none.

    Torch's exporter names the normalization as the layer's module; its older one gives a weight that it computed a
    number for a name. In each layer the two parameters of a channel become one bias, or none where it is 0; and a
    bias of the layer's own, of which nothing is left, became part of it.
    """
    channels = fewer = 0
    layers = list(_folded(plan))
    for step in layers:
        weight = plan.constants[step.inputs[1]]
        # Transposed convolutions have (C_in, C_out / groups, ...).
        made = weight.dims[1] * step.get("group", 1) if step.operator == "ConvTranspose" else weight.dims[0]
        channels += made
        fewer += made if len(step.inputs) > 2 and step.inputs[2] else 2 * made
    if not layers:
        return None
    many = "s" if len(layers) > 1 else ""
    return (
        f"batch normalization is folded into {len(layers)} layer{many} of {channels:,} channels: {fewer:,} fewer "
        f"parameters than were trained, or {fewer + channels:,} where these layers had biases of their own"
    )


def _folded(plan: Plan) -> Iterator[OnnxStep]:
    for step in plan.steps:
        if step.operator in _LAYERS and not step.domain and len(step.inputs) > 1 and step.inputs[1] in plan.constants:
            computed = [name.startswith("onnx::") for name in step.inputs[1:3] if name]
            if step.made_from.startswith("BatchNorm") or (
                step.operator != "Gemm" and len(computed) > 1 and all(computed)
            ):
                yield step
