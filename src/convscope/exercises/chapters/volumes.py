"""Chapter 4: volumes and filters. Parameters, the output's shape, MACs."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.exercises.draw import Draw, Drawn, ExerciseRule
from convscope.geometry.convolution import output_sizes, windows
from convscope.geometry.cost import convolution_cost

# Input channels, filters and kernel of layers of real networks.
_LAYERS = (
    (3, 64, 3), (3, 8, 5), (8, 16, 5), (3, 96, 11), (3, 10, 5), (3, 16, 3), (16, 32, 3), (32, 64, 3), (3, 64, 7),
    (64, 64, 3), (10, 20, 5), (20, 40, 5), (64, 16, 1), (3, 6, 5), (3, 100, 3), (64, 128, 3),
)  # fmt: skip
# Input channels, filters, kernel, stride, padding and side of layers of real networks.
_PLACED = (
    (3, 32, 5, 2, 2, 128), (3, 64, 7, 2, 3, 224), (3, 96, 11, 4, 0, 227), (3, 10, 5, 1, 2, 32), (8, 16, 5, 1, 0, 14),
    (3, 64, 3, 1, 1, 224), (64, 128, 3, 2, 1, 56), (10, 20, 5, 2, 0, 37), (64, 16, 1, 1, 0, 56),
)  # fmt: skip


def _layer(draw: Draw) -> tuple[int, int, int]:
    if draw.half():
        return draw.one(_LAYERS)
    return draw.one((2, 3, 4, 6, 8, 12, 16)), draw.whole(4, 96), draw.one((1, 3, 5, 7))


def _placed(draw: Draw) -> tuple[int, int, int, int, int, int]:
    if draw.half():
        return draw.one(_PLACED)
    channels, filters, kernel = _layer(draw)
    return channels, filters, kernel, draw.whole(1, 3), draw.whole(0, kernel // 2), draw.whole(kernel + 8, 96)


def _parameters(draw: Draw) -> Drawn:
    channels, filters, kernel = _layer(draw)
    cost = convolution_cost(channels, filters, (kernel, kernel), (1, 1))
    return Drawn(
        numbers={
            "C": channels, "K": filters, "F": kernel, "plane": kernel**2, "depth": kernel**2 * channels,
            "weights": cost.weights, "answer": cost.parameters,
        },
        answer=cost.parameters,
        wrong={
            "depth": convolution_cost(1, filters, (kernel, kernel), (1, 1)).parameters,
            "bias": cost.weights,
            "one-bias": cost.weights + 1,
            "own-depth": convolution_cost(filters, filters, (kernel, kernel), (1, 1)).weights,
            "slice-bias": filters * channels * (kernel**2 + 1),
            "one-filter": kernel**2 * channels + 1,
        },
    )  # fmt: skip


def _shape(draw: Draw) -> Drawn:
    channels, filters, kernel, stride, padding, side = _placed(draw)
    batch = draw.one((2, 4, 8, 16, 32, 64))
    height, width = output_sizes((side, side), windows(2, kernel, stride=stride, padding=padding))
    answer = (batch, filters, height, width)
    return Drawn(
        numbers={
            "N": batch, "C": channels, "Cout": filters, "K": kernel, "S": stride, "P": padding, "H": side,
            "size": height, "formula": windows(2, kernel, stride=stride, padding=padding)[0].formula(side),
            "answer": answer,
        },
        answer=answer,
        wrong={
            "channels-kept": (batch, channels, height, width),
            "channels-multiplied": (batch, channels * filters, height, width),
            "batch": (filters, height, width),
            "sizes-kept": (batch, filters, side, side),
            "channels-last": (batch, height, width, filters),
        },
    )  # fmt: skip


def _macs(draw: Draw) -> Drawn:
    channels, filters, kernel, stride, padding, side = _placed(draw)
    sizes = output_sizes((side, side), windows(2, kernel, stride=stride, padding=padding))
    cost = convolution_cost(channels, filters, (kernel, kernel), sizes)
    outputs = filters * sizes[0] * sizes[1]
    return Drawn(
        numbers={
            "C": channels, "K": filters, "F": kernel, "S": stride, "P": padding, "H": side, "size": sizes[0],
            "formula": windows(2, kernel, stride=stride, padding=padding)[0].formula(side),
            "outputs": outputs, "products": kernel**2 * channels, "answer": cost.macs,
        },
        answer=cost.macs,
        wrong={
            "parameters": cost.parameters,
            "weights": cost.weights,
            "input-size": convolution_cost(channels, filters, (kernel, kernel), (side, side)).macs,
            "flops": 2 * cost.macs,
            "bias": cost.macs + outputs,
            "channels": cost.macs // channels,
        },
    )  # fmt: skip


RULES: Mapping[str, ExerciseRule] = {
    "4a": ExerciseRule(kind="whole", draw=_parameters),
    "4b": ExerciseRule(kind="shape", draw=_shape),
    "4c": ExerciseRule(kind="whole", draw=_macs),
}
