"""Norms of each layer's outputs and gradients at some steps of a training: live/norms.jsonl of a run directory.

One JSON object a line: "step" and "epoch" (of the run, whole steps and a fraction), "outputs" and "gradients": by layer
the root mean square of the numbers, so that layers of any size share a scale; null where it is not finite, and no entry
where it was not measured.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from convscope.errors import RunError
from convscope.files.checked import parse_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError, read_bytes, refused_as
from convscope.report.charts import Curve, line_chart
from convscope.report.short_repr import ShortRepr
from convscope.report.svg import Drawing, below, beside
from convscope.report.units import plural

NormKind = Literal["outputs", "gradients"]
Norms = Mapping[str, float | None]
Spread = TypeVar("Spread")
VANISHED = 1000.0
"""A `gradient_ratio` from which on the first layers hardly learn."""

# Layers that a chart has curves of.
CURVES = 6
_BESIDE = 440.0  # width of a chart beside another one: both are as wide as a page


@dataclass(frozen=True, kw_only=True, repr=False)
class NormSample(ShortRepr):
    """The norms of all layers with weights at one step.

    Args:
        step: of the run, from 0.
        epoch: the same in epochs, with its fraction.
        outputs: root mean square of each layer's output; None where it is not finite.
        gradients: root mean square of the gradient of each layer's weights.
    """

    step: int
    epoch: float
    outputs: Norms
    gradients: Norms

    def headline(self) -> str:
        """Return the step and how many layers were measured."""
        return f"step {self.step}: {plural(len(self.gradients), 'layer')}"

    def __hash__(self) -> int:
        return hash((self.step, self.epoch))

    def of(self, kind: NormKind) -> Norms:
        """Return the norms of one kind."""
        return self.outputs if kind == "outputs" else self.gradients


def norm_line(sample: NormSample) -> str:
    """Return a sample as a line of live/norms.jsonl.

    >>> norm_line(NormSample(step=20, epoch=0.5, outputs={"conv": 1.0}, gradients={"conv": float("nan")}))
    '{"step": 20, "epoch": 0.5, "outputs": {"conv": 1.0}, "gradients": {"conv": null}}\\n'
    """
    values = {"step": sample.step, "epoch": float(f"{sample.epoch:.6g}")}
    norms = {"outputs": short_norms(sample.outputs), "gradients": short_norms(sample.gradients)}
    return json.dumps({**values, **norms}) + "\n"


def read_norms(text: str) -> tuple[NormSample, ...]:
    """Return the samples of the lines of live/norms.jsonl; lines that are none, such as half of one, are left out."""
    return tuple(found for line in text.splitlines() if (found := _read_line(line)) is not None)


def norms_at(path: Path) -> tuple[NormSample, ...]:
    """Return the samples of a file live/norms.jsonl; none where it is not there.

    Raises:
        RunError: it can't be read.
    """
    if not os.path.lexists(path):
        return ()
    with refused_as(RunError, path):
        return read_norms(read_bytes(path).decode("utf-8", "replace"))


def sample_of(fields: Fields) -> NormSample:
    """Return the sample of a line's fields; raises UnreadableError where it is none."""
    return NormSample(
        step=fields.integer("step", at_least=0),
        epoch=fields.number("epoch", at_least=0),
        outputs=norms_of(fields.object("outputs")),
        gradients=norms_of(fields.object("gradients")),
    )


def short_norms(norms: Norms) -> dict[str, float | None]:
    """Return norms in five digits, as JSON has them: None where one is not finite.

    >>> short_norms({"conv": 0.1234567, "fc": float("inf")})
    {'conv': 0.12346, 'fc': None}
    """
    return {
        name: float(f"{norm:.5g}") if norm is not None and math.isfinite(norm) else None for name, norm in norms.items()
    }


def norms_of(fields: Fields) -> dict[str, float | None]:
    """Return the norms that `short_norms` made; raises UnreadableError where one is no number."""
    return {name: fields.optional_number(name) for name in fields.values}


