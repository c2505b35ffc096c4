"""The functional view of a CNN: handwritten and transcribed by OCR, so some figures are noise."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np

from convscope.claims import arrays
from convscope.claims.arithmetic import conv_parameters, conv_weights, mlp_weights, size, square
from convscope.claims.claim import Claim, ClaimValue
from convscope.geometry.convolution import output_sizes, windows
from convscope.geometry.cost import linear_cost
from convscope.geometry.layer import LayerKind, work_out
from convscope.geometry.pooling import pooling_windows
from convscope.reference.convolution import convolve

_claim = partial(Claim, "functional")
_MLP = (3_072, 1_024, 512, 10)


def _ten_filters() -> np.ndarray:
    """Return the notes' example: ten 5x5 filters with padding 2 on a 32x32x3 image, (C, H, W)."""
    found: np.ndarray = convolve(np.zeros((1, 3, 32, 32)), np.zeros((10, 3, 5, 5)), padding=2)[0]
    return found


def _parameters(kind: LayerKind) -> ClaimValue:
    """Return the parameters of a layer of this kind on 32x32x3."""
    channels = None if kind == "pooling" else 10
    layer = work_out((32, 32), 5, kind=kind, in_channels=3, out_channels=channels)
    assert layer.cost is not None
    return layer.cost.parameters


