"""The first lesson: edges by designed kernels, and by one that is learned by gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from convscope.arrays import Array
from convscope.interpret.explanation.patch_drawing import matrix, row_of_matrices
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
from convscope.report.charts import Curve, line_chart
from convscope.report.document import Document, Figure, Gallery, Image, Paragraph, Section

EXAMPLES: tuple[tuple[str, str, Array, Array], ...] = (
    ("Six rows of numbers", "The vertical kernel is put on 16 positions; each gives one number.", NUMBERS, VERTICAL),
    ("Bright left, dark right", "Where the window lies over the edge the map is 30: bright to dark is positive.",
     BRIGHT_LEFT, VERTICAL),
    ("Dark left, bright right", "Dark to bright gives −30: the sign is the direction of the edge.",
     DARK_LEFT, VERTICAL),
    ("Squares, vertical kernel", "The upper edge gives 30, the lower one −30; windows over both give 10 and −10.",
     CORNERS, VERTICAL),
    ("Squares, horizontal kernel", "The kernel turned by 90° gives the horizontal edges, 30 and −30.",
     CORNERS, HORIZONTAL),
    ("Sobel", "Twice the weight for the middle row: more nearly the same for edges at any angle.", BRIGHT_LEFT,
     KERNELS["Sobel"]),
    ("Scharr", "3, 10, 3 instead of 1, 2, 1: nearer still.", BRIGHT_LEFT, KERNELS["Scharr"]),
)  # fmt: skip
IN_A_ROW = 4  # kernels in a row of the page
ALL = np.ones((6, 6), dtype=bool)


@cache
def lesson() -> tuple[Snapshot, ...]:
    """Return the learned kernel after some numbers of steps; computed once."""
    return tuple(learn_vertical_edges())


def edges_dict() -> dict[str, Any]:
    """Return the lesson as JSON can hold it."""
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
            {"step": s.step, "kernel": s.kernel.tolist(), "loss": s.loss, "cosine": s.cosine} for s in lesson()
        ],
    }


def edges_document() -> Document:
    """Return the lesson as a document."""
    patch = NUMBERS[:3, :3]
    parts = [matrix(patch, title="patch"), matrix(VERTICAL, title="kernel"), matrix(patch * VERTICAL, title="products")]
    worked = row_of_matrices(
        parts, ("×", "="), after="sum −5", title="The first position",
        description="The patch times the vertical kernel; the products add up to minus 5.",
    )  # fmt: skip
    lines = worked_example(patch, VERTICAL, patch * VERTICAL, ALL[:3, :3])
    text = Paragraph("The patch under the window, the kernel, their products, number by number, then one sum.")
    return Document(
        "Edge detection",
        (
            Section("One position, worked out", (text, Figure(worked, text="\n".join(lines)))),
            *(
                Section(title, (Paragraph(remark), _example(title, image, kernel)))
                for title, remark, image, kernel in EXAMPLES
            ),
            _learned(),
        ),
        lead="A convolution multiplies one small kernel with the image at every position. Here are kernels that "
        "detect edges, first designed, then learned.",
        footer="Made by convscope explain.",
    )


def _example(title: str, image: Array, kernel: Array) -> Figure:
    shown = (("image", image), ("kernel", kernel), ("feature map", edge_map(image, kernel)))
    parts = [matrix(numbers, title=name) for name, numbers in shown]
    drawn = row_of_matrices(parts, ("∗", "="), title=title, description=f"{title}: image, kernel and feature map.")
    blocks = [(name, grid(numbers, np.ones(numbers.shape, bool))) for name, numbers in shown]
    return Figure(drawn, text="\n".join(beside(blocks, ("*", "="))))


def _learned() -> Section:
    snapshots = lesson()
    images, maps = edge_images(8)
    looks = Gallery(tuple(
        Image(_grey(levels[0]), alt, caption)
        for image, wanted in zip(images[:3], maps[:3], strict=True)
        for levels, alt, caption in ((image, "a training image", "input"), (0.5 + wanted / 2, "its map", "target"))
    ))  # fmt: skip
    kernels = [_row_of_steps(snapshots[i : i + IN_A_ROW]) for i in range(0, len(snapshots), IN_A_ROW)]
    curve = line_chart(
        [Curve("cosine", [float(s.step) for s in snapshots], [s.cosine for s in snapshots])],
        title="Cosine similarity to the vertical kernel", x_label="step", y_label="cosine", y_limits=(-1, 1),
    )  # fmt: skip
    last = snapshots[-1]
    return Section(
        "A kernel that is learned",
        (
            Paragraph(
                "This kernel starts at random. It is trained by gradient descent on the squared error, on 64 noisy "
                "images with the maps that a detector of vertical edges gives."
            ),
            looks,
            *kernels,
            Figure(curve),
            Paragraph(
                f"After {last.step} steps its cosine similarity to the vertical kernel is {last.cosine:.3f}: "
                "the same kernel up to its size, learned from examples alone."
            ),
        ),
    )


def _row_of_steps(shots: Sequence[Snapshot]) -> Figure:
    drawn = [matrix(shot.kernel, title=_caption(shot), largest=0.4, digits=2) for shot in shots]
    steps = ", ".join(str(shot.step) for shot in shots)
    lines = []
    for shot in shots:
        head = (
            f"step {shot.step:>4}   error {shot.loss:.5f}   cosine similarity to the vertical kernel {shot.cosine:+.3f}"
        )
        lines += [head.replace("-", "−"), *(f"    {row}" for row in grid(shot.kernel, ALL[:3, :3]))]
    drawing = row_of_matrices(
        drawn, "→" * (len(drawn) - 1), title=f"Steps {steps}", description=f"The kernel at steps {steps}."
    )
    return Figure(drawing, text="\n".join(lines))


def _caption(shot: Snapshot) -> str:
    return f"step {shot.step}: cosine {shot.cosine:+.2f}".replace("-", "−")


def _grey(levels: Array) -> Array:
    """Return levels of 0 to 1 as pixels; a map's zero is mid-grey."""
    pixels: Array = np.rint(np.clip(levels, 0, 1) * 255).astype(np.uint8)
    return pixels
