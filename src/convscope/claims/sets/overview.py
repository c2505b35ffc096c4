"""The overview of CNN architectures: why convolutions, what they learn, and the years of ImageNet."""

from __future__ import annotations

from functools import partial

import numpy as np

from convscope.claims import arrays, networks
from convscope.claims.arithmetic import conv_weights
from convscope.claims.claim import Claim
from convscope.geometry.cost import convolution_cost
from convscope.nets.catalogue import find
from convscope.nets.timeline import ENTRANTS, error_of

_claim = partial(Claim, "overview")

# (catalogue name, layers, year) as the notes' table has them; SENet's layers are left out there.
_TABLE = (
    ("alexnet-2012", 8, 2012),
    ("zfnet", 8, 2013),
    ("vgg19", 19, 2014),
    ("googlenet-2014", 22, 2014),
    ("resnet152", 152, 2015),
    ("senet154", None, 2017),
)
# (title, percent, year) of the same table, but ZFNet's.
_ERRORS = (
    ("shallow", 28.2, 2010),
    ("AlexNet", 16.4, 2012),
    ("VGG", 7.3, 2014),
    ("GoogLeNet", 6.7, 2014),
    ("ResNet", 3.57, 2015),
    ("SENet", 2.3, 2017),
)
_SHOWN = {"shallow": "hand-made features"}


def _error(title: str, year: int) -> float:
    """Return the timeline's error of an entrant."""
    return next(entrant.top5_error for entrant in ENTRANTS if (entrant.title, entrant.year) == (title, year))


def _layers(name: str) -> int:
    return find(name).layers or 0


def _year(name: str) -> str:
    return str(find(name).year)