CLAIMS = (
    _claim("stretched", "length of a stretched 32x32x3 image", 3_072, lambda: int(np.zeros((32, 32, 3)).size), "NumPy"),
    _claim(
        "mlp-weights",
        "weights of the MLP of 3072, 1024, 512 and 10 units",
        None,
        lambda: mlp_weights(*_MLP),
        "linear_cost",
        "answered",
    ),
    _claim(
        "mlp-parameters",
        "parameters of the MLP of 3072, 1024, 512 and 10 units, biases with them",
        None,
        lambda: sum(linear_cost(a, b).parameters for a, b in pairwise(_MLP)),
        "linear_cost",
        "answered",
    ),
    _claim(
        "dot-product-15",
        "dimensions of a 5x5x3 filter's dot product, 5² x 3",
        15,
        lambda: conv_weights(3, 1, 5),
        "convolution_cost",
        "transcription noise",
        "5² · 3 = 75: the filter reads 25 pixels in each of three channels, as the 76 with bias further on has it",
    ),
    _claim(
        "five-filters",
        "5 filters of 5x5 on 32x32x3: output",
        (28, 28, 5),
        lambda: (*output_sizes((32, 32), windows(2, 5)), 5),
        "output_sizes",
        see="convscope size 32 --kernel 5 --in-channels 3 --out-channels 5",
    ),
    _claim(
        "product-of-neurons",
        "5·5·3·3·3·3·3",
        5**10,
        lambda: int(np.prod([5, 5, 3, 3, 3, 3, 3])),
        "NumPy",
        "transcription noise",
        "the product is 6,075; 5¹⁰ is 9,765,625; nothing in the notes has either number of neurons",
    ),
    _claim(
        "size-with-exponent",
        "spatial size of 32x32 under 5x5 with padding 2, as written: (32 + 2·2 − 5)² + 1",
        (32 + 2 * 2 - 5) ** 2 + 1,
        lambda: size(32, 5, 1, 2),
        "Window.output_size",
        "transcription noise",
        "the exponent is in the place of the division by the stride: (32 + 4 − 5) / 1 + 1 = 32, as the notes go on",
        see="convscope size 32 --kernel 5 --padding 2",
    ),
    _claim(
        "ten-filters",
        "10 filters of 5x5 with padding 2 on 32x32x3: output",
        (32, 32, 10),
        lambda: (*square(32, 5, 1, 2), 10),
        "output_sizes",
        see="convscope size 32 --kernel 5 --padding 2 --in-channels 3 --out-channels 10",
    ),
    _claim(
        "filter-76",
        "parameters of one 5x5x3 filter with bias",
        76,
        lambda: conv_parameters(3, 1, 5),
        "convolution_cost",
    ),
    _claim(
        "filters-760",
        "parameters of ten 5x5x3 filters with bias",
        760,
        lambda: conv_parameters(3, 10, 5),
        "convolution_cost",
        see="convscope size 32 --kernel 5 --padding 2 --in-channels 3 --out-channels 10",
    ),
    _claim(
        "weights-f-times-d",
        "weights per filter by the summary's F · D, for 5x5x3",
        5 * 3,
        lambda: conv_weights(3, 1, 5),
        "convolution_cost",
        "transcription noise",
        "a filter has F · F · D weights: 75",
    ),
    _claim(
        "weights-ffk-k",
        "weights of the layer by the summary's (F · F · K) · K, for ten 5x5 on RGB",
        5 * 5 * 10 * 10,
        lambda: conv_weights(3, 10, 5),
        "convolution_cost",
        "transcription noise",
        "(F · F · D) · K = 750: each of the K filters is as deep as the input, not as the output",
    ),
    _claim(
        "n-channels",
        'output channels of ten filters on RGB, where "N channels in give N channels out"',
        3,
        lambda: int(_ten_filters().shape[0]),
        "convolve",
        "transcription noise",
        "a convolution gives one channel for each filter; it is pooling that keeps the number of channels",
    ),
    _claim(
        "depth-slice",
        "one depth slice of the ten filters' output, said to be W₂ x H₂ x D₂",
        (32, 32, 10),
        lambda: tuple(_ten_filters()[0].shape),
        "convolve",
        "transcription noise",
        "a slice is one filter's map, W₂ x H₂; D₂ of them make the volume",
    ),
    _claim(
        "tensor-of-four-sizes",
        "sizes of the 3-D tensor that SpatialConvolution makes of one image",
        4,
        lambda: int(_ten_filters().ndim),
        "convolve",
        "transcription noise",
        "channels, height and width: the fourth size belongs to the batch, which the next line has",
    ),
    _claim(
        "bias-a-number",
        "biases of ten filters",
        1,
        lambda: conv_parameters(3, 10, 5) - conv_weights(3, 10, 5),
        "convolution_cost",
        "transcription noise",
        "one learned number for each output plane; the manual says of the padding that it is 0 by default, and "
        "(k − 1) / 2 a good number",
        stated_as="a global number, 0 by default",
    ),
    _claim(
        "pool-224",
        "2x2 pooling of 224x224x64: output",
        (112, 112, 64),
        lambda: (*output_sizes((224, 224), pooling_windows(2, 2)), 64),
        "pooling_windows",
        see="convscope size 224 --kernel 2 --pool --in-channels 64",
    ),
    _claim(
        "pool-hyperparameters",
        "channels of 64 maps after a pooling that is asked for a depth of 32",
        32,
        lambda: work_out((224, 224), 2, kind="pooling", in_channels=64).out_channels or 0,
        "work_out",
        "transcription noise",
        "kernel and stride are all that pooling asks for: the same summary has D₂ = D₁",
    ),
    _claim(
        "pool-summary-heading",
        'parameters of the "Conv Layer" whose summary says zero, on 32x32x3 with ten 5x5 filters',
        0,
        lambda: _parameters("convolution"),
        "work_out",
        "transcription noise",
        "the summary is that of pooling, as D₂ = D₁ in it shows; a convolution has weights",
    ),
    _claim("pool-parameters", "parameters of a 5x5 pooling on 32x32x3", 0, lambda: _parameters("pooling"), "work_out"),
    _claim(
        "six-fields",
        "different receptive fields of six filters at one position",
        6,
        lambda: arrays.fields_of_filters(6),
        "convolve_backward",
        "wrong",
        "six neurons at one position, one field: each filter reads the same region, as the notes say below of five",
    ),
    _claim(
        "five-neurons",
        "different regions that five neurons at one position read",
        1,
        lambda: arrays.fields_of_filters(5),
        "convolve_backward",
    ),
)
