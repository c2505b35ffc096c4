"""Chapter 7: from LeNet to ResNet."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp

from convscope.course.chapter import Chapter
from convscope.course.records.layers import REAL_LAYERS
from convscope.course.records.trained import trained_numbers
from convscope.geometry.cost import linear_cost
from convscope.nets import catalogue
from convscope.nets.timeline import ENTRANTS, HUMAN_TOP5_ERROR
from convscope.report.units import percent, power_of_ten, raised

_SATURATED = 8  # activations in a row


def _factor(logarithm: float) -> str:
    """Return about how large a factor is, by its logarithm to the base of ten: "about 10⁷"."""
    return f"about 10{raised(round(logarithm))}"


def _numbers() -> Mapping[str, object]:
    gradients = trained_numbers()["gradients"]
    chains, skips = (
        {name: gradients["networks"][f"{name}-plain-{way}"] for name in ("sigmoid", "tanh", "relu")}
        for way in ("chain", "skip")
    )
    sigmoid_at_5 = 1 / (1 + exp(-5))
    errors = {one.title: one for one in ENTRANTS}
    fc6 = linear_cost(256 * 6 * 6, 4096).parameters
    first = REAL_LAYERS["alexnet"]

    def quoted(entry: str) -> float:
        return next(one.top5_error for one in errors["AlexNet"].others if entry in one.measured)

    return {
        "lenet": catalogue.find("lenet5").parameters,
        "alexnet": catalogue.find("alexnet-2012").parameters,
        "resnet": catalogue.find("resnet152").parameters,
        "vgg": catalogue.find("vgg16").parameters,
        "googlenet": catalogue.find("googlenet-2014").parameters,
        "alexnet_error": errors["AlexNet"].top5_error, "resnet_error": errors["ResNet"].top5_error,
        "winning_error": quoted("winning entry"), "second_error": quoted("runner-up"),
        "first_filters": first.filters, "first_kernel": first.kernel,
        "best_before": next(one.top5_error for one in ENTRANTS if one.year == 2011),
        "resnet_layers": errors["ResNet"].layers, "human": HUMAN_TOP5_ERROR,
        "slope": 0.25, "slopes": _SATURATED, "bound": power_of_ten(f"{0.25**_SATURATED:.1e}"),
        "bound_power": f"0.25{raised(_SATURATED)}",
        "slope_at_5": f"{sigmoid_at_5 * (1 - sigmoid_at_5):.4f}",
        "layers": gradients["layers"], "epochs": gradients["epochs"],
        "dropped": percent(gradients["dropped"], decimals=0),
        "convolutions": gradients["layers"] - 1,
        "ratio_sigmoid": _factor(chains["sigmoid"]["before"][0] - chains["sigmoid"]["before"][-1]),
        "accuracy_sigmoid": percent(chains["sigmoid"]["accuracy"]),
        "accuracy_relu": percent(chains["relu"]["accuracy"]),
        "accuracy_tanh": percent(chains["tanh"]["accuracy"]),
        "accuracy_tanh_skip": percent(skips["tanh"]["accuracy"]),
        "accuracy_sigmoid_skip": percent(skips["sigmoid"]["accuracy"]),
        "gain": _factor(skips["sigmoid"]["before"][0] - chains["sigmoid"]["before"][0]),
        "accuracy_relu_dropout": percent(gradients["networks"]["relu-dropout-chain"]["accuracy"]),
        "fc6": fc6, "share": percent(fc6 / catalogue.find("alexnet-2012").parameters, decimals=0),
        "pooled": linear_cost(256, 4096).parameters,
    }  # fmt: skip


CHAPTER = Chapter(
    number=7,
    widget="history",
    exercises=(
        "7a", "7b", "7c", "quiz-dropout", "quiz-first-kernel", "quiz-sigmoid-alexnet", "quiz-dead-relu",
        "quiz-global-average",
    ),
    slips=(
        "slip-first-relu", "slip-error-26.2", "slip-error-11.7", "slip-lenet-year", "slip-alexnet-2012-filters",
        "slip-alexnet-halves", "slip-densenet-blocks", "slip-product-of-neurons",
    ),
    numbers=_numbers,
    own="norms",
)  # fmt: skip
