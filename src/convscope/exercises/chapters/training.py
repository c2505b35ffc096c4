"""Chapter 8: training. A step of SGD, the cross-entropy of scores, and how many steps an epoch has."""

from __future__ import annotations

from collections.abc import Mapping
from math import e, log

from convscope.exercises.draw import Draw, Drawn, ExerciseRule

_SETS = ((60_000, 128), (50_000, 128), (50_000, 64), (1_281_167, 256), (1_797, 64), (10_000, 32), (128_175, 16))


def stepped(
    weight: float, gradients: tuple[float, float], *, learning_rate: float, momentum: float, decay: float
) -> float:
    """Return a weight after two steps of SGD, computed by `convscope.reference`.

    >>> round(stepped(1.0, (2.0, 1.6), learning_rate=0.1, momentum=0.5, decay=0.0), 3)
    0.54
    """
    import numpy as np

    from convscope.reference.optimizer import SGD

    weights = np.array([weight])
    optimizer = SGD(learning_rate=learning_rate, momentum=momentum, weight_decay=decay)
    for gradient in gradients:
        optimizer.step([weights], [np.array([gradient])])
    return _rounded(float(weights[0]))


def _rounded(value: float) -> float:
    """Return a value as 0 where its terms cancel, and not as 1e-17."""
    return round(value, 14)


def _sgd_step(draw: Draw) -> Drawn:
    weight = draw.whole(-20, 20) / 10
    batches = tuple(tuple(draw.whole(-20, 20) / 10 for _ in range(2)) for _ in range(2))
    first, second = (sum(batch) / len(batch) for batch in batches)
    rate, momentum, decay = draw.one((0.1, 0.2, 0.5)), draw.one((0.5, 0.8, 0.9)), draw.one((0.1, 0.2, 0.5))

    def after(
        gradients: tuple[float, float] = (first, second), *, step: float = rate, keeps: float = momentum,
        shrinks: float = decay,
    ) -> float:  # fmt: skip
        return stepped(weight, gradients, learning_rate=step, momentum=keeps, decay=shrinks)

    answer = after()
    velocity = _rounded(first + decay * weight)
    middle = _rounded(weight - rate * velocity)
    return Drawn(
        numbers={
            "w": weight, "batch1": batches[0], "batch2": batches[1], "g1": first, "g2": second, "lr": rate,
            "m": momentum, "wd": decay, "v1": velocity, "w1": middle,
            "v2": _rounded(momentum * velocity + second + decay * middle), "answer": answer,
        },
        answer=answer,
        wrong={
            "plus": after(step=-rate),
            "decay": after(shrinks=0.0),
            "momentum": after(keeps=0.0),
            "old-gradient": _rounded(middle - rate * momentum * velocity),
            "sum": after((2 * first, 2 * second)),
            "one-step": middle,
        },
    )  # fmt: skip


def _cross_entropy(draw: Draw) -> Drawn:
    import numpy as np

    from convscope.reference.activation import softmax
    from convscope.reference.loss import softmax_cross_entropy

    if draw.whole(1, 4) == 1:
        classes = draw.one((2, 3, 4, 5, 10, 14, 20, 100, 1000))
        equal = np.zeros((1, classes))
        answer = softmax_cross_entropy(equal, np.array([0]))
        return Drawn(
            numbers={"C": classes, "p": 1 / classes, "answer": answer},
            answer=answer,
            wrong={
                "probability": 1 / classes,
                "log10": answer / log(10),
                "log2": answer / log(2),
                "zero": 0.0,
                "complement": -log(1 - 1 / classes),
            },
            texts={"statement": "statement-equal", "formula": "formula-equal", "steps": "steps-equal"},
        )
    classes = draw.whole(3, 5)
    scores = tuple(draw.whole(-3, 5) for _ in range(classes))
    right = draw.whole(1, classes)
    array, labels = np.array([scores], dtype=float), np.array([right - 1])
    answer, probabilities = softmax_cross_entropy(array, labels), softmax(array)[0]
    p, largest = float(probabilities[right - 1]), float(probabilities.max())
    return Drawn(
        numbers={
            "scores": scores, "right": right, "score": scores[right - 1], "classes": classes, "p": p, "answer": answer,
            "exponentials": tuple(float(f"{e**score:.5g}") for score in scores), "sum": sum(e**s for s in scores),
        },
        answer=answer,
        wrong={
            "probability": p,
            "log10": answer / log(10),
            "not-normalized": 0.0 - scores[right - 1],
            "largest": -log(largest) if largest != p else None,
            "complement": -log(1 - p) if p < 1 else None,
            "sign": -answer,
        },
    )  # fmt: skip


def _steps(draw: Draw) -> Drawn:
    images, batch = draw.one(_SETS)
    if draw.half():
        images, batch = draw.whole(100, 9_999), draw.one((10, 16, 32, 50, 64, 100, 128))
    epochs, drops = draw.one((2, 3, 5, 10, 20, 30, 90)), draw.whole(1, 3) == 1
    whole, rest = divmod(images, batch)
    kept = epochs * (whole + (rest > 0))
    answer = epochs * whole if drops else kept
    return Drawn(
        numbers={
            "N": images, "B": batch, "E": epochs, "whole": whole, "rest": rest, "steps": answer // epochs,
            "answer": answer,
        },
        answer=answer,
        wrong={
            "floor": None if drops else epochs * whole,
            "ceil": kept if drops else None,
            "images": epochs * images,
            "together": epochs * images // batch if drops else -(-epochs * images // batch),
            "one-epoch": answer // epochs,
            "batch": epochs * batch,
        },
        texts={"statement": "statement-drops" if drops else "statement",
               "formula": "formula-drops" if drops else "formula",
               "steps": "steps-drops" if drops else "steps"},
    )  # fmt: skip


RULES: Mapping[str, ExerciseRule] = {
    "8a": ExerciseRule(kind="float", draw=_sgd_step, within=0.002),
    "8b": ExerciseRule(kind="float", draw=_cross_entropy, within=0.01),
    "8c": ExerciseRule(kind="whole", draw=_steps),
}
