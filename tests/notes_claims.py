"""Every number that the five sets of lecture notes state, against what convscope computes: data in one place.

`tests/laws/test_notes.py` holds each row to its verdict; `docs/generate_notes_checked.py` writes the table out.
A claim is wrong exactly when it carries a `why`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np
import torch
from torch import nn

from convscope.capture.capture import capture
from convscope.geometry.convolution import output_sizes, windows
from convscope.geometry.cost import convolution_cost, linear_cost
from convscope.geometry.pooling import pooling_windows
from convscope.geometry.window import Window, same_padding
from convscope.graph.propagate import propagate
from convscope.graph.receptive_field import summarise
from convscope.nets.build import build
from convscope.nets.catalogue import find
from convscope.reference.activation import relu_backward, sigmoid, sigmoid_backward
from convscope.reference.convolution import convolve, convolve_backward, true_convolve
from convscope.reference.edges import BRIGHT_LEFT, NUMBERS, VERTICAL
from convscope.reference.pooling import average_pool, max_pool

Number = int | float | str | tuple[object, ...] | list[object]


@dataclass(frozen=True)
class Claim:
    """One statement.

    Args:
        topic: the part of the notes.
        says: what is stated, in our words.
        stated: the number in the notes; None for a question that they leave to the reader.
        compute: our number.
        by: what computes it.
        within: how far a rounded number may lie from ours, relative; 0 is exactly.
        why: for a wrong one, what is right and why.
    """

    topic: str
    says: str
    stated: Number | None
    compute: Callable[[], Number]
    by: str
    within: float = 0.0
    why: str = ""

    def agrees(self) -> bool:
        """Whether our number is the notes'."""
        computed = self.compute()
        if self.within and isinstance(self.stated, int | float) and isinstance(computed, int | float):
            return abs(computed - self.stated) <= self.within * abs(self.stated)
        return computed == self.stated


