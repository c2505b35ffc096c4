"""The arithmetic that the page computes is that of `geometry` and `reference`."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from convscope.errors import GeometryError
from convscope.exercises.stack import StackLayer, fields_of
from convscope.geometry.convolution import TransposedWindow
from convscope.geometry.cost import convolution_cost, linear_cost
from convscope.geometry.taps import transposed_taps, window_taps
from convscope.geometry.window import Window, same_padding
from convscope.reference.convolution import convolve, flipped
from learn_twin import ask_page

Case = tuple[str, list[Any], Any]


def _window(draw: random.Random) -> tuple[dict[str, Any], Window]:
    kernel, stride, dilation = draw.randint(1, 9), draw.randint(1, 5), draw.randint(1, 4)
    before = draw.randint(0, 5)
    after = before if draw.random() < 0.7 else draw.randint(0, 5)
    window = Window.of(kernel, stride=stride, padding=(before, after), dilation=dilation)
    padding: Any = before if before == after else [before, after]
    return {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}, window


def _sizes(draw: random.Random) -> Case:
    shown, window = _window(draw)
    size = draw.randint(1, 80)
    fits = window.fits(size)
    counts = [0] * size
    if fits:
        for start in window.starts(size):
            for tap in range(start, start + window.span, window.dilation):
                if 0 <= tap < size:
                    counts[tap] += 1
    name, found = draw.choice([
        ("span", None), ("paddedSize", window.padded_size(size)),
        ("outputSize", window.output_size(size) if fits else 0),
        ("useCounts", counts), ("leftOver", window.remainder(size) if fits else None),
    ])  # fmt: skip
    if name == "span":
        return "span", [shown], window.span
    if found is None:
        return "outputSize", [size, shown], 0
    if fits and name == "useCounts":
        assert [at for at, count in enumerate(counts) if not count] == window.never_read(size)
    return name, [size, shown], found


def _taps(draw: random.Random) -> Case:
    shown, window = _window(draw)
    size = draw.randint(10, 60)
    if not window.fits(size):
        return _taps(draw)
    index = draw.randrange(window.output_size(size))
    start = window.starts(size)[index]
    taps = list(range(start, start + window.span, window.dilation))
    table = window_taps(window, size)
    assert [tap for tap in taps if 0 <= tap < size] == table.positions[index][table.inside[index]].tolist()
    return "taps", [shown, index], taps


def _transposed(draw: random.Random) -> Case:
    shown, window = _window(draw)
    size = draw.randint(1, 30)
    transposed = TransposedWindow(window=window)
    try:
        outputs = transposed.output_size(size)
    except GeometryError:
        return "transposedSize", [size, shown], 0
    if draw.random() < 0.5:
        return "transposedSize", [size, shown], outputs
    return "sumCounts", [size, shown], transposed_taps(transposed, size).inside.sum(axis=1).tolist()


def _sums(draw: random.Random) -> Case:
    rows, columns, kernel_rows, kernel_columns = (draw.randint(1, 9) for _ in range(4))
    image = [[draw.randint(-9, 9) for _ in range(columns)] for _ in range(rows)]
    kernel = [[draw.randint(-5, 5) for _ in range(kernel_columns)] for _ in range(kernel_rows)]
    if draw.random() < 0.3:
        return "turned", [kernel], flipped(np.array(kernel, dtype=np.float64)[None, None])[0, 0].tolist()
    stride, padding = draw.randint(1, 3), draw.randint(0, 3)
    if rows + 2 * padding < kernel_rows or columns + 2 * padding < kernel_columns:
        return _sums(draw)
    x, weight = (np.array(one, dtype=np.float64)[None, None] for one in (image, kernel))
    found = convolve(x, weight, stride=stride, padding=padding)[0, 0]
    if draw.random() < 0.5:
        return "mapOf", [image, kernel, {"stride": stride, "padding": padding}], found.tolist()
    row, column = draw.randrange(found.shape[0]), draw.randrange(found.shape[1])
    at = row * stride - padding, column * stride - padding
    return "windowSum", [image, kernel, *at], float(found[row, column])


def _folds(draw: random.Random) -> Case:
    names = [draw.choice(["1", "3", "5", "7", "3/2", "5/2", "7/3", "p"]) for _ in range(draw.randint(1, 6))]
    layers = tuple(StackLayer.named(name) for name in names)
    shown = [{"kernel": one.kernel, "stride": one.stride, "padding": one.window.padding_before} for one in layers]
    fields = fields_of(layers, 4096)
    return "folded", [shown], [(field.size, field.stride) for field in fields]


def _costs(draw: random.Random) -> Case:
    if draw.random() < 0.3:
        inputs, units = draw.randint(1, 10**6), draw.randint(1, 4096)
        cost = linear_cost(inputs, units)
        return "linearCost", [inputs, units], [cost.weights, cost.biases, cost.macs]
    groups = draw.choice([1, 1, 2, 4, 8])
    channels, filters = groups * draw.randint(1, 64), groups * draw.randint(1, 64)
    kernel, rows, columns = draw.randint(1, 11), draw.randint(1, 112), draw.randint(1, 112)
    cost = convolution_cost(channels, filters, (kernel, kernel), (rows, columns), groups=groups)
    layer = {"channels": channels, "filters": filters, "kernel": kernel, "outputs": rows * columns, "groups": groups}
    return "convolutionCost", [layer], [cost.weights, cost.biases, cost.macs]


def _same(draw: random.Random) -> Case:
    kernel, dilation = draw.randint(1, 15), draw.randint(1, 5)
    return "samePadding", [kernel, dilation], list(same_padding(kernel, dilation=dilation))


MAKERS = (_sizes, _taps, _transposed, _sums, _folds, _costs, _same)


def _shown(name: str, found: Any) -> Any:
    """Return the part of an answer that Python has computed as well."""
    if name == "windowSum":
        assert sum(term["product"] for line in found["terms"] for term in line) == found["sum"]
        return found["sum"]
    if name == "folded":
        return [(one["size"], one["stride"]) for one in found]
    if name in ("linearCost", "convolutionCost"):
        return [found["weights"], found["biases"], found["macs"]]
    return found


@pytest.mark.parametrize("count", [700, pytest.param(10_000, marks=pytest.mark.long)])
def test_the_page_computes_what_python_computes(count: int) -> None:
    draw = random.Random(20)
    cases = [draw.choice(MAKERS)(draw) for _ in range(count)]
    found = ask_page("arithmetic", [{"name": name, "given": given} for name, given, _ in cases])
    for (name, given, expected), theirs in zip(cases, found, strict=True):
        assert _shown(name, theirs) == expected, (name, given)


def test_where_the_first_field_starts() -> None:
    """The field of the first cell of a stack begins in the padding of all its layers."""
    layers = [{"kernel": 7, "stride": 2, "padding": 3}, {"kernel": 3, "stride": 2, "padding": 1}]
    (found,) = ask_page("arithmetic", [{"name": "folded", "given": [layers]}])
    assert found == [{"size": 7, "stride": 2, "start": -3}, {"size": 11, "stride": 4, "start": -5}]
