"""What a run learned, as a part of its page: first filters, right and wrong images, norms by layer, health."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from torch import Tensor

from convscope.interpret.learned.in_training import LEAST, MOST, SHARE, LearnedInTraining
from convscope.interpret.learned.page import part_section
from convscope.report.document import (
    Block,
    Callout,
    Code,
    Columns,
    Figure,
    Heading,
    Image,
    Paragraph,
    Section,
    sentence,
)
from convscope.report.documented import Documented
from convscope.report.units import percent, plural, seconds
from convscope.report.usage import are_options, call_text
from convscope.runs.layer_norms import NormSample, norm_chart
from convscope.runs.run_directory import Run
from convscope.training.report.pictures import colour_bar, filter_sheet, first_filters, largest_weight


def learned_section(
    run: Run,
    weights: Mapping[str, Tensor] | None,
    norms: tuple[NormSample, ...],
    found: LearnedInTraining | None,
) -> Iterator[Section]:
    """Yield the part of the page: what there is of it; nothing where nothing was learned.

    Args:
        run: the run.
        weights: its best; None where there are none.
        norms: of its layers at some steps.
        found: what was measured at its end; None where nothing was.
    """
    blocks = [*_filters(weights or {}), *_measured(found, "examples"), *_norms(norms), *_measured(found, "health")]
    if not blocks:
        return
    left_out = found.left_out if found else ("right and wrong images and health left out: no images were measured",)
    remarks = [Callout("note", sentence(text)) for text in left_out]
    last: list[Block] = [*remarks, *_how_long(found)]
    if weights:
        more = call_text("look" if are_options() else "learned", run)
        last += [
            Paragraph(
                "More, over all of its images: top patches, confused classes, calibration, robustness, knock-out."
            ),
            Code(more),
        ]
    yield Section("What it learned", (*blocks, *last), page_only=True)


def _filters(weights: Mapping[str, Tensor]) -> Iterator[Block]:
    found = first_filters(weights)
    if found is None:
        return
    name, filters = found
    count, _, height, width = filters.shape
    largest = largest_weight(filters)
    alt = f"the {count} filters of {name}, each {height} by {width}"
    channels = {1: "Grey levels are weights", 3: "Colours are the weights of the three input channels"}
    colour = channels.get(filters.shape[1], "Grey levels are the mean weight over the input channels")
    caption = f"{count} filters of {name}, {height}×{width}. {colour}; all filters share one scale."
    yield Heading("First-layer filters")
    yield Image(filter_sheet(filters, largest), alt, caption)
    yield Figure(partial(colour_bar, largest))


def _norms(samples: tuple[NormSample, ...]) -> Iterator[Block]:
    if not samples:
        return
    charts = (
        Figure(norm_chart(samples, "outputs", title="Norm of the layers' outputs")),
        Figure(norm_chart(samples, "gradients", title="Norm of the weights' gradients")),
    )
    text = (
        f"Root mean square at {plural(len(samples), 'step')}, the first before any weight has changed, of layers from "
        "the first to the last. Where gradients are a thousand times smaller in the first layers than in the last, the "
        "first layers hardly learn."
    )
    yield Heading("Norms by layer")
    yield Columns(charts)
    yield Paragraph(text)


def _measured(found: LearnedInTraining | None, name: str) -> list[Block]:
    """Return a part that was measured at the end of the training; a line where its picture can't be drawn."""
    part: Documented | None = None if found is None else getattr(found, name)
    if part is None:
        return []
    title = {"examples": "Right and wrong images", "health": "Health of the layers"}[name]
    try:
        drawn = [_drawn(block) for block in part_section(title, part).blocks]
    except Exception as error:  # no report is lost to a picture
        return [Callout("note", f"{title} left out: {error}")]
    return [Heading(title), *drawn]


def _drawn(block: Block) -> Block:
    """Return a figure with its drawing, made here rather than where the page is written."""
    return Figure(block.drawing, block.caption, block.text) if isinstance(block, Figure) else block


def _how_long(found: LearnedInTraining | None) -> list[Block]:
    if found is None or not found.seconds:
        return []
    share, least, most = percent(SHARE, decimals=0), seconds(LEAST), seconds(MOST)
    return [
        Paragraph(
            f"Right and wrong images and health took {seconds(found.seconds)}; allowed are {share} of the training's "
            f"time, but {least} at least and {most} at most."
        )
    ]