CLAIMS = (
    _claim(
        "lenet-year",
        "decade of LeNet-5",
        "1980s",
        lambda: f"{find('lenet5').year // 10 * 10}s",
        "the catalogue",
        "wrong",
        "LeNet-5 is of 1998, which is the 1990s; LeCun's first convolutional networks are of 1989",
        see="convscope models lenet5",
    ),
    _claim(
        "values-3072", "values of a stretched 32x32x3 image", 3_072, lambda: int(np.zeros((32, 32, 3)).size), "NumPy"
    ),
    _claim(
        "first-relu",
        "first network with ReLU",
        "AlexNet",
        None,
        "Jarrett and others, ICCV 2009; Nair and Hinton, ICML 2010",
        "wrong",
        'rectifiers were used before; "first mainstream use", as the notes have it further on, is right',
    ),
    _claim(
        "macs-768k",
        "MACs of ten 5x5 filters on 3x32x32 with padding 2",
        768_000,
        lambda: convolution_cost(3, 10, (5, 5), (32, 32)).macs,
        "convolution_cost",
        see="convscope size 32 --kernel 5 --padding 2 --in-channels 3 --out-channels 10",
    ),
    _claim(
        "corners-equal",
        '3x3 windows on a corner of 6x6 with "same" padding',
        9,
        lambda: arrays.windows_of(6, 3, 1, 0),
        "convolve_backward",
        "wrong",
        "a corner is in 4 windows, the middle in 9; without padding it is 1 and 9: padding reduces the difference and "
        "does not remove it",
        stated_as="as many as on the middle: 9",
        see="convscope size 6 --kernel 3 --padding 1",
    ),
    _claim(
        "pooling-doubles",
        "field of two 3x3 layers and a 2x2 pooling",
        2 * 5,
        lambda: networks.fields("3", "3", "p")[-1],
        "capture, propagate",
        "wrong",
        "the pooling adds one pixel here, 5 to 6; it is the stride that doubles, and with it what later layers add",
        stated_as="10: a pooling doubles it",
    ),
    _claim(
        "invariance-baked-in",
        "cells by which a convolution's map moves where its image moves by one pixel",
        0,
        lambda: arrays.cells_moved(arrays.convolved(1), 1),
        "convolve",
        "wrong",
        "an invariant map would stay; this one moves with the image: equivariance, as the notes say further on",
        stated_as="none: invariance is built in",
    ),
    _claim(
        "scale-invariance",
        "strongest pooled responses of a spot detector to a spot and to one three times as large",
        [80, 80],
        arrays.answers_to_a_larger_spot,
        "convolve, max_pool",
        "wrong",
        "pooling reduces the effect of shifts within its window; a larger spot lies under other weights",
        stated_as="the same: some scale invariance",
    ),
    _claim(
        "equivariant-convolution",
        "cells by which a convolution's map moves where the image moves by one pixel",
        1,
        lambda: arrays.cells_moved(arrays.convolved(1), 1),
        "convolve",
        stated_as="as the image",
    ),
    _claim(
        "pooling-shift-1",
        "cells by which the map of a 2x2 max pooling moves where the image moves by 1 pixel",
        1,
        lambda: arrays.cells_moved(arrays.pooled, 1),
        "max_pool",
        "wrong",
        "pooling with stride 2 commutes with shifts by multiples of 2 alone; by 1 its windows hold other values",
        stated_as="as the image",
    ),
    _claim(
        "pooling-shift-2",
        "cells by which the map of a 2x2 max pooling moves where the image moves by 2 pixels",
        1,
        lambda: arrays.cells_moved(arrays.pooled, 2),
        "max_pool",
        stated_as="as the image",
    ),
    _claim(
        "field-of-three",
        "field of three stacked 3x3 layers",
        7,
        lambda: networks.fields("3", "3", "3")[-1],
        "capture, propagate",
    ),
    _claim(
        "27-49-c-squared",
        "weights of three 3x3 layers and of one 7x7 over C², for C = 64 and for C = 256",
        None,
        lambda: [n * conv_weights(c, c, k) // c**2 for c in (64, 256) for n, k in ((3, 3), (1, 7))],
        "convolution_cost",
        "answered",
    ),
    _claim(
        "alexnet-2014-filters",
        "filters of 3x11x11 in AlexNet's first layer (the form of 2014)",
        64,
        lambda: networks.first_filters("alexnet"),
        "build",
        see="convscope inspect alexnet --depth 1",
    ),
    _claim(
        "alexnet-2012-filters",
        "filters of 3x11x11 in AlexNet's first layer (the paper of 2012)",
        64,
        lambda: networks.first_filters("alexnet-2012"),
        "build",
        "wrong",
        "the paper has 96, as the notes on output sizes say; 64 is the slimmer form that torchvision ships",
        see="convscope inspect alexnet-2012 --depth 1",
    ),
    *(
        _claim(
            f"layers-{name}",
            f"layers of {find(name).title}",
            layers,
            partial(_layers, name),
            "the catalogue",
            see=f"convscope models {name}",
        )
        for name, layers, _ in _TABLE
        if layers is not None
    ),
    *(
        _claim(
            f"year-{name}",
            f"year of {find(name).title}",
            str(year),
            partial(_year, name),
            "the catalogue",
            see=f"convscope models {name}",
        )
        for name, _, year in _TABLE
    ),
    *(
        _claim(
            f"error-{percent}",
            f"top-5 error of {_SHOWN.get(title, title)} in {year}, percent: {error_of(percent)[1]}",
            percent,
            partial(_error, title, year),
            "the timeline",
            see="convscope models --timeline",
        )
        for title, percent, year in _ERRORS
    ),
    _claim(
        "error-11.7",
        "whose top-5 error of 2013 is 11.7 %",
        "ZFNet",
        lambda: error_of(11.7)[0].title,
        "the timeline",
        "wrong",
        "11.7 % is the entry of Clarifai, which grew from ZFNet; ZFNet's paper has 14.8 %, six networks averaged",
        see="convscope models --timeline",
    ),
    _claim(
        "error-18.2-to-15.4",
        "AlexNet's top-5 errors on the validation images, percent: one network, and seven averaged",
        [18.2, 15.4],
        lambda: [figure.top5_error for figure in error_of(16.4)[0].others if "validation" in figure.measured],
        "the timeline",
        see="convscope models --timeline",
    ),
)
