"""Pictures of a check: contact sheets by class, and galleries of copies, near-duplicates and likely label errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from convscope.data.near_duplicates import NearDuplicate
from convscope.data.records import spaced_rows
from convscope.experiments.check.label_errors import LabelErrors
from convscope.experiments.check.survey import Survey
from convscope.report.document import Block, Details, Gallery, Heading, Image, Paragraph, Section
from convscope.report.units import plural
from convscope.training.report.pictures import plain

SIDE = 72  # of a picture on the page
# Pictures of all contact sheets together, and of one; classes that have one. They bound the page at some 8 MB.
IN_ALL, OF_A_CLASS, LEAST_OF_A_CLASS, MOST_CLASSES = 1600, 24, 4, 400
# Of more classes than this each sheet opens on a click.
OPEN = 12
GROUPS, PAIRS, ERRORS = 12, 24, 48


def contact_sheets(survey: Survey) -> Iterator[Section]:
    """Yield the section of contact sheets: some pictures of each class, evenly spaced over its training images."""
    listing = survey.listing
    rows = next(iter(survey.split.rows.values()), np.arange(0))
    classes = listing.classes or ("all images",)
    each = max(LEAST_OF_A_CLASS, min(OF_A_CLASS, IN_ALL // len(classes)))
    sheets: list[Block] = []
    for label, name in enumerate(classes[:MOST_CLASSES]):
        if not listing.classes:
            own = rows
        elif listing.targets is None:
            own = rows[listing.labels[rows] == label]
        else:
            own = rows[listing.targets[rows, label] > 0]
        chosen = own[spaced_rows(len(own), each)]
        gallery = Gallery(tuple(_picture(survey, int(row), tip=listing.names[row]) for row in chosen.tolist()))
        title = f"{name}: {len(chosen)} of {plural(len(own), 'image')}"
        sheets += [Heading(title), gallery] if len(classes) <= OPEN else [Details(title, (gallery,))]
    if len(classes) > MOST_CLASSES:
        sheets.append(
            Paragraph(f"{plural(len(classes) - MOST_CLASSES, 'other class is', 'other classes are')} not shown.")
        )
    if len(rows):
        yield Section("Contact sheets", tuple(sheets), page_only=True)


def equal_gallery(survey: Survey) -> Iterator[Section]:
    """Yield the section of equal pictures: each group once, those of several splits or classes first."""
    groups: dict[int, list[int]] = {}
    for row, first in survey.decoded.outcome.same:
        groups.setdefault(first, [first]).append(row)

    def places(rows: Sequence[int]) -> tuple[int, int]:
        return len({survey.label_of(row) for row in rows}), len({int(survey.split_of[row]) for row in rows})

    ordered = sorted(groups.values(), key=lambda rows: (*places(rows), len(rows)), reverse=True)[:GROUPS]
    pictures = [
        _picture(
            survey,
            rows[0],
            caption=f"{len(rows):,} times: " + "; ".join(sorted({_place(survey, row) for row in rows})[:4]),
            tip="\n".join(survey.listing.names[row] for row in rows[:8]),
        )
        for rows in ordered
    ]
    if pictures:
        yield Section("Equal pictures", (Gallery(tuple(pictures)),), page_only=True)


def near_gallery(survey: Survey, near: Sequence[NearDuplicate]) -> Iterator[Section]:
    """Yield the section of near-duplicates, side by side: pairs in several splits or classes first."""
    ordered = sorted(near, key=lambda pair: _place(survey, pair.first) == _place(survey, pair.second))[:PAIRS]
    pictures = []
    for pair in ordered:
        for row in (pair.first, pair.second):
            mirrored = ", mirrored" if pair.mirrored and row == pair.second else ""
            caption = f"{_place(survey, row)}{mirrored}"
            pictures.append(_picture(survey, row, caption=caption, tip=survey.listing.names[row]))
    if pictures:
        shown = f"The first {len(ordered)} of {len(near):,} pairs" if len(near) > len(ordered) else "All pairs"
        text = f"{shown}, each beside its like; those in two splits or classes come first."
        yield Section("Near-duplicates", (Paragraph(text), Gallery(tuple(pictures))), page_only=True)


def label_gallery(survey: Survey, errors: LabelErrors | None) -> Iterator[Section]:
    """Yield the section of likely label errors, the likeliest first."""
    if errors is None or not errors.likely:
        return
    pictures = [
        _picture(survey, error.row, caption=f"{error.given} → {error.other}?", tip=survey.listing.names[error.row])
        for error in errors.likely[:ERRORS]
    ]
    text = (
        "Each as it is labelled, and what a network predicts that was trained on other images. A network that learned "
        "in minutes errs too: look before you relabel."
    )
    yield Section("Likely label errors", (Paragraph(text), Gallery(tuple(pictures))), page_only=True)


def _place(survey: Survey, row: int) -> str:
    """Return a row's class and split, such as "cat, train"."""
    splits = list(survey.split.rows)
    parts = (survey.label_of(row), splits[survey.split_of[row]] if len(splits) > 1 else "")
    return ", ".join(part for part in parts if part)


def _picture(survey: Survey, row: int, *, caption: str = "", tip: str = "") -> Image:
    pixels = plain(survey.decoded.pixels[row], side=SIDE)
    name = survey.listing.names[row]
    return Image(pixels, alt=name, caption=caption, width=SIDE, tip=tip, lossy=True)
