"""The first whole networks: 39x39, pooling, and the table of shapes and parameters."""

from __future__ import annotations

from functools import partial

import numpy as np

from convscope.claims import networks
from convscope.claims.arithmetic import conv_parameters, conv_weights, size
from convscope.claims.claim import Claim
from convscope.geometry.convolution import output_sizes, windows
from convscope.geometry.cost import linear_cost
from convscope.geometry.pooling import pooling_windows
from convscope.reference.pooling import max_pool

_claim = partial(Claim, "simple")

CLAIMS = (
    _claim(
        "net-39-conv1",
        "39x39x3, ten 3x3: output",
        (10, 37, 37),
        lambda: networks.layer_shapes("notes-39")[0],
        "capture",
        see="convscope inspect notes-39",
    ),
    _claim(
        "net-39-conv2",
        "37x37x10, twenty 5x5, stride 2: output",
        (20, 17, 17),
        lambda: (20, *output_sizes((37, 37), windows(2, 5, stride=2))),
        "output_sizes",
        see="convscope size 37 --kernel 5 --stride 2 --in-channels 10 --out-channels 20",
    ),
    _claim(
        "net-39-conv3",
        "17x17x20, forty 5x5, stride 2: output",
        (40, 7, 7),
        lambda: (40, *output_sizes((17, 17), windows(2, 5, stride=2))),
        "output_sizes",
        see="convscope size 17 --kernel 5 --stride 2 --in-channels 20 --out-channels 40",
    ),
    _claim(
        "net-39-flat",
        "values of the 39x39 network's last map, flattened",
        1_960,
        lambda: 40 * size(size(39 - 2, 5, 2), 5, 2) ** 2,
        "Window.output_size",
    ),
    _claim(
        "pool-4",
        "2x2 pooling with stride 2 on 4x4: output size",
        2,
        lambda: size(4, 2, 2),
        "Window.output_size",
        see="convscope size 4 --kernel 2 --pool",
    ),
    _claim(
        "pool-height-formula",
        "2x2 pooling with stride 2 on 4x4 by the summary's formula for the height, ⌊(n − f + 1) / s⌋",
        (4 - 2 + 1) // 2,
        lambda: pooling_windows(2, 2)[0].output_size(4),
        "pooling_windows",
        "transcription noise",
        "the + 1 is inside the fraction: ⌊(n − f) / s⌋ + 1 is right, as the width's formula beside it has it",
    ),
    _claim(
        "pool-channels",
        "channels after max pooling of 5x5x2",
        2,
        lambda: max_pool(np.zeros((1, 2, 5, 5)), 3, stride=1).shape[1],
        "max_pool",
    ),
    _claim(
        "pool-5x5x2",
        "sides of 5x5x2 after max pooling 3x3 with stride 1 and 2x2 with stride 2",
        None,
        lambda: [
            max_pool(np.zeros((1, 2, 5, 5)), kernel, stride=stride).shape[2] for kernel, stride in ((3, 1), (2, 2))
        ],
        "max_pool",
        "answered",
    ),
    _claim("input-values", "values of the 32x32x3 input", 3_072, lambda: int(np.zeros((32, 32, 3)).size), "NumPy"),
    _claim(
        "lenet-activation-sizes",
        "activation sizes CONV1, POOL1, CONV2, POOL2, FC3, FC4, softmax",
        [6_272, 1_568, 1_600, 400, 120, 84, 10],
        lambda: networks.activation_sizes("lenet5-notes"),
        "capture",
        see="convscope inspect lenet5-notes",
    ),
    _claim(
        "lenet-parameters",
        "parameters CONV1, POOL1, CONV2, POOL2, FC3, FC4, softmax",
        [608, 0, 3_216, 0, 48_120, 10_164, 850],
        lambda: networks.parameters_by_row("lenet5-notes"),
        "build",
        see="convscope inspect lenet5-notes",
    ),
    _claim(
        "filter-depth",
        "weights of one filter of CONV2 by f x f x (the layer's own number of filters)",
        5 * 5 * 16,
        lambda: conv_weights(8, 1, 5),
        "convolution_cost",
        "transcription noise",
        "a filter is as deep as the layer's input: 5·5·8 = 200, as the line of the weights below it and the table's "
        "3,216 parameters have it",
    ),
    _claim(
        "fc-14-million",
        "parameters of 4,704 units on 32x32x3, about",
        14_000_000,
        lambda: linear_cost(3_072, 4_704).parameters,
        "linear_cost",
        compare="about",
    ),
    _claim("fc-4704", "units of six 28x28 maps", 4_704, lambda: 6 * size(32, 5) ** 2, "Window.output_size"),
    _claim(
        "conv-156",
        "parameters of six 5x5 filters on 32x32x3",
        156,
        lambda: conv_parameters(3, 6, 5),
        "convolution_cost",
        "wrong",
        "6·(5·5·3 + 1) = 456: a filter on RGB is three channels deep; 156 is right for one input channel",
        see="convscope size 32 --kernel 5 --in-channels 3 --out-channels 6",
    ),
)
