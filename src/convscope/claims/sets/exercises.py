"""The exercises, their answers, and the expectations that follow from them."""

from __future__ import annotations

from functools import partial

import numpy as np

from convscope.claims import arrays, networks
from convscope.claims.arithmetic import conv_parameters, halved, places_of_a_crop, size
from convscope.claims.claim import Claim
from convscope.geometry.cost import linear_cost
from convscope.nets.catalogue import find
from convscope.reference.pooling import max_pool

_claim = partial(Claim, "exercises")

_POOL_EXAMPLE = np.array([[2.0, 8, 4, 1], [6, 3, 7, 2], [0, 5, 9, 3], [4, 1, 6, 8]])
_FUNDUS = ("3", "3", "p", "3", "3", "p", "3", "3", "p", "3", "3", "p")
_IMAGENET_IMAGES = 1_200_000  # as the notes have it
_MEASURED = "docs/experiments.md"

# (part, input, kernel, stride, padding, output)
_SIZES = (("a", 28, 5, 1, 0, 24), ("b", 64, 3, 1, 1, 64), ("c", 128, 3, 2, 0, 63), ("d", 224, 7, 2, 3, 112))
# (pooling, stated, why)
_FUNDUS_FIELDS = (
    (2, 18, "6 after the first pooling, then twice 2 · 2: 14 (16 after the pooling)"),
    (3, 50, "16 after the second pooling, then twice 2 · 4: 32 (36 after the pooling)"),
    (4, 144, "36 after the third pooling, then twice 2 · 8: 68 (76 after the pooling)"),
)


def _fundus_field(pooling: int) -> int:
    """Return the receptive field before one of the four poolings, counted from 1."""
    return networks.fields(*_FUNDUS)[3 * pooling - 2]