def size(input_size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Output size of one axis."""
    return Window.of(kernel, stride=stride, padding=padding).output_size(input_size)


def conv_parameters(in_channels: int, out_channels: int, kernel: int) -> int:
    """Parameters of a 2-D convolution with bias."""
    return convolution_cost(in_channels, out_channels, (kernel, kernel), (1, 1)).parameters


def conv_weights(in_channels: int, out_channels: int, kernel: int) -> int:
    """Weights of a 2-D convolution."""
    return convolution_cost(in_channels, out_channels, (kernel, kernel), (1, 1), bias=False).weights


@cache
def fields(*layers: str) -> list[int]:
    """Receptive field after each layer: "3" is a 3x3 convolution, "p" a 2x2 pooling with stride 2."""
    made = [nn.MaxPool2d(2) if name == "p" else nn.Conv2d(1, 1, int(name), padding=int(name) // 2) for name in layers]
    graph = capture(nn.Sequential(*made), (1, 512, 512))
    reaches = propagate(graph, sources=[(graph.inputs[0], 2)])
    found = [summarise(reaches.of(node.outputs[0])) for node in graph.nodes]
    return [field.size for field in found if field is not None and field.size is not None]


@cache
def layers_of(name: str, *, parameters: bool = False) -> list[Number]:
    """Output shapes (or parameters) of a catalogue network's top layers, in order, without the batch."""
    entry = find(name)
    network = build(name)
    graph = capture(network, entry.input_shape)
    rows: list[Number] = []
    for path, module in network.named_children():
        nodes = list(graph.nodes_of(path))
        if nodes:
            shape = graph.shape(nodes[-1].outputs[0])[1:]
            rows.append(sum(p.numel() for p in module.parameters()) if parameters else tuple(shape))
    return rows


def uses(image_size: int, kernel: int, padding: int, row: int) -> int:
    """How many windows read pixel (row, row) of a square image: the gradient of a sum of ones."""
    x, ones = np.zeros((1, 1, image_size, image_size)), np.ones((1, 1, kernel, kernel))
    output = convolve(x, ones, padding=padding)
    grad_x, _, _ = convolve_backward(np.ones_like(output), x, ones, padding=padding)
    return int(grad_x[0, 0, row, row])


def grid(values: np.ndarray) -> list[object]:
    """A map as nested lists of whole numbers where they are whole."""
    found: list[object] = values.astype(int).tolist() if (values == values.astype(int)).all() else values.tolist()
    return found


def shift_moves_the_map(stride: int) -> str:
    """Whether moving the image by one pixel moves the map by a whole number of cells, away from the borders."""
    image = np.random.default_rng(0).standard_normal((1, 1, 24, 24))
    kernel = np.random.default_rng(1).standard_normal((1, 1, 3, 3))
    here, there = (convolve(x, kernel, stride=stride) for x in (image, np.roll(image, 1, axis=3)))
    moved = [np.allclose(np.roll(here, k, axis=3)[..., 3:-3], there[..., 3:-3]) for k in range(3)]
    return "by the same amount" if moved[1] else "by no whole amount"


def slaps(at: int) -> int:
    """How many slaps, one every 5 seconds, a moment still feels."""
    blows = np.array([1.0 if second and second % 5 == 0 else 0.0 for second in range(at + 1)])
    felt = true_convolve(blows[None, None], np.ones((1, 1, at + 1)), padding=((at, 0),))
    return int(felt[0, 0, at])


OUTPUT_SIZES = "lecture notes on output sizes and parameters"
EDGES = "lecture notes on edge detection, padding and strides"
SIMPLE = "lecture notes on simple convolutional networks"
FUNCTIONAL = "handwritten notes on the functional view of a CNN"
FIELDS = "lecture notes on pooling and receptive fields"
HISTORY = "lecture notes from LeNet to AlexNet"
EXERCISES = "exercises on convolutional networks"
OVERVIEW = "overview notes on CNN architectures"

POOL_EXAMPLE = np.array([[2, 8, 4, 1], [6, 3, 7, 2], [0, 5, 9, 3], [4, 1, 6, 8]], dtype=float)[None, None]
FUNDUS = ("3", "3", "p", "3", "3", "p", "3", "3", "p", "3", "3", "p")


def _sizes() -> list[Claim]:
    rows = [(32, 5, 1, 2, 32), (224, 3, 1, 1, 224), (5, 3, 1, 0, 3), (5, 3, 2, 0, 2), (7, 3, 1, 0, 5), (7, 3, 2, 0, 3)]
    table = [
        Claim(
            OUTPUT_SIZES,
            f"input {w}, kernel {f}, stride {s}, padding {p}: output size",
            o,
            lambda w=w, f=f, s=s, p=p: size(w, f, s, p),
            "Window.output_size",
        )
        for w, f, s, p, o in rows
    ]
    homework = [("a", 28, 5, 1, 0, 24), ("b", 64, 3, 1, 1, 64), ("c", 128, 3, 2, 0, 63), ("d", 224, 7, 2, 3, 112)]
    table += [
        Claim(
            EXERCISES,
            f"({part}) input {w}, kernel {f}, stride {s}, padding {p}: output size",
            o,
            lambda w=w, f=f, s=s, p=p: size(w, f, s, p),
            "Window.output_size",
        )
        for part, w, f, s, p, o in homework
    ]
    return table


_VERTICAL = VERTICAL[None, None]
_LENET_SHAPES = [(8, 28, 28), (8, 14, 14), (16, 10, 10), (16, 5, 5), (120,), (84,), (10,)]
_LENET_SIZES = [6272, 1568, 1600, 400, 120, 84, 10]
_LENET_PARAMETERS = [608, 0, 3216, 0, 48120, 10164, 850]


def _lenet(kind: str) -> list[object]:
    shapes = [s for s in layers_of("lenet5-notes") if isinstance(s, tuple)]
    parameters = layers_of("lenet5-notes", parameters=True)
    kept = [
        i
        for i, name in enumerate(n for n, _ in build("lenet5-notes").named_children())
        if not name.startswith(("act", "flatten"))
    ]
    if kind == "parameters":
        return [parameters[i] for i in kept]
    sizes = [prod(int(str(n)) for n in shapes[i]) for i in kept]
    return list(sizes)


CLAIMS: tuple[Claim, ...] = (
    *_sizes()[:6],
    Claim(
        OUTPUT_SIZES,
        "weights of one fully connected unit on 224x224x3",
        150_528,
        lambda: linear_cost(3 * 224 * 224, 1, bias=False).weights,
        "linear_cost",
    ),
    Claim(
        OUTPUT_SIZES,
        "parameters of 100 such units (stated as more than 15 million)",
        15_052_900,
        lambda: linear_cost(3 * 224 * 224, 100).parameters,
        "linear_cost",
    ),
    Claim(
        OUTPUT_SIZES,
        "parameters of 100 units on 32x32x3",
        307_300,
        lambda: linear_cost(3 * 32 * 32, 100).parameters,
        "linear_cost",
    ),
    Claim(
        OUTPUT_SIZES,
        "parameters of 100 filters of 3x3 on RGB",
        2_800,
        lambda: conv_parameters(3, 100, 3),
        "convolution_cost",
    ),
    Claim(
        OUTPUT_SIZES,
        "parameters of AlexNet's 96 filters of 11x11x3",
        34_944,
        lambda: conv_parameters(3, 96, 11),
        "convolution_cost",
    ),
    Claim(
        OUTPUT_SIZES, "weights of one 3x3 filter on RGB, not 9", 27, lambda: conv_weights(3, 1, 3), "convolution_cost"
    ),
    Claim(
        OUTPUT_SIZES,
        "different parameter counts of one convolution on images of 32, 64 and 224",
        1,
        lambda: len(
            {convolution_cost(3, 8, (3, 3), output_sizes((n, n), windows(2, 3))).parameters for n in (32, 64, 224)}
        ),
        "convolution_cost",
    ),
    Claim(
        OUTPUT_SIZES,
        "outputs where the formula gives no whole number: 64, kernel 3, stride 2",
        "not allowed",
        lambda: f"{size(64, 3, 2)}, pixel {Window(kernel_size=3, stride=2).never_read(64)[0]} never read",
        "Window.never_read",
        why="(64 − 3) / 2 + 1 = 31.5 is rounded down by every framework, and by the notes' own exercise (c); what the "
        "rule is after is that the last row and column are then never read",
    ),
    Claim(
        OUTPUT_SIZES,
        "a shifted image moves the feature map, at stride 1",
        "by the same amount",
        lambda: shift_moves_the_map(1),
        "convolve",
    ),
    Claim(
        OUTPUT_SIZES,
        "a shifted image moves the feature map, at stride 2",
        "by the same amount",
        lambda: shift_moves_the_map(2),
        "convolve",
        why="with stride 2 a shift by one pixel is half a cell: the map changes instead of moving; equivariance is "
        "exact at stride 1 and away from the borders",
    ),
    # Edge detection, padding and strides.
    Claim(
        EDGES,
        "first window of the 6x6 numbers under the vertical-edge kernel",
        -5,
        lambda: int((NUMBERS[:3, :3] * VERTICAL).sum()),
        "NumPy",
    ),
    Claim(
        EDGES,
        "middle column of that window, as first written out",
        [0, 3, 7],
        lambda: [int(n) for n in NUMBERS[:3, 1]],
        "the image",
        why=(
            "the image has 0, 5, 7 there, as written out the second time; the kernel's zeros hide the slip in the sum"
        ),
    ),
    Claim(
        EDGES,
        "the whole 4x4 map of the 6x6 numbers",
        [[-5, -4, 0, 8], [-10, -2, 2, 3], [0, -2, -4, -7], [-3, -2, -3, -16]],
        lambda: grid(convolve(NUMBERS[None, None], _VERTICAL)[0, 0]),
        "convolve",
    ),
    Claim(
        EDGES,
        "each row of the map of the image that is bright on the left",
        [0, 30, 30, 0],
        lambda: grid(convolve(BRIGHT_LEFT[None, None], _VERTICAL)[0, 0, 2]),
        "convolve",
    ),
    Claim(EDGES, "3x3 on 6x6: output size", 4, lambda: size(6, 3), "Window.output_size"),
    Claim(
        EDGES, "6x6 with one ring of padding", 8, lambda: Window.of(3, padding=1).padded_size(6), "Window.padded_size"
    ),
    Claim(EDGES, "3x3 on 6x6 with padding 1: output size", 6, lambda: size(6, 3, 1, 1), "Window.output_size"),
    Claim(
        EDGES,
        "padding (f − 1) / 2 keeps the size, for f = 3, 5, 7",
        [1, 2, 3],
        lambda: [same_padding(f)[0] for f in (3, 5, 7)],
        "same_padding",
    ),
    Claim(EDGES, "3x3 with stride 2 on 7x7: output size", 3, lambda: size(7, 3, 2), "Window.output_size"),
    Claim(
        EDGES,
        "two 3x3x3 filters on 6x6x3: output",
        (4, 4, 2),
        lambda: tuple(convolve(np.zeros((1, 3, 6, 6)), np.zeros((2, 3, 3, 3)))[0].transpose(1, 2, 0).shape),
        "convolve",
    ),
    Claim(
        EDGES, "slaps, one every 5 seconds, that are felt at second 50", 10, lambda: slaps(50), "true_convolve, causal"
    ),
    # Simple networks.
    Claim(SIMPLE, "39x39x3, ten 3x3: output", (10, 37, 37), lambda: layers_of("notes-39")[0], "capture"),
    Claim(
        SIMPLE,
        "then twenty 5x5, stride 2: output",
        (20, 17, 17),
        lambda: (20, *output_sizes((37, 37), windows(2, 5, stride=2))),
        "output_sizes",
    ),
    Claim(
        SIMPLE,
        "then forty 5x5, stride 2: output",
        (40, 7, 7),
        lambda: (40, *output_sizes((17, 17), windows(2, 5, stride=2))),
        "output_sizes",
    ),
    Claim(SIMPLE, "flattened", 1_960, lambda: 40 * size(size(39 - 2, 5, 2), 5, 2) ** 2, "Window.output_size"),
    Claim(SIMPLE, "2x2 pooling with stride 2 on 4x4: output size", 2, lambda: size(4, 2, 2), "Window.output_size"),
    Claim(
        SIMPLE,
        "the same by the pooling summary's formula for the height, ⌊(n − f + 1) / s⌋",
        (4 - 2 + 1) // 2,
        lambda: pooling_windows(2, 2)[0].output_size(4),
        "pooling_windows",
        why="the + 1 stands inside the fraction: ⌊(n − f) / s⌋ + 1 is right, as the width's formula beside it has it",
    ),
    Claim(
        SIMPLE,
        "channels after max pooling of 5x5x2",
        2,
        lambda: max_pool(np.zeros((1, 2, 5, 5)), 3, stride=1).shape[1],
        "max_pool",
    ),
    Claim(SIMPLE, "values of the 32x32x3 input", 3_072, lambda: 32 * 32 * 3, "Python"),
    Claim(
        SIMPLE,
        "activation sizes CONV1, POOL1, CONV2, POOL2, FC3, FC4, softmax",
        _LENET_SIZES,
        lambda: _lenet("sizes"),
        "capture",
    ),
    Claim(SIMPLE, "parameters of the same layers", _LENET_PARAMETERS, lambda: _lenet("parameters"), "build"),
    Claim(
        SIMPLE,
        "weights of one filter of CONV2 where each filter is said to be f x f x (the layer's own number of filters)",
        5 * 5 * 16,
        lambda: conv_weights(8, 1, 5),
        "convolution_cost",
        why="a filter is as deep as the layer's input: 5·5·8 = 200, which is what the table of 3,216 parameters uses",
    ),
    Claim(
        SIMPLE,
        "parameters of 4,704 units on 32x32x3, about",
        14_000_000,
        lambda: linear_cost(3_072, 4_704).parameters,
        "linear_cost",
        within=0.05,
    ),
    Claim(SIMPLE, "units of six 28x28 maps", 4_704, lambda: 6 * size(32, 5) ** 2, "Window.output_size"),
    Claim(
        SIMPLE,
        "parameters of six 5x5 filters on that 32x32x3 image",
        156,
        lambda: conv_parameters(3, 6, 5),
        "convolution_cost",
        why="6·(5·5·3 + 1) = 456: a filter on RGB is three layers deep; 156 is right for one input channel",
    ),
    # The functional view.
    Claim(FUNCTIONAL, "length of a stretched 32x32x3 image", 3_072, lambda: 32 * 32 * 3, "Python"),
    Claim(
        FUNCTIONAL,
        "dimensions of a 5x5x3 filter's dot product, 5² x 3",
        15,
        lambda: conv_weights(3, 1, 5),
        "convolution_cost",
        why=(
            "5² · 3 = 75: the filter meets 25 pixels in each of three channels, as the 76 with bias further on has it"
        ),
    ),
    Claim(
        FUNCTIONAL,
        "5 filters of 5x5 on 32x32x3: output",
        (28, 28, 5),
        lambda: (*output_sizes((32, 32), windows(2, 5)), 5),
        "output_sizes",
    ),
    Claim(
        FUNCTIONAL, "5·5·3·3·3·3·3", 5**10, lambda: 5 * 5 * 3**5, "Python", why="the product is 6,075; 5¹⁰ is 9,765,625"
    ),
    Claim(
        FUNCTIONAL,
        "spatial size of 32x32 under 5x5 with padding 2, as written: (32 + 2·2 − 5)² + 1",
        (32 + 2 * 2 - 5) ** 2 + 1,
        lambda: size(32, 5, 1, 2),
        "Window.output_size",
        why=(
            "the exponent stands where the division by the stride belongs: (32 + 4 − 5) / 1 + 1 = 32, as the "
            "notes go on to say"
        ),
    ),
    Claim(
        FUNCTIONAL,
        "ten of them: output",
        (32, 32, 10),
        lambda: (*output_sizes((32, 32), windows(2, 5, padding=2)), 10),
        "output_sizes",
    ),
    Claim(
        FUNCTIONAL, "parameters of one 5x5x3 filter with bias", 76, lambda: conv_parameters(3, 1, 5), "convolution_cost"
    ),
    Claim(FUNCTIONAL, "parameters of ten", 760, lambda: conv_parameters(3, 10, 5), "convolution_cost"),
    Claim(
        FUNCTIONAL,
        "weights per filter by the summary's F · D, for 5x5x3",
        5 * 3,
        lambda: conv_weights(3, 1, 5),
        "convolution_cost",
        why="a filter has F · F · D weights: 75",
    ),
    Claim(
        FUNCTIONAL,
        "weights of the layer by the summary's (F · F · K) · K, for ten 5x5 on RGB",
        5 * 5 * 10 * 10,
        lambda: conv_weights(3, 10, 5),
        "convolution_cost",
        why="(F · F · D) · K = 750: each of the K filters is as deep as the input, not as the output",
    ),
    Claim(
        FUNCTIONAL,
        'output channels of ten filters where "N channels in give N channels out"',
        3,
        lambda: convolve(np.zeros((1, 3, 8, 8)), np.zeros((10, 3, 5, 5))).shape[1],
        "convolve",
        why="a convolution gives one channel per filter; it is pooling that keeps the number of channels",
    ),
    Claim(
        FUNCTIONAL,
        "2x2 pooling of 224x224x64: output",
        (112, 112, 64),
        lambda: (*output_sizes((224, 224), pooling_windows(2, 2)), 64),
        "pooling_windows",
    ),
    Claim(
        FUNCTIONAL,
        "hyperparameters that pooling asks for (F, S and the depth)",
        3,
        lambda: len({"kernel_size", "stride"}),
        "max_pool",
        why="two: the depth is that of the input and can't be chosen, as the same summary says with D₂ = D₁",
    ),
    # Pooling and receptive fields.
    Claim(FIELDS, "3x3 on 6x6: output size", 4, lambda: size(6, 3), "Window.output_size"),
    Claim(FIELDS, "64x64, kernel 3, padding 1: output size", 64, lambda: size(64, 3, 1, 1), "Window.output_size"),
    Claim(
        FIELDS, "64x64, kernel 3, stride 2, no padding: output size", None, lambda: size(64, 3, 2), "Window.output_size"
    ),
    Claim(FIELDS, "32x32, kernel 5, padding 2: output size", None, lambda: size(32, 5, 1, 2), "Window.output_size"),
    Claim(
        FIELDS, "parameters of 64 filters of 3x3 on RGB", 1_792, lambda: conv_parameters(3, 64, 3), "convolution_cost"
    ),
    Claim(
        FIELDS,
        "parameters that 5x5 instead of 3x3 adds",
        None,
        lambda: conv_parameters(3, 64, 5) - conv_parameters(3, 64, 3),
        "convolution_cost",
    ),
    Claim(FIELDS, "32x32 after one 3x3 without padding", 30, lambda: size(32, 3), "Window.output_size"),
    Claim(
        FIELDS,
        "32x32 after five of them",
        22,
        lambda: size(size(size(size(size(32, 3), 3), 3), 3), 3),
        "Window.output_size",
    ),
    Claim(
        FIELDS,
        "128x128 RGB, 32 filters of 5x5, padding 2, stride 2: output",
        None,
        lambda: (32, *output_sizes((128, 128), windows(2, 5, stride=2, padding=2))),
        "output_sizes",
    ),
    Claim(
        FIELDS,
        "average of the quadrant 1, 3, 4, 6",
        None,
        lambda: float(average_pool(np.array([[[[1.0, 3], [4, 6]]]]), 2)[0, 0, 0, 0]),
        "average_pool",
    ),
    Claim(
        FIELDS,
        "receptive field of three 3x3 layers, and of one 7x7",
        [7, 7],
        lambda: [fields("3", "3", "3")[-1], fields("7")[-1]],
        "capture, propagate",
    ),
    Claim(
        FIELDS,
        "pixels that each further 3x3 layer adds",
        2,
        lambda: fields("3", "3", "3")[-1] - fields("3", "3")[-1],
        "capture, propagate",
    ),
    Claim(
        FIELDS,
        "3x3 layers for a receptive field of 15",
        None,
        lambda: fields(*["3"] * 10).index(15) + 1,
        "capture, propagate",
    ),
    Claim(
        FIELDS,
        "weights of three 3x3 layers and of one 7x7, one channel",
        [27, 49],
        lambda: [3 * conv_weights(1, 1, 3), conv_weights(1, 1, 7)],
        "convolution_cost",
    ),
    Claim(
        FIELDS,
        "fewer weights by, percent",
        45,
        lambda: round(100 * (1 - 3 * conv_weights(1, 1, 3) / conv_weights(1, 1, 7))),
        "convolution_cost",
    ),
    Claim(
        FIELDS,
        "receptive field of four 3x3, a 2x2 pooling and two 3x3",
        None,
        lambda: fields("3", "3", "3", "3", "p", "3", "3")[-1],
        "capture, propagate",
    ),
    Claim(
        FIELDS,
        "dense block of DenseNet-121 in which fields come to span 224 pixels",
        5,
        lambda: _dense_block_that_spans(224),
        "capture, propagate",
        why="DenseNet-121 has four dense blocks, and within the second the field already spans the image",
    ),
    # From LeNet to AlexNet.
    Claim(
        HISTORY,
        "years from LeNet-5 to AlexNet",
        14,
        lambda: find("alexnet-2012").year - find("lenet5").year,
        "the catalogue",
    ),
    Claim(
        HISTORY, "parameters of LeNet-5, about", 60_000, lambda: find("lenet5").parameters, "the catalogue", within=0.05
    ),
    Claim(
        HISTORY,
        "parameters of AlexNet, about",
        60_000_000,
        lambda: find("alexnet-2012").parameters,
        "the catalogue",
        within=0.05,
    ),
    Claim(
        HISTORY, "sigmoid at 5, about", 0.993, lambda: round(float(sigmoid(np.array(5.0))), 3), "sigmoid", within=1e-3
    ),
    Claim(
        HISTORY,
        "its gradient there, about",
        0.007,
        lambda: round(float(sigmoid_backward(np.array(1.0), np.array(5.0))), 3),
        "sigmoid_backward",
        within=1e-3,
    ),
    Claim(
        HISTORY,
        "gradient of ReLU at -0.01",
        None,
        lambda: float(relu_backward(np.array(1.0), np.array(-0.01))),
        "relu_backward",
    ),
    Claim(
        HISTORY, "convolutions and fully connected layers of AlexNet", [5, 3], lambda: _layers("alexnet-2012"), "build"
    ),
    # Exercises.
    *_sizes()[6:],
    Claim(EXERCISES, "ResNet-50's first map is that of (d)", 112, lambda: _first_map("resnet50"), "capture"),
    Claim(EXERCISES, "receptive field of five 3x3 layers", 11, lambda: fields(*["3"] * 5)[-1], "capture, propagate"),
    Claim(
        EXERCISES,
        "the same with 2x2 pooling after layers 2 and 4, about",
        47,
        lambda: fields("3", "3", "p", "3", "3", "p", "3")[-1],
        "capture, propagate",
        within=0.1,
        why="a layer adds (k − 1) times the product of the strides before it: 1 + 2 + 2 + 1 + 4 + 4 + 2 + 8 = 24; "
        "pooling doubles what later layers add, not the field",
    ),
    Claim(
        EXERCISES,
        "2x2 max pooling of the 4x4 example",
        [[8, 7], [5, 9]],
        lambda: grid(max_pool(POOL_EXAMPLE, 2)[0, 0]),
        "max_pool",
    ),
    Claim(
        EXERCISES,
        "parameters of the block's three convolutions",
        [448, 4_640, 18_496],
        lambda: [conv_parameters(3, 16, 3), conv_parameters(16, 32, 3), conv_parameters(32, 64, 3)],
        "convolution_cost",
    ),
    Claim(
        EXERCISES,
        "all of them together",
        23_584,
        lambda: find("notes-block").parameters,
        "the catalogue, tested against build",
    ),
    Claim(
        EXERCISES,
        "64 after one and two poolings",
        [32, 16],
        lambda: [size(64, 2, 2), size(size(64, 2, 2), 2, 2)],
        "Window.output_size",
    ),
    Claim(
        EXERCISES,
        "a batch of 4 after global average pooling",
        (4, 64, 1, 1),
        lambda: tuple(nn.AdaptiveAvgPool2d(1)(torch.zeros(4, 64, 16, 16)).shape),
        "torch",
    ),
    Claim(
        EXERCISES,
        "parameters per image of AlexNet on 1.2 million images, about",
        50,
        lambda: find("alexnet-2012").parameters / 1.2e6,
        "the catalogue",
        within=0.05,
    ),
    Claim(
        EXERCISES,
        "crops of 224 from 256, before flips",
        2_048,
        lambda: (256 - 224) ** 2,
        "Python",
        why="(256 − 224)² = 1,024 places, which the paper counts twice for the flip: 2,048 has the flip in it",
    ),
    Claim(
        EXERCISES,
        "parameters of AlexNet's FC6",
        37_752_832,
        lambda: linear_cost(9_216, 4_096).parameters,
        "linear_cost",
    ),
    Claim(
        EXERCISES,
        "parameters of LeNet's largest fully connected layer",
        48_120,
        lambda: linear_cost(400, 120).parameters,
        "linear_cost",
    ),
    Claim(
        EXERCISES,
        "times larger, about",
        785,
        lambda: round(linear_cost(9_216, 4_096).parameters / linear_cost(400, 120).parameters),
        "linear_cost",
    ),
    Claim(
        EXERCISES,
        "fundus network: map sizes after its four poolings",
        [256, 128, 64, 32],
        lambda: _halved(512, 4),
        "Window.output_size",
    ),
    Claim(
        EXERCISES, "fundus network: field before the first pooling", 5, lambda: fields(*FUNDUS)[1], "capture, propagate"
    ),
    *(
        Claim(
            EXERCISES,
            f"fundus network: field before pooling {pool}, about",
            stated,
            lambda i=3 * pool - 2: fields(*FUNDUS)[i],
            "capture, propagate",
            within=0.1,
            why=why,
        )
        for pool, stated, why in (
            (2, 18, "6 after the first pooling, then twice 2 · 2: 14 (16 after the pooling)"),
            (3, 50, "16 after the second pooling, then twice 2 · 4: 32 (36 after the pooling)"),
            (4, 144, "36 after the third pooling, then twice 2 · 8: 68 (76 after the pooling)"),
        )
    ),
    # Overview.
    Claim(
        OVERVIEW,
        "year of LeNet-5 (stated as the 1980s)",
        "198x",
        lambda: str(find("lenet5").year)[:3] + "x",
        "the catalogue",
        why="LeNet-5 is of 1998; LeCun's first convolutional networks are of 1989",
    ),
    Claim(OVERVIEW, "values of a stretched 32x32x3 image", 3_072, lambda: 32 * 32 * 3, "Python"),
    Claim(
        OVERVIEW,
        "MACs of ten 5x5 filters on 3x32x32 with padding 2",
        768_000,
        lambda: convolution_cost(3, 10, (5, 5), (32, 32)).macs,
        "convolution_cost",
    ),
    Claim(
        OVERVIEW,
        'with "same" padding a corner of 6x6 is read as often as the middle: 3x3 windows on it',
        9,
        lambda: uses(6, 3, 1, 0),
        "convolve_backward",
        why=(
            "a corner lies in 4 windows, the middle in 9; without padding it is 1 and 9: padding evens out, not wholly"
        ),
    ),
    Claim(
        OVERVIEW,
        "field of two 3x3 layers after a pooling, which is said to double it",
        2 * 5,
        lambda: fields("3", "3", "p")[-1],
        "capture, propagate",
        why=(
            "the pooling adds one pixel here, 5 to 6; it is the stride that doubles, and with it what later layers add"
        ),
    ),
    Claim(OVERVIEW, "field of three stacked 3x3 layers", 7, lambda: fields("3", "3", "3")[-1], "capture, propagate"),
    Claim(
        OVERVIEW,
        "filters of 3x11x11 in AlexNet's first layer (the 2014 form)",
        64,
        lambda: _first_filters("alexnet"),
        "build",
    ),
    Claim(
        OVERVIEW,
        "filters of 3x11x11 in AlexNet's first layer (the paper of 2012)",
        64,
        lambda: _first_filters("alexnet-2012"),
        "build",
        why="the paper has 96, as the notes on output sizes say; 64 is the slimmer form that torchvision ships",
    ),
    *(
        Claim(
            OVERVIEW, f"layers of {find(name).title}", layers, lambda name=name: find(name).layers or 0, "the catalogue"
        )
        for name, layers in (("alexnet-2012", 8), ("zfnet", 8), ("vgg19", 19), ("googlenet", 22), ("resnet152", 152))
    ),
    *(
        Claim(
            OVERVIEW, f"year of {find(name).title}", str(year), lambda name=name: str(find(name).year), "the catalogue"
        )
        for name, year in (
            ("alexnet-2012", 2012),
            ("zfnet", 2013),
            ("vgg19", 2014),
            ("googlenet", 2014),
            ("resnet152", 2015),
            ("senet154", 2017),
        )
    ),
)


def _halved(start: int, times: int) -> list[object]:
    sizes = []
    for _ in range(times):
        start = size(start, 2, 2)
        sizes.append(start)
    return list(sizes)


def _layers(name: str) -> list[object]:
    modules = list(build(name).modules())
    return [sum(isinstance(m, kind) for m in modules) for kind in (nn.Conv2d, nn.Linear)]


def _first_filters(name: str) -> int:
    return next(m.out_channels for m in build(name).modules() if isinstance(m, nn.Conv2d))


def _first_map(name: str) -> int:
    graph = capture(lambda: build(name), find(name).input_shape)
    return graph.shape(graph.nodes[0].outputs[0])[-1]


@cache
def _dense_block_that_spans(pixels: int) -> int:
    graph = capture(lambda: build("densenet121"), find("densenet121").input_shape)
    reaches = propagate(graph, sources=[(graph.inputs[0], 2)])
    for node in graph.nodes:
        field = summarise(reaches.of(node.outputs[0]))
        if field is not None and field.size is not None and field.size >= pixels:
            return int(
                next(
                    part
                    for part in node.module.replace("denseblock", "").replace("block", "").split(".")
                    if part.isdigit()
                )
            )
    return 0
