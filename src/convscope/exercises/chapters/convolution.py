"""Chapter 2: the convolution. One cell of a map, the kernel that made a map, and the sign of an edge."""

from __future__ import annotations

from collections.abc import Mapping

from convscope.exercises.draw import Draw, Drawn, ExerciseRule
from convscope.geometry.window import Window

Grid = tuple[tuple[int, ...], ...]

VERTICAL: Grid = ((1, 0, -1),) * 3
HORIZONTAL: Grid = tuple(zip(*VERTICAL, strict=True))
SOBEL: Grid = ((1, 0, -1), (2, 0, -2), (1, 0, -1))
SCHARR: Grid = ((3, 0, -3), (10, 0, -10), (3, 0, -3))
BLUR: Grid = ((1, 1, 1),) * 3
IDENTITY: Grid = ((0, 0, 0), (0, 1, 0), (0, 0, 0))
KERNELS: Mapping[str, Grid] = {"vertical": VERTICAL, "horizontal": HORIZONTAL, "blur": BLUR, "identity": IDENTITY}


def map_of(image: Grid, kernel: Grid) -> Grid:
    """Return the map of an image under a kernel, in places from the windows of `geometry`: no padding, stride 1.

    >>> map_of(((1, 2, 3), (4, 5, 6), (7, 8, 9)), VERTICAL)
    ((-6,),)
    """
    rows, columns = (Window.of(len(kernel)).starts(size) for size in (len(image), len(image[0])))
    return tuple(tuple(sum(map(sum, products(image, kernel, row, column))) for column in columns) for row in rows)


def products(image: Grid, kernel: Grid, row: int, column: int) -> list[list[int]]:
    """Return the products of a kernel with the window that starts at a row and a column, from 0."""
    return [[image[row + i][column + j] * weight for j, weight in enumerate(line)] for i, line in enumerate(kernel)]


def turned(kernel: Grid) -> Grid:
    """Return a kernel turned by 180 degrees, as the convolution of signal processing has it."""
    return tuple(line[::-1] for line in kernel[::-1])


def transposed(kernel: Grid) -> Grid:
    """Return a kernel with rows for columns."""
    return tuple(zip(*kernel, strict=True))


def _numbers(draw: Draw, rows: int, columns: int) -> Grid:
    return tuple(tuple(draw.whole(0, 9) for _ in range(columns)) for _ in range(rows))


def _terms(image: Grid, kernel: Grid, row: int, column: int) -> list[dict[str, object]]:
    """Return the rows of a window's sum, for the worked steps."""
    lines = []
    for i, line in enumerate(products(image, kernel, row, column)):
        pairs = zip(image[row + i][column : column + len(line)], kernel[i], strict=True)
        terms = " + ".join(f"{pixel}·{weight}" if weight >= 0 else f"{pixel}·(−{-weight})" for pixel, weight in pairs)
        lines.append({"row": row + i + 1, "terms": terms, "sum": sum(line)})
    return lines


def _cell(draw: Draw) -> Drawn:
    image, kernel = _numbers(draw, 6, 6), draw.one((VERTICAL, HORIZONTAL, SOBEL, transposed(SOBEL), SCHARR))
    found = map_of(image, kernel)
    row, column = draw.whole(0, 3), draw.whole(0, 3)
    answer = found[row][column]
    positive: Grid = tuple(tuple(max(0, weight) for weight in line) for line in kernel)
    return Drawn(
        numbers={
            "image": image, "kernel": kernel, "row": row + 1, "column": column + 1, "last_row": row + 3,
            "last_column": column + 3, "terms": _terms(image, kernel, row, column),
            "sums": [line["sum"] for line in _terms(image, kernel, row, column)], "answer": answer,
        },
        answer=answer,
        wrong={
            "flipped": map_of(image, turned(kernel))[row][column],
            "transposed": map_of(image, transposed(kernel))[row][column],
            "column-off": found[row][column + 1] if column < 3 else found[row][column - 1],
            "row-off": found[row + 1][column] if row < 3 else found[row - 1][column],
            "positive": map_of(image, positive)[row][column],
        },
    )  # fmt: skip


def _which_kernel(draw: Draw) -> Drawn:
    image = _numbers(draw, 5, 5)
    made = draw.one(tuple(KERNELS))
    maps = {name: map_of(image, kernel) for name, kernel in KERNELS.items()}
    first = {name: found[0][0] for name, found in maps.items()}
    told = {name for name in first if list(first.values()).count(first[name]) == 1}
    options = draw.shuffled(tuple(KERNELS))
    return Drawn(
        numbers={
            "image": image, "map": maps[made], "first": first[made], "terms": _terms(image, KERNELS[made], 0, 0),
            **{f"first_{name}": value for name, value in first.items()},
        },
        answer=made,
        wrong={name: name if made in told and name in told else None for name in options if name != made},
        options=tuple(options),
    )  # fmt: skip


def _sign(draw: Draw) -> Drawn:
    low = draw.whole(0, 4)
    bright, dark = low + draw.whole(2, 9), low
    kernel, horizontal = draw.one((VERTICAL, SOBEL, SCHARR)), draw.half()
    bright_first = draw.half()

    def image(first: int, second: int) -> Grid:
        line = (first,) * 3 + (second,) * 3
        upright: Grid = (line,) * 6
        return transposed(upright) if horizontal else upright

    weights = transposed(kernel) if horizontal else kernel
    ends = (bright, dark) if bright_first else (dark, bright)
    given = map_of(image(*ends), weights)[1][1]
    other = map_of(image(*ends[::-1]), weights)[1][1]
    after = max(0, other)
    return Drawn(
        numbers={
            "kernel": weights, "image": image(*ends), "other": image(*ends[::-1]), "given": given, "value": other,
            "after": after, "answer": (other, after),
        },
        answer=(other, after),
        wrong={
            "same-sign": (given, max(0, given)),
            "before": (0, after) if other < 0 else (0, 0),
            "after": (other, other) if other < 0 else (other, 0),
            "absolute": (other, abs(other)) if other < 0 else (-other, other),
        },
    )  # fmt: skip


RULES: Mapping[str, ExerciseRule] = {
    "2a": ExerciseRule(kind="whole", draw=_cell),
    "2b": ExerciseRule(kind="choice", draw=_which_kernel),
    "2c": ExerciseRule(kind="numbers", draw=_sign),
}