CLAIMS = (
    *(
        _claim(
            f"exercise-1{part}",
            f"({part}) input {w}, kernel {f}, stride {s}, padding {p}: output size",
            stated,
            partial(size, w, f, s, p),
            "Window.output_size",
            see=f"convscope size {w} --kernel {f} --stride {s} --padding {p}",
        )
        for part, w, f, s, p, stated in _SIZES
    ),
    _claim(
        "resnet-first-map",
        "ResNet-50's first map is that of (d)",
        112,
        lambda: networks.first_map("resnet50"),
        "capture",
        see="convscope inspect resnet50 --depth 1",
    ),
    _claim(
        "field-five-layers",
        "receptive field of five 3x3 layers",
        11,
        lambda: networks.fields(*["3"] * 5)[-1],
        "capture, propagate",
    ),
    _claim(
        "field-47",
        "receptive field of five 3x3 layers with 2x2 pooling after layers 2 and 4, about",
        47,
        lambda: networks.fields("3", "3", "p", "3", "3", "p", "3")[-1],
        "capture, propagate",
        "wrong",
        "a layer adds (k − 1) times the product of the strides before it: 1 + 2 + 2 + 1 + 4 + 4 + 2 + 8 = 24; pooling "
        "doubles what later layers add, not the field",
        compare="about",
        within=0.1,
    ),
    _claim(
        "max-pool-example",
        "2x2 max pooling of the 4x4 example",
        [[8, 7], [5, 9]],
        lambda: arrays.grid(max_pool(_POOL_EXAMPLE[None, None], 2)[0, 0]),
        "max_pool",
    ),
    _claim(
        "block-parameters",
        "parameters of the block's three convolutions",
        [448, 4_640, 18_496],
        lambda: [conv_parameters(3, 16, 3), conv_parameters(16, 32, 3), conv_parameters(32, 64, 3)],
        "convolution_cost",
        see="convscope inspect notes-block --input 4x3x64x64",
    ),
    _claim(
        "block-total",
        "parameters of the block",
        23_584,
        lambda: find("notes-block").parameters,
        "the catalogue",
        see="convscope inspect notes-block --input 4x3x64x64",
    ),
    _claim(
        "block-sizes",
        "64x64 after one and two 2x2 poolings: output sizes",
        [32, 16],
        lambda: halved(64, 2),
        "Window.output_size",
    ),
    _claim(
        "block-average",
        "a batch of 4 times 64 maps after global average pooling: output",
        (4, 64, 1, 1),
        lambda: networks.averaged(4, 64),
        "torch",
    ),
    _claim(
        "parameters-per-image",
        "parameters per image of AlexNet on 1.2 million images, about",
        50,
        lambda: round(find("alexnet-2012").parameters / _IMAGENET_IMAGES, 1),
        "the catalogue",
        compare="about",
    ),
    _claim(
        "crops-of-256",
        "positions of a 224 crop in 256x256, without flips",
        2_048,
        lambda: places_of_a_crop(224, 256),
        "Window.output_size",
        "wrong",
        "256 − 224 + 1 = 33 positions on each axis: 33² = 1,089, and 2,178 with flips; 2,048 = 32² · 2 includes the "
        "flip, and leaves out the last position on each axis",
        see="convscope size 256 --kernel 224",
    ),
    _claim(
        "crops-and-flips",
        "views of a 256x256 image by 224 crops and a flip",
        2 * 2_048,
        lambda: 2 * places_of_a_crop(224, 256),
        "Window.output_size",
        "wrong",
        "twice as many views as positions; the paper's factor of 2,048 includes the flip",
        stated_as="2,048, times the flip",
    ),
    _claim(
        "distinct-views",
        "distinct views of 1.2 million images, by crops and flips",
        1_000_000,
        lambda: 2 * places_of_a_crop(224, 256) * _IMAGENET_IMAGES,
        "Window.output_size",
        compare="at least",
        stated_as="millions",
    ),
    _claim(
        "fc6", "parameters of AlexNet's FC6", 37_752_832, lambda: linear_cost(9_216, 4_096).parameters, "linear_cost"
    ),
    _claim(
        "lenet-fc",
        "parameters of LeNet's largest fully connected layer",
        48_120,
        lambda: linear_cost(400, 120).parameters,
        "linear_cost",
    ),
    _claim(
        "fc6-785",
        "times as many parameters in AlexNet's FC6 as in LeNet's largest layer, about",
        785,
        lambda: round(linear_cost(9_216, 4_096).parameters / linear_cost(400, 120).parameters),
        "linear_cost",
    ),
    _claim(
        "mini-alexnet-accuracy",
        "test accuracy of MiniAlexNet on CIFAR-10, percent: with dropout and without",
        ["75 to 80", "about 70"],
        None,
        _MEASURED,
        "not decidable",
        "an accuracy is measured, not computed; measured, the network did better without dropout",
        see="convscope ablate cifar10 --without dropout --seeds 3",
    ),
    _claim(
        "ablation-order",
        "order of the ablation on CIFAR-10 after 10 epochs, best first",
        ["baseline", "no augmentation", "no dropout", "sigmoid"],
        None,
        _MEASURED,
        "not decidable",
        "measured, only the sigmoid's last place held: no dropout and no augmentation were not below the baseline",
        see="convscope ablate cifar10 --without relu,dropout,augmentation --seeds 3",
    ),
    _claim(
        "fundus-sizes",
        "fundus network: map sizes after its four poolings",
        [256, 128, 64, 32],
        lambda: halved(512, 4),
        "Window.output_size",
        see="convscope inspect notes-fundus",
    ),
    _claim(
        "fundus-field-1",
        "fundus network: field before the first pooling, about",
        5,
        partial(_fundus_field, 1),
        "capture, propagate",
        see="convscope inspect notes-fundus",
    ),
    *(
        _claim(
            f"fundus-field-{pooling}",
            f"fundus network: field before pooling {pooling}, about",
            stated,
            partial(_fundus_field, pooling),
            "capture, propagate",
            "wrong",
            why,
            compare="about",
            within=0.1,
            see="convscope inspect notes-fundus",
        )
        for pooling, stated, why in _FUNDUS_FIELDS
    ),
)
