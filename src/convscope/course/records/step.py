"""Chapter 8: training steps of a network of 210 parameters, every number of them, by `convscope.reference`.

A convolution of two 3x3 filters, ReLU, a 2x2 max pooling and a fully connected layer of ten units, on 8x8 digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from convscope.arrays import Array, Floats
from convscope.course.record import WidgetRecord
from convscope.data.sources.digits import load_digits
from convscope.reference.activation import softmax
from convscope.reference.layers import Activation, Convolution, Flatten, Linear, MaxPool
from convscope.reference.loss import softmax_cross_entropy, softmax_cross_entropy_backward
from convscope.reference.network import Network
from convscope.reference.optimizer import SGD

FILTERS, CLASSES, SEED = 2, 10, 8
STEPS = 4
NUDGE = 1e-3
DIGITS = ("7", "3", "0", "8")
LAYERS = ("convolution", "ReLU", "pooling", "fully connected")
PARAMETERS = ("filters", "filter_biases", "weights", "biases")


def small_network(seed: int = SEED) -> Network:
    """Return the network with fresh weights, in double precision.

    >>> sum(parameter.size for parameter in small_network().parameters)
    210
    """
    generator = np.random.default_rng(seed)
    return Network([
        Convolution(1, FILTERS, (3, 3), generator=generator, dtype=np.float64),  # 8x8 -> 6x6
        Activation("relu"), MaxPool(2), Flatten(),  # -> 3x3 -> 18
        Linear(18, CLASSES, generator=generator, dtype=np.float64),
    ])  # fmt: skip


def digit(label: int) -> Floats:
    """Return the first built-in digit of a label as (1, 1, 8, 8), ink from 0 to 1.

    >>> digit(3).shape, round(float(digit(3).max()), 2)
    ((1, 1, 8, 8), 0.94)
    """
    pixels, labels = load_digits()
    image: Floats = pixels[np.flatnonzero(labels == label)[0], :, :, 0][None, None] / 255
    return image


def step_record(network: Network, image: Floats, label: int, optimizer: SGD) -> dict[str, Any]:
    """Return one training step as JSON's types, and take it.

    Keys:
        filters, filter_biases, weights, biases: the parameters before the step.
        map, relu, pooled, scores, probabilities, loss: the forward pass.
        d_NAME: the loss's gradient for a value or a parameter.
        above, below: the loss with one parameter moved by NUDGE and by -NUDGE, in the order of the parameters.
        measured: their difference by 2 NUDGE, which is the gradient but for what NUDGE is too large.
    """
    labels = np.array([label])
    values = [image]
    for layer in network.layers:
        values.append(layer.forward(values[-1], training=True))
    scores = values[-1]
    gradients = [softmax_cross_entropy_backward(scores, labels)]
    for layer in reversed(network.layers):
        gradients.append(layer.backward(gradients[-1]))
    d_pooled, d_relu, d_map = (gradients[place] for place in (2, 3, 4))
    found: dict[str, Any] = {
        "map": values[1][0], "relu": values[2][0], "pooled": values[3][0], "scores": scores[0],
        "probabilities": softmax(scores)[0], "d_scores": gradients[0][0], "d_pooled": d_pooled[0], "d_relu": d_relu[0],
        "d_map": d_map[0],
    }  # fmt: skip
    for name, parameter, gradient in zip(PARAMETERS, network.parameters, network.gradients, strict=True):
        found[name], found[f"d_{name}"] = np.squeeze(parameter), np.squeeze(gradient)
    answer = {name: _rounded(value, 5) for name, value in found.items()}
    answer["loss"] = round(softmax_cross_entropy(scores, labels), 9)
    above, below = (_nudged(network, image, labels, sign * NUDGE) for sign in (1, -1))
    answer["above"], answer["below"] = np.round(above, 9).tolist(), np.round(below, 9).tolist()
    answer["measured"] = _rounded((above - below) / (2 * NUDGE), 5)
    optimizer.step(network.parameters, network.gradients)
    return answer


def digits_taken_for(label: int, rate: float) -> tuple[int, int]:
    """Return how many built-in digits have a class as predicted after one step on an image of it, and of how many.

    >>> digits_taken_for(7, 0.5)
    (1797, 1797)
    """
    network = small_network()
    step_record(network, digit(label), label, SGD(learning_rate=rate))
    pixels, _ = load_digits()
    predicted = network.forward(pixels.transpose(0, 3, 1, 2) / 255).argmax(axis=1)
    return int((predicted == label).sum()), len(predicted)


def _nudged(network: Network, image: Floats, labels: Array, nudge: float) -> Floats:
    """Return the loss with each parameter moved alone."""
    losses = []
    gradients = [layer.gradients for layer in network.layers]
    for parameter in network.parameters:
        flat = parameter.reshape(-1)
        for place in range(flat.size):
            value = flat[place]
            flat[place] = value + nudge
            losses.append(softmax_cross_entropy(network.forward(image), labels))
            flat[place] = value
    for layer, kept in zip(network.layers, gradients, strict=True):
        layer.gradients = kept
    return np.array(losses)


def _rounded(value: Array, digits: int) -> Any:
    return np.vectorize(lambda number: float(f"{number:.{digits}g}"))(value).tolist()


def _steps(label: str, rate: str) -> dict[str, Any]:
    network, image = small_network(), digit(int(label))
    optimizer = SGD(learning_rate=float(rate))
    steps = [step_record(network, image, int(label), optimizer) for _ in range(STEPS)]
    after = {
        name: _rounded(np.squeeze(parameter), 5) for name, parameter in zip(PARAMETERS, network.parameters, strict=True)
    }
    return {
        "image": _rounded(image[0, 0], 3), "label": int(label), "rate": float(rate), "nudge": NUDGE, "steps": steps,
        "after": after,
    }  # fmt: skip


RECORDS: Mapping[str, WidgetRecord] = {
    "training-steps": WidgetRecord(
        make=lambda *, digit, rate: _steps(digit, rate), choices={"digit": DIGITS, "rate": ("0.1", "0.5", "2")}
    ),
}
