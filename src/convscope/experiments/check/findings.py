"""What is likely wrong with a data set, as findings: errors, which count with --strict, warnings and notes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from convscope.data.assemble import note_on_limit, notes_on_levels
from convscope.data.class_names import look_alikes_text
from convscope.data.near_duplicates import NearDuplicate
from convscope.data.records import Labels, Problem
from convscope.experiments.check.label_errors import LabelErrors
from convscope.experiments.check.survey import Survey
from convscope.report.document import Severity
from convscope.report.printable import few
from convscope.report.units import percent, plural
from convscope.report.usage import settings_text

# Times that the largest class has the images of the smallest: to be noted, to be warned of.
UNEQUAL, VERY_UNEQUAL = 3, 20
FEW_IMAGES = 10
# Reasons and files that are named.
MOST_REASONS = 5
# An image loses much where more than this part of it is cut off; noted where more than this share of images do.
MUCH_CUT, MANY_CUT = 0.25, 0.05
ENLARGED = 1.5
# How much better than the largest class alone a file's kind must predict the class.
GIVEN_AWAY = 0.15


class DataFinding(NamedTuple):
    """Something that a training would meet.

    Args:
        topic: layout, files, duplicates, labels, classes, levels, sizes, mirror or training.
        severity: "error" counts with --strict, "warning" is worth a look, "note" is good to know.
        text: a line, with the number and what to do.
        more: further lines.
    """

    topic: str
    severity: Severity
    text: str
    more: tuple[str, ...] = ()


ORDER: tuple[Severity, ...] = ("error", "warning", "note")


def find(
    survey: Survey, near: Sequence[NearDuplicate], errors: LabelErrors | None, others: Sequence[DataFinding] = ()
) -> tuple[DataFinding, ...]:
    """Return everything that there is to say, `others` included, errors first."""
    found = [
        *others,
        *_of_training(survey),
        *_of_files(survey),
        *_of_equal(survey),
        *_of_near(survey, near),
        *_of_labels(survey, errors),
        *_of_classes(survey),
        *_of_levels(survey),
        *_of_sizes(survey),
        *_of_kinds(survey),
        *(DataFinding("layout", "note", note) for note in (*survey.listing.notes, *survey.split.notes)),
    ]
    return tuple(sorted(found, key=lambda finding: ORDER.index(finding.severity)))


def _of_training(survey: Survey) -> Iterator[DataFinding]:
    if survey.refused:
        yield DataFinding("training", "error", f"train stops with: {survey.refused}")
    if survey.reduced:
        size = "x".join(map(str, survey.decoding.size))
        yield DataFinding("training", "note", f"decoded pictures do not fit the cache: they were looked at at {size}")
    if survey.resolved is None:
        return
    for choice in survey.resolved.choices:
        if choice.setting == "flip" and not choice.value and not choice.reason.startswith("grey"):
            yield DataFinding("mirror", "note", choice.text)
    for notice in survey.resolved.notices:
        yield DataFinding("training", "warning" if notice.level == "warning" else "note", notice.text)


def _of_files(survey: Survey) -> Iterator[DataFinding]:
    problems = survey.problems
    if not problems:
        return
    reasons: dict[str, list[Problem]] = {}
    for problem in problems:
        # One reason whatever its numbers are, which are those of the example.
        reasons.setdefault(re.sub(r"\d[\d.,]*", "0", problem.reason), []).append(problem)
    ordered = sorted(reasons.values(), key=len, reverse=True)
    more = [f"{len(alike):,}: {alike[0].reason}, for example {alike[0].path}" for alike in ordered[:MOST_REASONS]]
    if len(ordered) > MOST_REASONS:
        more.append(f"and {plural(len(ordered) - MOST_REASONS, 'other reason')}")
    more += note_on_limit(problem.reason for problem in problems)
    yield DataFinding("files", "error", f"{plural(len(problems), 'image')} can't be read", tuple(more))


def _of_equal(survey: Survey) -> Iterator[DataFinding]:
    elsewhere = 0
    for equal in survey.equal:
        elsewhere += equal.images if equal.where != "blank" else 0
        yield DataFinding("duplicates", "warning" if equal.where == "blank" else "error", equal.text)
    same = survey.decoded.outcome.same
    if len(same) > elsewhere:
        row, first = same[0]
        names = survey.listing.names
        yield DataFinding(
            "duplicates",
            "note",
            f"{plural(len(same), 'image')} in all {'is a copy' if len(same) == 1 else 'are copies'} of another, pixel "
            f"for pixel, for example {names[row]} of {names[first]}; copies stay in one split where it is made here",
        )


def _of_near(survey: Survey, near: Sequence[NearDuplicate]) -> Iterator[DataFinding]:
    splits = list(survey.split.rows)
    found: dict[tuple[Severity, str], list[NearDuplicate]] = {}
    for pair in near:
        first, second = (splits[survey.split_of[row]] for row in (pair.first, pair.second))
        if first != second:
            # A split that is made here parts near-duplicates by chance: the files are not at fault.
            own = survey.part_of[pair.first] != survey.part_of[pair.second]
            found.setdefault(("error" if own else "warning", f"between {first} and {second}"), []).append(pair)
        if survey.label_of(pair.first) != survey.label_of(pair.second):
            found.setdefault(("error", "of two classes"), []).append(pair)
        elif first == second:
            found.setdefault(("note", "within a split and a class"), []).append(pair)
    names = survey.listing.names
    for (severity, where), pairs in found.items():
        mirrored = sum(pair.mirrored for pair in pairs)
        of_them = f" ({mirrored:,} mirrored)" if mirrored else ""
        flatter = "; scores on them flatter" if "between" in where else ""
        yield DataFinding(
            "duplicates",
            severity,
            f"{plural(len(pairs), 'pair')} of near-duplicates{of_them} {where}{flatter}; the most similar are "
            f"{names[pairs[0].first]} and {names[pairs[0].second]}",
        )


def _of_labels(survey: Survey, errors: LabelErrors | None) -> Iterator[DataFinding]:
    if errors is None:
        return
    found = f"a network that was trained on other images is right on {percent(errors.accuracy)}"
    if not errors.likely:
        yield DataFinding("labels", "note", f"no label is likely wrong ({found})")
        return
    first = errors.likely[0]
    count = len(errors.likely)
    yield DataFinding(
        "labels",
        "warning",
        f"{plural(count, 'label')} {'is' if count == 1 else 'are'} likely wrong ({found}); the likeliest is "
        f"{survey.listing.names[first.row]}: labelled {first.given!r}, predicted {first.other!r}",
    )


def training_counts(survey: Survey) -> Labels:
    """Return the number of training images of each class, (classes,)."""
    rows = next(iter(survey.split.rows.values()), np.arange(0))
    return survey.listing.class_counts(rows)


def _of_classes(survey: Survey) -> Iterator[DataFinding]:
    classes = survey.listing.classes
    if not classes:
        return
    if alike := look_alikes_text(classes):
        yield DataFinding("classes", "warning", alike)
    counts = training_counts(survey)
    small = [repr(name) for name, count in zip(classes, counts.tolist(), strict=True) if count < FEW_IMAGES]
    if small:
        yield DataFinding(
            "classes", "warning", f"fewer than {FEW_IMAGES} training images of {few(small)}: their scores are chance"
        )
    least, most = int(np.argmin(counts)), int(np.argmax(counts))
    ratio = counts[most] / max(1, counts[least])
    if ratio >= UNEQUAL:
        yield DataFinding(
            "classes",
            "warning" if ratio >= VERY_UNEQUAL else "note",
            f"{classes[most]!r} has {counts[most]:,} training images and {classes[least]!r} {counts[least]:,}: "
            f"look at balanced accuracy, or train with {settings_text(class_weights='balanced')}",
        )


def _of_levels(survey: Survey) -> Iterator[DataFinding]:
    for note in notes_on_levels(survey.decoded):
        yield DataFinding("levels", "warning", note)


def _of_sizes(survey: Survey) -> Iterator[DataFinding]:
    if survey.headers is None or survey.resolved is None:
        return
    height, width = survey.resolved.decoding.size
    heights, widths = (side[survey.rows].astype(float) for side in (survey.headers.heights, survey.headers.widths))
    read = heights > 0
    heights, widths = heights[read], widths[read]
    if not len(heights):
        return
    size = f"{height}x{width}"
    shape = (widths / heights) / (width / height)
    cut = int((np.minimum(shape, 1 / shape) < 1 - MUCH_CUT).sum())
    if survey.decoding.resize_mode == "crop" and cut > MANY_CUT * len(heights):
        yield DataFinding(
            "sizes",
            "note",
            f"{plural(cut, 'image')} {'loses' if cut == 1 else 'lose'} more than a quarter of the picture to the crop "
            f"at {size}: {settings_text(resize_mode='letterbox')} keeps all of it",
        )
    enlarged = int((np.maximum(height / heights, width / widths) >= ENLARGED).sum())
    if enlarged:
        smallest = int(np.argmin(heights * widths))
        yield DataFinding(
            "sizes",
            "note",
            f"{plural(enlarged, 'image')} {'is' if enlarged == 1 else 'are'} enlarged to {size}, from "
            f"{heights[smallest]:.0f}x{widths[smallest]:.0f} on",
        )


def _of_kinds(survey: Survey) -> Iterator[DataFinding]:
    """Note where the format of a file gives its class away: a network may learn that instead of the picture."""
    listing = survey.listing
    if survey.headers is None or listing.targets is not None or not listing.classes:
        return
    rows = survey.rows
    kinds, labels = survey.headers.table[rows, 0], listing.labels[rows]
    if len(rows) < 2 or len(np.unique(kinds)) < 2:
        return
    pairs = Counter(zip(kinds.tolist(), labels.tolist(), strict=True))
    best: dict[int, int] = {}
    for (kind, _), count in pairs.items():
        best[kind] = max(best.get(kind, 0), count)
    right, usual = sum(best.values()) / len(rows), float(np.bincount(labels).max()) / len(rows)
    if right - usual >= GIVEN_AWAY:
        yield DataFinding(
            "files",
            "warning",
            f"the format and the kind of pixels alone tell the class of {percent(right, decimals=0)} of the images "
            f"({percent(usual, decimals=0)} by always naming the largest class): a network can learn that instead",
        )
