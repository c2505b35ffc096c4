"""The first lesson, told: edges found by kernels drawn by hand, and by one that gradient descent finds itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from convscope.arrays import Array
from convscope.interpret.explanation.matrix import matrix, row_of_matrices
from convscope.interpret.explanation.patch_text import beside, grid, worked_example
from convscope.reference.edges import (
    BRIGHT_LEFT,
    CORNERS,
    DARK_LEFT,
    HORIZONTAL,
    KERNELS,
    NUMBERS,
    VERTICAL,
    Snapshot,
    edge_images,
    edge_map,
    learn_vertical_edges,
)
from convscope.report import html
from convscope.report.charts import Curve, line_chart
from convscope.report.html import Html
from convscope.report.svg import Drawing

EXAMPLES: tuple[tuple[str, str, Array, Array], ...] = (
    ("Six rows of numbers", "The vertical kernel slides over 16 places; each gives one number.", NUMBERS, VERTICAL),
    ("Bright left, dark right", "Where the window straddles the edge it answers 30: bright to dark is positive.",
     BRIGHT_LEFT, VERTICAL),
    ("Dark left, bright right", "The same edge the other way round answers −30: the sign tells the direction.",
     DARK_LEFT, VERTICAL),
    ("Squares, vertical kernel", "Upright edges answer with their own sign; the flat part of the middle answers less.",
     CORNERS, VERTICAL),
    ("Squares, horizontal kernel", "The kernel on its side finds level edges; where both meet, 10 and −10 are the mix.",
     CORNERS, HORIZONTAL),
    ("Sobel", "Twice the weight for the middle row: steadier against noise.", BRIGHT_LEFT, KERNELS["Sobel"]),
    ("Scharr", "3, 10, 3 instead of 1, 2, 1: nearly the same answer for edges at any angle.", BRIGHT_LEFT,
     KERNELS["Scharr"]),
)  # fmt: skip
MOMENTS = 4  # kernels in a row of the page
ALL = np.ones((6, 6), dtype=bool)


@cache
def lesson() -> tuple[Snapshot, ...]:
    """The learned kernel at its moments; computed once."""
    return tuple(learn_vertical_edges())


def edges_text() -> str:
    """The lesson in a terminal."""
    patch = NUMBERS[:3, :3]
    lines = ["Edge detection", "==============", ""]
    lines += ["The first place, worked out: the patch under the window, the kernel, their products, one sum.", ""]
    lines += [f"  {line}" for line in worked_example(patch, VERTICAL, patch * VERTICAL, ALL[:3, :3])]
    for title, remark, image, kernel in EXAMPLES:
        found = edge_map(image, kernel)
        blocks = [
            ("image", grid(image, ALL)),
            ("kernel", grid(kernel, ALL[:3, :3])),
            ("feature map", grid(found, ALL[:4, :4])),
        ]
        lines += ["", title, f"  {remark}", "", *(f"  {line}" for line in beside(blocks, ("*", "=")))]
    snapshots = lesson()
    lines += [
        "",
        "A kernel that is learned",
        "  Nobody writes this one. It starts at random, sees 64 noisy images with the maps that a detector of",
        "  vertical edges ought to give, and walks down the gradient of the squared error.",
        "",
    ]
    for shot in snapshots:
        head = f"step {shot.step:>4}   error {shot.loss:.5f}   likeness to the vertical kernel {shot.likeness:+.3f}"
        lines += [f"  {head}".replace("-", "−"), *(f"      {row}" for row in grid(shot.kernel, ALL[:3, :3])), ""]
    lines.append(f"  {_ending(snapshots[-1])}")
    return "\n".join(lines)


def edges_dict() -> dict[str, Any]:
    """The lesson as JSON can hold it."""
    return {
        "examples": [
            {
                "title": title,
                "image": image.tolist(),
                "kernel": kernel.tolist(),
                "map": edge_map(image, kernel).tolist(),
            }
            for title, _, image, kernel in EXAMPLES
        ],
        "learned": [
            {"step": s.step, "kernel": s.kernel.tolist(), "loss": s.loss, "likeness": s.likeness} for s in lesson()
        ],
    }


def edges_page() -> str:
    """The lesson as a page."""
    patch = NUMBERS[:3, :3]
    parts = [matrix(patch, title="patch"), matrix(VERTICAL, title="kernel"), matrix(patch * VERTICAL, title="products")]
    worked = row_of_matrices(
        parts, ("×", "="), after="sum −5", title="The first place",
        description="The patch times the vertical kernel; the products add up to minus 5.",
    )  # fmt: skip
    blocks = [html.section("One place, worked out", html.figure(worked, "Number by number, then one sum."))]
    for title, remark, image, kernel in EXAMPLES:
        blocks.append(html.section(title, html.figure(_example(title, image, kernel), remark)))
    blocks.append(_learned())
    return html.page(
        "Edge detection",
        *blocks,
        lead="A convolution is one small pattern asked everywhere: how much do you look like me? "
        "Here are the patterns that find edges, first drawn by hand, then learned.",
        footer="Made by convscope: convscope explain --demo edges --html edges.html",
    )


def _example(title: str, image: Array, kernel: Array) -> Drawing:
    parts = [
        matrix(image, title="image"),
        matrix(kernel, title="kernel"),
        matrix(edge_map(image, kernel), title="feature map"),
    ]
    return row_of_matrices(parts, ("∗", "="), title=title, description=f"{title}: image, kernel and feature map.")


def _learned() -> Html:
    snapshots = lesson()
    images, maps = edge_images(8)
    looks = html.gallery(
        *(
            html.image(_grey(levels[0]), alt=alt, caption=caption)
            for image, wanted in zip(images[:3], maps[:3], strict=True)
            for levels, alt, caption in ((image, "a training image", "seen"), (0.5 + wanted / 2, "its map", "wanted"))
        ),
    )
    kernels = [html.figure(_moments(snapshots[i : i + MOMENTS])) for i in range(0, len(snapshots), MOMENTS)]
    curve = line_chart(
        [Curve("likeness", [float(s.step) for s in snapshots], [s.likeness for s in snapshots])],
        title="Likeness to the vertical kernel", x_label="step", y_label="cosine", y_limits=(-1, 1),
    )  # fmt: skip
    return html.section(
        "A kernel that is learned",
        html.paragraph(
            "Nobody writes this one. It starts at random, sees 64 noisy images with the maps that a detector of "
            "vertical edges ought to give, and walks down the gradient of the squared error."
        ),
        looks,
        *kernels,
        html.figure(curve, _ending(snapshots[-1])),
    )


def _moments(shots: Sequence[Snapshot]) -> Drawing:
    drawn = [matrix(shot.kernel, title=_caption(shot), largest=0.4, digits=2) for shot in shots]
    steps = ", ".join(str(shot.step) for shot in shots)
    description = f"The kernel at steps {steps}."
    return row_of_matrices(drawn, "→" * (len(drawn) - 1), title=f"Steps {steps}", description=description)


def _caption(shot: Snapshot) -> str:
    return f"step {shot.step}: likeness {shot.likeness:+.2f}".replace("-", "−")


def _grey(levels: Array) -> Array:
    """Levels of 0 to 1 as pixels; a map's zero is the middle grey."""
    pixels: Array = np.rint(np.clip(levels, 0, 1) * 255).astype(np.uint8)
    return pixels


def _ending(last: Snapshot) -> str:
    return (
        f"After {last.step} steps its cosine with the hand-drawn vertical kernel is {last.likeness:.3f}: "
        "the same pattern, found from examples alone."
    )
