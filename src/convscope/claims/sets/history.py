"""From LeNet to AlexNet: years, parameters, saturation, and the errors of the challenge."""

from __future__ import annotations

from functools import partial

import numpy as np

from convscope.claims import networks
from convscope.claims.claim import Claim, ClaimValue
from convscope.nets.catalogue import ENTRIES, find
from convscope.nets.timeline import ENTRANTS, QuotedError
from convscope.reference.activation import relu_backward, sigmoid, sigmoid_backward, tanh_backward

_claim = partial(Claim, "history")
_ALEXNET = "Krizhevsky, Sutskever, Hinton, NeurIPS 2012"


def _slope(backward: object, x: float) -> float:
    """Return the slope of an activation at x, to three digits."""
    assert callable(backward)
    return float(f"{float(backward(np.array(1.0), np.array(x))):.3g}")


def _figures(year: int, word: str) -> list[QuotedError]:
    """Return the figures of a year's entrants whose measurement contains this word."""
    entrants = [entrant for entrant in ENTRANTS if entrant.year == year]
    figures = [figure for e in entrants for figure in (QuotedError(e.top5_error, e.measured), *e.others)]
    return [figure for figure in figures if word in figure.measured]


def _winners_since(year: int) -> ClaimValue:
    """Return whether all entrants of the timeline since a year are networks."""
    return "deep CNNs" if all(entrant.layers for entrant in ENTRANTS if entrant.year >= year) else "not all deep CNNs"


CLAIMS = (
    _claim(
        "years-lenet-alexnet",
        "years from LeNet-5 to AlexNet",
        14,
        lambda: find("alexnet-2012").year - find("lenet5").year,
        "the catalogue",
    ),
    _claim(
        "lenet-60k",
        "parameters of LeNet-5, about",
        60_000,
        lambda: find("lenet5").parameters,
        "the catalogue",
        compare="about",
        see="convscope models lenet5",
    ),
    _claim(
        "alexnet-60m",
        "parameters of AlexNet, about",
        60_000_000,
        lambda: find("alexnet-2012").parameters,
        "the catalogue",
        compare="about",
        see="convscope models alexnet-2012",
    ),
    _claim(
        "error-15.3",
        "top-5 error of AlexNet's winning entry, percent: seven networks averaged",
        15.3,
        lambda: next(figure.top5_error for figure in _figures(2012, "winning entry")),
        "the timeline",
        see="convscope models --timeline",
    ),
    _claim(
        "error-26.2",
        "best top-5 error before AlexNet, percent",
        26.2,
        lambda: min(entrant.top5_error for entrant in ENTRANTS if entrant.year < 2012),
        "the timeline",
        "wrong",
        "26.2 % is the runner-up of the same year; the year before, the best was 25.8 %",
        see="convscope models --timeline",
    ),
    _claim(
        "winners",
        "later winners",
        "deep CNNs",
        lambda: _winners_since(2012),
        "the timeline",
        see="convscope models --timeline",
    ),
    _claim(
        "sigmoid-5",
        "sigmoid at 5, about",
        0.993,
        lambda: round(float(sigmoid(np.array(5.0))), 4),
        "sigmoid",
        compare="about",
        within=1e-3,
    ),
    _claim(
        "sigmoid-slope-5",
        "gradient of the sigmoid at 5, about",
        0.007,
        lambda: _slope(sigmoid_backward, 5.0),
        "sigmoid_backward",
        compare="about",
        within=0.1,
    ),
    _claim(
        "slopes-3",
        "slopes of sigmoid and tanh at 3, which are said to approach 0 above about 3",
        None,
        lambda: [_slope(sigmoid_backward, 3.0), _slope(tanh_backward, 3.0)],
        "sigmoid_backward, tanh_backward",
        "answered",
    ),
    _claim(
        "eight-sigmoids",
        "what eight sigmoid layers leave of a gradient at the very most, where every slope is the largest",
        None,
        lambda: float(f"{_slope(sigmoid_backward, 0.0) ** 8:.2g}"),
        "sigmoid_backward",
        "answered",
    ),
    _claim(
        "relu-slope",
        "gradient of ReLU at -0.01",
        None,
        lambda: float(relu_backward(np.array(1.0), np.array(-0.01))),
        "relu_backward",
        "answered",
    ),
    _claim(
        "alexnet-layers",
        "convolutions and fully connected layers of AlexNet",
        [5, 3],
        lambda: networks.layer_counts("alexnet-2012"),
        "build",
        see="convscope inspect alexnet-2012",
    ),
    _claim(
        "alexnet-halves",
        "convolutions of AlexNet that read only their own GPU's half of the maps",
        "the early ones",
        lambda: networks.convolutions_in_halves("alexnet-2012"),
        "build",
        "wrong",
        "the second, fourth and fifth read halves; the third reads all maps, and the first reads the image",
        see="convscope inspect alexnet-2012",
    ),
    _claim(
        "alexnet-reference",
        "year of the paper whose reference number 1404.5997 is given for AlexNet's",
        "2012",
        lambda: next(str(entry.year) for entry in ENTRIES if "1404.5997" in entry.paper),
        "the catalogue",
        "wrong",
        "the number is that of Krizhevsky's paper of 2014 on parallel training, with the slimmer network; the paper of "
        "2012 has no number there",
        see="convscope models alexnet",
    ),
    _claim(
        "alexnet-section",
        "section of AlexNet's paper that has the results",
        5,
        None,
        _ALEXNET,
        "wrong",
        "section 5 has the details of learning; the results are section 6",
    ),
    _claim(
        "lecture-5",
        "the lecture of 2017 that is recommended, its lecturer, and that it goes from AlexNet to VGG",
        "lecture 5",
        None,
        "",
        "not decidable",
        "a recording can't be computed; by the course's own schedule of 2017 the architectures are lecture 9",
    ),
    _claim(
        "pcb-10-ms",
        "milliseconds of an inspection of a circuit board, for 14 kinds of defect",
        "under 10",
        None,
        "",
        "not decidable",
        "no network, image size or GPU is named, and without them no time can be measured",
    ),
)
