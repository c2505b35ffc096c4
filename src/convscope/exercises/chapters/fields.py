"""Chapter 6: receptive fields. Stacks with and without strides, how many layers are needed, what small kernels cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convscope.exercises.draw import Draw, Drawn, ExerciseRule
from convscope.exercises.stack import StackLayer, fields_of
from convscope.geometry.cost import convolution_cost

# Stacks of the lecture notes and of real networks.
_STACKS = (
    "3 3 p 3 3 p 3", "3 3 3 3 p 3 3", "3 3 p 3 3 p", "5 p 5 p", "7/2 p 3 3", "3 3 p 3 3 p 3 3 3", "11/4 p 5 p 3",
    "3 3 p 3 3 p 3 3 p 3 3 p",
)  # fmt: skip


def stack(names: Sequence[str]) -> tuple[StackLayer, ...]:
    """Return the layers of a stack by their names."""
    return tuple(StackLayer.named(name) for name in names)


def field(names: Sequence[str]) -> int:
    """Return the receptive field of a stack, in pixels.

    >>> field(["3", "3", "p", "3", "3", "p", "3"])
    24
    """
    return fields_of(stack(names))[-1].size


def doubled(names: Sequence[str]) -> int:
    """Return the field by the wrong rule that a pooling doubles the field, beside what later layers add.

    The lecture notes have 18 for the first of these, where 14 is right:

    >>> doubled(["3", "3", "p", "3", "3"]), doubled(["3", "3", "p", "3", "3", "p", "3", "3"])
    (18, 52)
    """
    size = jump = 1
    for layer in stack(names):
        size = size * layer.stride if layer.pooling else size + (layer.kernel - 1) * jump
        jump *= layer.stride
    return size


def strides_ignored(names: Sequence[str]) -> int:
    """Return the field by a wrong rule: every layer adds its k − 1 alone."""
    return 1 + sum(layer.kernel - 1 for layer in stack(names))


def _uniform(draw: Draw) -> Drawn:
    layers, kernel = draw.whole(2, 12), draw.one((3, 3, 5, 7))
    answer = field([str(kernel)] * layers)
    return Drawn(
        numbers={"L": layers, "K": kernel, "less": kernel - 1, "added": layers * (kernel - 1), "answer": answer},
        answer=answer,
        wrong={
            "summed": layers * kernel,
            "pixel": layers * (kernel - 1),
            "power": kernel**layers,
            "kernel-each": 1 + layers * kernel,
            "one-layer": kernel if layers > 1 else None,
        },
    )


def _random_stack(draw: Draw) -> list[str]:
    names = []
    for _ in range(draw.whole(2, 3)):
        names += [draw.one(("3", "3", "5"))] * draw.whole(1, 3)
        names.append(draw.one(("p", "p", "3/2")))
    return names + [draw.one(("3", "5"))] * draw.whole(1, 2)


def _with_strides(draw: Draw) -> Drawn:
    names = draw.one(_STACKS).split() if draw.half() else _random_stack(draw)
    layers, fields = stack(names), fields_of(stack(names))
    answer = fields[-1].size
    before = [1, *(one.stride for one in fields)]
    sizes = [1, *(one.size for one in fields)]
    rows = [
        {"layer": index + 1, "name": names[index], "k": layer.kernel, "jump": before[index], "before": sizes[index],
         "after": sizes[index + 1], "added": (layer.kernel - 1) * before[index]}
        for index, layer in enumerate(layers)
    ]  # fmt: skip
    pools = any(layer.pooling for layer in layers)
    convolutions_alone = 1 + sum(
        (layer.kernel - 1) * jump for layer, jump in zip(layers, before, strict=False) if not layer.pooling
    )
    return Drawn(
        numbers={"layers": rows, "names": " ".join(names), "count": len(names), "answer": answer},
        answer=answer,
        wrong={
            "doubled": doubled(names) if pools else None,
            "pool-left-out": convolutions_alone if pools else None,
            "one-early": 1 + sum((one.kernel - 1) * before[i + 1] for i, one in enumerate(layers)),
            "strides": strides_ignored(names),
            "pixel": answer - 1,
        },
    )  # fmt: skip


def _layers_needed(draw: Draw) -> Drawn:
    kernel, wanted = draw.one((3, 3, 5, 7)), draw.whole(9, 120)
    answer = next(count for count in range(1, 200) if field_of_uniform(count, kernel) >= wanted)
    return Drawn(
        numbers={
            "K": kernel, "n": wanted, "less": kernel - 1, "field": field_of_uniform(answer, kernel), "answer": answer,
            "fewer": answer - 1, "field_fewer": field_of_uniform(answer - 1, kernel) if answer > 1 else 1,
        },
        answer=answer,
        wrong={
            "floor": (wanted - 1) // (kernel - 1),
            "kernel": -(-wanted // kernel),
            "pixel": -(-wanted // (kernel - 1)),
            "power": next(count for count in range(1, 200) if kernel**count >= wanted),
            "one-each": wanted - 1,
        },
    )  # fmt: skip


def field_of_uniform(layers: int, kernel: int) -> int:
    """Return the field of a number of equal layers, in pixels."""
    return fields_of((StackLayer(kernel),) * layers)[-1].size


def _small_against_large(draw: Draw) -> Drawn:
    layers, kernel = draw.one(((2, 3), (3, 3), (3, 3), (4, 3), (5, 3), (2, 5), (3, 5)))
    channels = draw.one((16, 32, 64, 96, 128, 256, 512))
    large = field_of_uniform(layers, kernel)

    def weights(size: int, of: int = channels) -> int:
        return convolution_cost(of, of, (size, size), (1, 1), bias=False).weights

    answer = (layers * weights(kernel), weights(large))
    return Drawn(
        numbers={
            "L": layers, "K": kernel, "C": channels, "large": large, "one": weights(kernel), "small": answer[0],
            "single": answer[1], "answer": answer, "percent": round(100 * (1 - answer[0] / answer[1])),
            "field": large,
        },
        answer=answer,
        wrong={
            "one-layer": (weights(kernel), answer[1]),
            "no-channels": (layers * weights(kernel, 1), weights(large, 1)),
            "one-side": (answer[0] // channels, answer[1] // channels),
            "summed": (answer[0], weights(layers * kernel)),
        },
    )  # fmt: skip


RULES: Mapping[str, ExerciseRule] = {
    "6a": ExerciseRule(kind="whole", draw=_uniform),
    "6b": ExerciseRule(kind="whole", draw=_with_strides),
    "6c": ExerciseRule(kind="whole", draw=_layers_needed),
    "6d": ExerciseRule(kind="numbers", draw=_small_against_large),
}
