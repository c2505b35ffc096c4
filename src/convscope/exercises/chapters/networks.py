"""Chapter 7: LeNet to ResNet. A table with a row missing, slopes of activations, the first dense layer."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.exercises.draw import Draw, Drawn, ExerciseRule
from convscope.geometry.convolution import output_sizes, windows
from convscope.geometry.cost import convolution_cost, linear_cost
from convscope.geometry.pooling import pooling_windows

# Channels, side, kernel, filters of both convolutions, and units of the dense layers.
_LENETS = ((3, 32, 5, 8, 16, (120, 84, 10)), (1, 32, 5, 6, 16, (120, 84, 10)))
# Channels, height and width of the last map, and units of the first dense layer after it.
_HEADS = ((256, 6, 6, 4096), (512, 7, 7, 4096), (16, 5, 5, 120), (40, 7, 7, 10), (256, 4, 4, 512), (64, 8, 8, 128))
UNKNOWN_ROW = "?"


def _lenet(draw: Draw) -> tuple[int, int, int, int, int, tuple[int, ...]]:
    if draw.half():
        return draw.one(_LENETS)
    first = draw.whole(4, 12)
    units = (draw.one((64, 96, 120, 128)), draw.one((32, 48, 84)), draw.one((5, 10)))
    return draw.one((1, 3)), draw.one((28, 32, 36, 40, 48)), draw.one((3, 5)), first, 2 * first, units


def _table(draw: Draw) -> Drawn:
    channels, side, kernel, first, second, units = _lenet(draw)
    one = output_sizes((side, side), windows(2, kernel))
    pooled_one = output_sizes(one, pooling_windows(2, 2))
    two = output_sizes(pooled_one, windows(2, kernel))
    pooled_two = output_sizes(two, pooling_windows(2, 2))
    flat = second * pooled_two[0] * pooled_two[1]
    costs = {
        "conv1": ((first, *one), convolution_cost(channels, first, (kernel, kernel), one)),
        "pool1": ((first, *pooled_one), None),
        "conv2": ((second, *two), convolution_cost(first, second, (kernel, kernel), two)),
        "pool2": ((second, *pooled_two), None),
        "fc3": ((units[0],), linear_cost(flat, units[0])),
        "fc4": ((units[1],), linear_cost(units[0], units[1])),
        "output": ((units[2],), linear_cost(units[1], units[2])),
    }
    missing = draw.one(("conv2", "pool2", "fc3"))
    parameters = {name: cost.parameters if cost else 0 for name, (_, cost) in costs.items()}
    rows = [
        (name, "×".join(map(str, shape)), UNKNOWN_ROW if name == missing else f"{parameters[name]:,}")
        for name, (shape, _) in costs.items()
    ]
    answer, weights = parameters[missing], costs[missing][1]
    wrong: dict[str, int | None] = {}
    if missing == "fc3":
        wrong = {
            "channels": linear_cost(pooled_two[0] * pooled_two[1], units[0]).parameters,
            "bias": weights.weights if weights else None,
            "before-pool": linear_cost(second * two[0] * two[1], units[0]).parameters,
            "maps": linear_cost(second, units[0]).parameters,
        }
    elif missing == "conv2":
        wrong = {
            "depth": convolution_cost(1, second, (kernel, kernel), two).parameters,
            "bias": weights.weights if weights else None,
            "image-depth": convolution_cost(channels, second, (kernel, kernel), two).parameters,
            "own-depth": convolution_cost(second, second, (kernel, kernel), two).parameters,
        }
    else:
        wrong = {"pool-weights": 4 * second, "pool-bias": second, "pool-window": 4, "pool-values": flat}
    return Drawn(
        numbers={
            "table": rows, "missing": missing, "K": second, "F": kernel, "C": first, "image": channels, "N": units[0],
            "H": pooled_two[0], "W": pooled_two[1], "flat": flat, "side": side, "weights": weights.weights if weights
            else 0, "answer": answer, "depth": kernel * kernel * first,
        },
        answer=answer,
        wrong=wrong,
        texts={"formula": f"formula-{missing}", "steps": f"steps-{missing}"},
    )  # fmt: skip


def _slope(draw: Draw) -> Drawn:
    import numpy as np

    from convscope.reference.activation import relu, relu_backward, sigmoid, sigmoid_backward, tanh, tanh_backward

    asked = draw.one(("sigmoids", "sigmoid", "sigmoid", "tanh", "relu"))
    one = np.array(1.0)
    texts = {"statement": f"statement-{asked}", "formula": f"formula-{asked}", "steps": f"steps-{asked}"}
    largest = float(sigmoid_backward(one, np.array(0.0)))
    if asked == "sigmoids":
        layers = draw.whole(2, 12)
        answer = largest**layers
        wrong: dict[str, float | None] = {
            "summed": largest * layers, "value": 0.5**layers, "one-layer": largest, "no-slope": 1.0,
            "divided": largest / layers,
        }  # fmt: skip
        return Drawn(
            numbers={"n": layers, "largest": largest, "answer": answer}, answer=answer, wrong=wrong, texts=texts
        )
    if asked == "relu":
        x = draw.one((-3.0, -1.5, -0.5, -0.2, -0.01, -0.001))
        answer = float(relu_backward(one, np.array(x)))
        wrong = {"input": x, "identity": 1.0, "leaky": 0.01, "minus": -1.0}
        numbers = {"x": x, "value": float(relu(np.array(x))), "answer": answer}
        return Drawn(numbers=numbers, answer=answer, wrong=wrong, texts=texts)
    x = draw.one((-5.0, -4.0, -3.0, -2.0, -1.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0))
    forward, backward = (tanh, tanh_backward) if asked == "tanh" else (sigmoid, sigmoid_backward)
    value, answer = float(forward(np.array(x))), float(backward(one, np.array(x)))
    wrong = {
        "function": value,
        "complement": 1 - value,
        "largest": 1.0 if asked == "tanh" else largest,
        "square": value**2 if asked == "sigmoid" else None,
        "other-slope": 1 - value**2 if asked == "sigmoid" else value * (1 - value),
    }
    return Drawn(
        numbers={"x": x, "value": value, "complement": 1 - value, "square": value**2, "answer": answer},
        answer=answer, wrong=wrong, texts=texts,
    )  # fmt: skip


def _first_dense(draw: Draw) -> Drawn:
    channels, height, width, units = draw.one(_HEADS)
    if draw.half():
        channels, height = draw.one((32, 64, 128, 256, 512)), draw.whole(3, 14)
        width, units = height, draw.one((10, 84, 100, 120, 128, 512, 1000, 4096))
    flat, averaged = linear_cost(channels * height * width, units), linear_cost(channels, units)
    answer = (flat.parameters, averaged.parameters)
    return Drawn(
        numbers={
            "C": channels, "H": height, "W": width, "N": units, "values": channels * height * width,
            "flat": answer[0], "averaged": answer[1], "flat_weights": flat.weights, "weights": averaged.weights,
            "answer": answer,
        },
        answer=answer,
        wrong={
            "channels-alone": (averaged.parameters, averaged.parameters),
            "places-alone": (linear_cost(height * width, units).parameters, averaged.parameters),
            "bias": (flat.weights, averaged.weights),
            "unchanged": (flat.parameters, flat.parameters),
            "one-value": (flat.parameters, linear_cost(1, units).parameters),
        },
    )  # fmt: skip


RULES: Mapping[str, ExerciseRule] = {
    "7a": ExerciseRule(kind="whole", draw=_table),
    "7b": ExerciseRule(kind="float", draw=_slope, within=0.02),
    "7c": ExerciseRule(kind="numbers", draw=_first_dense),
}
