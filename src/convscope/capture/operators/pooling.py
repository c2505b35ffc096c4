"""Max, average, power and adaptive pooling in one, two or three dimensions. Pooling has no MACs."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.capture.operators.rule import Call, Flow, OperatorRule, Rule
from convscope.geometry.convolution import per_axis
from convscope.geometry.relation import Mix, ReachStatus, RelationStep, Taps
from convscope.geometry.taps import adaptive_taps, window_taps
from convscope.geometry.window import Window


def _sliding(op: str, dimensions: int) -> Rule:
    def rule(call: Call) -> OperatorRule:
        a = call.arguments
        kernels = per_axis("kernel_size", a["kernel_size"], dimensions)
        windows = tuple(
            Window(kernel_size=k, stride=s, padding_before=p, padding_after=p, dilation=d, ceil_mode=a["ceil_mode"])
            for k, s, p, d in zip(
                kernels,
                per_axis("stride", a["stride"] or kernels, dimensions),
                per_axis("padding", a["padding"], dimensions),
                per_axis("dilation", a.get("dilation", 1), dimensions),
                strict=True,
            )
        )
        x = call.first
        first = x.rank - dimensions
        sizes = x.shape[first:]
        # The mean over one window as large as the map is global average pooling, however it is written.
        if op == "avg_pool" and max(sizes) > 1 and all(map(_is_whole, windows, sizes)):
            steps: tuple[RelationStep, ...] = tuple(Mix(first + i, 1) for i in range(dimensions))
        else:
            steps = tuple(Taps(first + i, window_taps(w, sizes[i])) for i, w in enumerate(windows))
        flows = tuple(Flow(0, output, steps) for output in range(len(call.outputs)))
        return OperatorRule(op, flows, windows=windows)

    return rule


def _is_whole(window: Window, size: int) -> bool:
    return window.kernel_size == size and window.dilation == 1 and not window.padding_before + window.padding_after


def _adaptive(op: str, dimensions: int) -> Rule:
    def rule(call: Call) -> OperatorRule:
        x = call.first
        first = x.rank - dimensions
        steps: list[RelationStep] = []
        for axis in range(first, x.rank):
            size, wanted = x.shape[axis], call.outputs[0][axis]
            # To one position is the whole axis by definition, however large the input is.
            steps.append(Mix(axis, 1) if wanted == 1 else Taps(axis, adaptive_taps(size, wanted)))
        flows = tuple(Flow(0, output, tuple(steps)) for output in range(len(call.outputs)))
        return OperatorRule(op, flows)

    return rule


def _by_values(op: str, dimensions: int) -> Rule:
    """Pooling whose windows or places are drawn at random or come as indices."""

    def rule(call: Call) -> OperatorRule:
        x, out = call.first, call.outputs[0]
        steps = tuple(Mix(axis, out[axis]) for axis in range(x.rank - dimensions, x.rank))
        flows = tuple(
            Flow(operand.slot, output, steps, ReachStatus.DATA_DEPENDENT)
            for output in range(len(call.outputs))
            for operand in call.operands
            if operand.shape == x.shape
        )
        return OperatorRule(op, flows)

    return rule


RULES: Mapping[str, Rule] = {
    "max_pool2d_with_indices": _sliding("max_pool", 2),
    "max_pool3d_with_indices": _sliding("max_pool", 3),
    "max_pool1d": _sliding("max_pool", 1),
    "max_pool2d": _sliding("max_pool", 2),
    "max_pool3d": _sliding("max_pool", 3),
    "mkldnn_max_pool2d": _sliding("max_pool", 2),
    "avg_pool1d": _sliding("avg_pool", 1),
    "avg_pool2d": _sliding("avg_pool", 2),
    "avg_pool3d": _sliding("avg_pool", 3),
    **{f"_adaptive_avg_pool{n}d": _adaptive("adaptive_avg_pool", n) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": _adaptive("adaptive_avg_pool", n) for n in (1, 2, 3)},
    **{f"adaptive_max_pool{n}d": _adaptive("adaptive_max_pool", n) for n in (1, 2, 3)},
    "fractional_max_pool2d": _by_values("fractional_max_pool", 2),
    "fractional_max_pool3d": _by_values("fractional_max_pool", 3),
    "max_unpool2d": _by_values("max_unpool", 2),
    "max_unpool3d": _by_values("max_unpool", 3),
}
