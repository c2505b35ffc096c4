"""The quizzes of the lecture notes: questions of why as choices, each wrong option with its misconception."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from convscope.exercises.chapters.fields import field_of_uniform
from convscope.exercises.draw import Draw, Drawn, ExerciseRule
from convscope.exercises.texts import table
from convscope.geometry.convolution import output_sizes, windows
from convscope.geometry.cost import convolution_cost, linear_cost
from convscope.geometry.pooling import pooling_windows
from convscope.geometry.window import Window, same_padding

RIGHT = "right"  # the name of the right option in the table
SHOWN = 4  # options of a choice


def _choice(name: str, numbers: Callable[[Draw], Mapping[str, object]], draw: Draw) -> Drawn:
    """Return a choice with the right option and three others of the table."""
    wrong = [option for option in table()[name]["options"] if option != RIGHT]
    options = draw.shuffled([RIGHT, *draw.some(wrong, SHOWN - 1)])
    return Drawn(
        numbers=numbers(draw), answer=RIGHT, wrong={option: option for option in options if option != RIGHT},
        options=tuple(options),
    )  # fmt: skip


def _plain(draw: Draw) -> Mapping[str, object]:
    """Return no numbers."""
    return {}


def _shared(draw: Draw) -> Mapping[str, object]:
    side, channels, filters, kernel = draw.one((28, 32, 56, 64)), draw.one((3, 16, 32)), draw.one((8, 16, 64)), 3
    sizes = output_sizes((side, side), windows(2, kernel, padding="same"))
    outputs = filters * sizes[0] * sizes[1]
    return {
        "side": side, "C": channels, "K": filters, "F": kernel, "places": sizes[0] * sizes[1], "outputs": outputs,
        "convolution": convolution_cost(channels, filters, (kernel, kernel), sizes).parameters,
        "dense": linear_cost(channels * side * side, outputs).parameters,
        "filter": convolution_cost(channels, 1, (kernel, kernel), sizes, bias=False).weights,
    }  # fmt: skip


def _head(draw: Draw) -> Mapping[str, object]:
    channels, side, classes = draw.one((256, 512, 1024)), draw.one((6, 7, 8)), draw.one((10, 100, 1000))
    return {
        "C": channels, "H": side, "classes": classes,
        "flat": linear_cost(channels * side * side, classes).parameters,
        "averaged": linear_cost(channels, classes).parameters,
    }  # fmt: skip


def _first_kernel(draw: Draw) -> Mapping[str, object]:
    channels, layers, kernel = draw.one((64, 96, 128, 256)), 5, 3
    field = field_of_uniform(layers, kernel)

    def weights(size: int) -> int:
        return convolution_cost(channels, channels, (size, size), (1, 1), bias=False).weights

    return {
        "C": channels, "L": layers, "K": kernel, "large": field, "field": field,
        "stacked": layers * weights(kernel), "single": weights(field),
    }  # fmt: skip


def _even(draw: Draw) -> Mapping[str, object]:
    kernel = draw.one((2, 4, 6))
    before, after = same_padding(kernel)
    return {"K": kernel, "odd": kernel + 1, "before": before, "after": after, "side": same_padding(kernel + 1)[0]}


def _one_by_one(draw: Draw) -> Mapping[str, object]:
    channels, filters, side = draw.one((64, 256, 512)), draw.one((16, 32, 64)), draw.one((14, 28, 56))
    cost = convolution_cost(channels, filters, (1, 1), (side, side))
    return {"C": channels, "K": filters, "side": side, "parameters": cost.parameters, "macs": cost.macs}


def _stretched(draw: Draw) -> Mapping[str, object]:
    side, channels = draw.one((28, 32, 64)), 3
    return {"side": side, "C": channels, "values": linear_cost(channels * side * side, 1, bias=False).weights}


def _stride_and_padding(draw: Draw) -> Drawn:
    side, kernel = draw.one((28, 32, 56, 64, 112, 128, 224)) + draw.whole(0, 3), draw.one((3, 3, 5))
    stride, padding = draw.one((2, 2, 3)), draw.whole(1, kernel // 2)
    plain = Window.of(kernel).output_size(side)
    strided = Window.of(kernel, stride=stride)
    padded = Window.of(kernel, padding=padding)
    answer = (strided.output_size(side), padded.output_size(side))
    return Drawn(
        numbers={
            "H": side, "K": kernel, "S": stride, "P": padding, "plain": plain, "strided_formula": strided.formula(side),
            "padded_formula": padded.formula(side), "answer": answer,
        },
        answer=answer,
        wrong={
            "one-side": (answer[0], plain + padding),
            "area": (-(-plain // stride**2), answer[1]),
            "unchanged": (answer[0], side) if answer[1] != side else None,
            "input-divided": (side // stride, answer[1]),
            "no-plus-one": (answer[0] - 1, answer[1] - 1),
        },
    )  # fmt: skip


def _wider_kernel(draw: Draw) -> Drawn:
    channels, filters = draw.one((1, 3, 3, 8, 16, 64)), draw.one((8, 16, 32, 64, 96, 128))
    small, large = draw.one(((3, 5), (3, 5), (3, 7), (5, 7), (1, 3)))

    def parameters(kernel: int, of: int = channels, maps: int = filters) -> int:
        return convolution_cost(of, maps, (kernel, kernel), (1, 1)).parameters

    answer = parameters(large) - parameters(small)
    return Drawn(
        numbers={
            "C": channels, "K": filters, "small": small, "large": large, "before": parameters(small),
            "after": parameters(large), "answer": answer,
        },
        answer=answer,
        wrong={
            "depth": parameters(large, 1) - parameters(small, 1) if channels > 1 else None,
            "one-filter": parameters(large, maps=1) - parameters(small, maps=1),
            "side": filters * channels * (large - small),
            "whole-layer": parameters(large),
            "square": filters * channels * (large - small) ** 2,
        },
    )  # fmt: skip


def _pooled_work(draw: Draw) -> Drawn:
    channels, kernel, pool = draw.one((16, 32, 64, 128)), draw.one((3, 3, 5)), draw.one((2, 2, 3, 4))
    side = pool * draw.whole(8, 28)

    def macs(at: int) -> int:
        sizes = output_sizes((at, at), windows(2, kernel, padding="same"))
        return convolution_cost(channels, channels, (kernel, kernel), sizes).macs

    after = pooling_windows(1, pool)[0].output_size(side)
    answer = macs(side) // macs(after)
    return Drawn(
        numbers={
            "C": channels, "K": kernel, "pool": pool, "H": side, "after": after, "macs": macs(side),
            "less": macs(after), "answer": answer,
        },
        answer=answer,
        wrong={"side": pool, "unchanged": 1, "channels": pool**3, "kernel": kernel**2, "twice": 2 * pool**2},
    )  # fmt: skip


def _crops(draw: Draw) -> Drawn:
    image, crop = draw.one(((256, 224), (256, 227), (40, 32), (36, 32), (128, 112), (32, 28), (72, 64), (320, 299)))
    places = Window.of(crop).output_size(image)
    answer = 2 * places**2
    return Drawn(
        numbers={"image": image, "crop": crop, "gap": image - crop, "places": places, "all": places**2,
                 "formula": Window.of(crop).formula(image), "answer": answer},
        answer=answer,
        wrong={
            "gap": 2 * (image - crop) ** 2,
            "no-flip": places**2,
            "one-axis": 2 * places,
            "flip-per-axis": 4 * places**2,
        },
    )  # fmt: skip


_CHOICES: Mapping[str, Callable[[Draw], Mapping[str, object]]] = {
    "quiz-sharing": _shared,
    "quiz-max-average": _plain,
    "quiz-pool-growth": _plain,
    "quiz-dropout": _plain,
    "quiz-first-kernel": _first_kernel,
    "quiz-sigmoid-alexnet": _plain,
    "quiz-dead-relu": _plain,
    "quiz-four-steps": _plain,
    "quiz-global-average": _head,
    "quiz-effective-field": _plain,
    "quiz-equivariance": _plain,
    "quiz-flip": _plain,
    "quiz-odd-kernels": _even,
    "quiz-one-by-one": _one_by_one,
    "quiz-stretching": _stretched,
}

RULES: Mapping[str, ExerciseRule] = {
    **{name: ExerciseRule(kind="choice", draw=partial(_choice, name, numbers)) for name, numbers in _CHOICES.items()},
    "quiz-stride-padding": ExerciseRule(kind="numbers", draw=_stride_and_padding),
    "quiz-wider-kernel": ExerciseRule(kind="whole", draw=_wider_kernel),
    "quiz-pool-work": ExerciseRule(kind="whole", draw=_pooled_work),
    "quiz-crops": ExerciseRule(kind="whole", draw=_crops),
}
