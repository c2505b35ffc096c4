"""Chapter 1: why not fully connected. Weights of one unit, a dense layer against filters, and how both grow."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.exercises.draw import Draw, Drawn, ExerciseRule
from convscope.geometry.convolution import output_sizes, windows
from convscope.geometry.cost import convolution_cost, linear_cost

# Height, width and channels of images and maps that networks read.
_IMAGES = ((224, 224, 3), (32, 32, 3), (227, 227, 3), (64, 64, 3), (28, 28, 6), (112, 112, 64), (512, 512, 3))
_UNITS = (10, 50, 64, 100, 120, 128, 256, 512, 1000)
_FILTERS = ((3, 100), (3, 64), (5, 6), (5, 8), (5, 10), (7, 64), (11, 96), (3, 32), (3, 16))


def _image(draw: Draw) -> tuple[int, int, int]:
    if draw.half():
        return draw.one(_IMAGES)
    return 8 * draw.whole(2, 40), 8 * draw.whole(2, 40), draw.one((2, 3, 4, 6, 8, 16))


def _one_unit(draw: Draw) -> Drawn:
    height, width, channels = _image(draw)
    weights = linear_cost(height * width * channels, 1, bias=False).weights
    return Drawn(
        numbers={"H": height, "W": width, "C": channels, "plane": height * width, "answer": weights},
        answer=weights,
        wrong={
            "channels": height * width,
            "side": height * channels,
            "bias": linear_cost(height * width * channels, 1).parameters,
            "added": height + width + channels,
        },
    )


def _dense_and_filters(draw: Draw) -> Drawn:
    height, width, channels = _image(draw)
    units, (kernel, filters) = draw.one(_UNITS), draw.one(_FILTERS)
    values = height * width * channels
    sizes = output_sizes((height, width), windows(2, kernel, padding="same"))
    dense, convolution = linear_cost(values, units), convolution_cost(channels, filters, (kernel, kernel), sizes)
    flat = convolution_cost(1, filters, (kernel, kernel), sizes)
    answer = (dense.parameters, convolution.parameters)
    places = sizes[0] * sizes[1]
    return Drawn(
        numbers={
            "H": height, "W": width, "C": channels, "N": units, "K": filters, "F": kernel, "values": values,
            "places": places, "dense_weights": dense.weights, "weights": convolution.weights, "answer": answer,
            "dense": answer[0], "convolution": answer[1], "depth": kernel * kernel * channels,
        },
        answer=answer,
        wrong={
            "bias": (dense.weights, convolution.weights),
            "places": (dense.parameters, convolution.parameters * places),
            "depth": (dense.parameters, flat.parameters),
            "one-unit": (linear_cost(values, 1).parameters, convolution.parameters),
        },
    )  # fmt: skip


def _growth(draw: Draw) -> Drawn:
    side, channels = draw.one((16, 28, 32, 56, 64)), draw.one((1, 3, 16))
    times = draw.one((2, 3, 4, 5, 6, 7, 8, 10))
    units, (kernel, filters) = draw.one(_UNITS), draw.one(_FILTERS)

    def counts(at: int) -> tuple[int, int]:
        sizes = output_sizes((at, at), windows(2, kernel, padding="same"))
        weights = convolution_cost(channels, filters, (kernel, kernel), sizes, bias=False).weights
        return linear_cost(channels * at * at, units, bias=False).weights, weights

    before, after = counts(side), counts(side * times)
    answer = (after[0] // before[0], after[1] // before[1])
    return Drawn(
        numbers={
            "side": side, "larger": side * times, "m": times, "C": channels, "N": units, "K": filters, "F": kernel,
            "dense": before[0], "dense_larger": after[0], "convolution": before[1], "convolution_larger": after[1],
            "answer": answer, "growth": answer[0],
        },
        answer=answer,
        wrong={
            "length": (times, 1),
            "both": (times**2, times**2),
            "both-length": (times, times),
            "cube": (times**3, 1),
        },
    )  # fmt: skip


RULES: Mapping[str, ExerciseRule] = {
    "1a": ExerciseRule(kind="whole", draw=_one_unit),
    "1b": ExerciseRule(kind="numbers", draw=_dense_and_filters),
    "1c": ExerciseRule(kind="numbers", draw=_growth),
}