def norm_chart(
    samples: Sequence[NormSample],
    kind: NormKind,
    *,
    title: str,
    y_limits: tuple[float, float] | None = None,
    width: float = 460,
) -> Drawing:
    """Draw the norms of a few layers over a training, from the first layer to the last, on a scale of powers of ten.

    Args:
        samples: in the order of the training.
        kind: "outputs" or "gradients".
        title: of the chart.
        y_limits: powers of ten at both ends of the scale, for charts that are compared.
        width: of the chart.
    """
    epochs = [sample.epoch for sample in samples]
    curves = [
        Curve(name, epochs, [_power(sample.of(kind).get(name)) for sample in samples])
        for name in spread(list(dict.fromkeys(name for sample in samples for name in sample.of(kind))))
    ]
    return line_chart(
        curves,
        title=title,
        x_label="epoch",
        y_label="log10 of the root mean square",
        y_limits=y_limits,
        width=width,
    )


def gradient_ratio(samples: Sequence[NormSample]) -> float | None:
    """Return the gradient norm of the last layer over that of the first; None where one is not known, or is alone.

    Both are geometric means over the samples. A thousand and more means that gradients vanish on their way back.

    >>> sample = NormSample(step=0, epoch=0, outputs={}, gradients={"first": 0.01, "second": 0.1, "last": 1.0})
    >>> round(gradient_ratio([sample]))
    100
    """
    layers = list(dict.fromkeys(name for sample in samples for name in sample.gradients))
    means = []
    for name in (layers[0], layers[-1]) if len(layers) > 1 else ():
        powers = [_power(sample.gradients.get(name)) for sample in samples]
        known = [power for power in powers if power is not None]
        means += [sum(known) / len(known)] if known else []
    return float(10 ** (means[1] - means[0])) if len(means) == 2 else None


def gradients_text(ratio: float) -> str:
    """Return a `gradient_ratio` in words.

    >>> gradients_text(2e5), gradients_text(0.5)
    ('200,000 times smaller in the first layer than in the last', '2 times larger in the first layer than in the last')
    >>> gradients_text(1.001)
    'as large in the first layer as in the last'
    """
    times = float(f"{max(ratio, 1 / ratio):.3g}")
    if times == 1:
        return "as large in the first layer as in the last"
    return f"{times:,.15g} times {'smaller' if ratio >= 1 else 'larger'} in the first layer than in the last"


def compared_norms(runs: Mapping[str, Sequence[NormSample]]) -> Drawing:
    """Draw the norms of gradients and outputs of one training, or of several on one scale each, a row a training.

    So a gradient that vanishes in one of them is seen beside one that does not.
    """
    every = [sample for samples in runs.values() for sample in samples]
    outputs, gradients = norm_limits(every, "outputs"), norm_limits(every, "gradients")
    rows = [
        beside(
            norm_chart(samples, "gradients", title=f"{name}: weights' gradients", y_limits=gradients, width=_BESIDE),
            norm_chart(samples, "outputs", title=f"{name}: layers' outputs", y_limits=outputs, width=_BESIDE),
            title=name,
        )
        for name, samples in runs.items()
    ]
    return below(*rows, title="Norms by layer")


def spread(names: Sequence[Spread], most: int = CURVES) -> list[Spread]:
    """Return some of the names, the first and the last among them, evenly spaced.

    >>> spread(["a", "b", "c", "d", "e"], most=3)
    ['a', 'c', 'e']
    """
    if len(names) <= most:
        return list(names)
    return [names[round(place * (len(names) - 1) / (most - 1))] for place in range(most)]


def norm_limits(samples: Iterable[NormSample], kind: NormKind) -> tuple[float, float] | None:
    """Return the powers of ten between which all norms of some trainings lie; None without any."""
    powers = [power for sample in samples for norm in sample.of(kind).values() if (power := _power(norm)) is not None]
    return (math.floor(min(powers)), math.ceil(max(powers))) if powers else None


def _power(norm: float | None) -> float | None:
    return math.log10(norm) if norm is not None and 0 < norm < math.inf else None


def _read_line(line: str) -> NormSample | None:
    try:
        return sample_of(Fields.of(parse_json(line)))
    except UnreadableError:
        return None
