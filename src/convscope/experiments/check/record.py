"""The record of a check: what was found, its tables, its page with contact sheets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np

from convscope.data.near_duplicates import NearDuplicate
from convscope.experiments.check.findings import DataFinding
from convscope.experiments.check.label_errors import LabelErrors
from convscope.experiments.check.sheets import contact_sheets, equal_gallery, label_gallery, near_gallery
from convscope.experiments.check.survey import Survey
from convscope.report.document import Callout, Document, Fact, Facts, Section, dated_footer, sentence
from convscope.report.documented import Documented
from convscope.report.json_values import json_dict
from convscope.report.printable import printable
from convscope.report.short_repr import named_folder, short_path
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import percent, plural

# Rows of a table, and pairs or problems in the JSON.
MOST_CLASSES, MOST_KINDS, MOST_LISTED = 40, 12, 1000


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DataCheck(Documented):
    """Everything that `convscope check` found.

    Args:
        findings: errors first, then warnings, then notes.
        near_duplicates: the pairs of rows (see `names`) that look the same, the most similar first; None where they
            were not looked for.
        label_errors: the images by how likely their label is wrong; None where they were not looked for.
    """

    findings: tuple[DataFinding, ...]
    _survey: Survey = field(compare=False)
    near_duplicates: tuple[NearDuplicate, ...] | None = None
    label_errors: LabelErrors | None = field(default=None, compare=False)

    @property
    def errors(self) -> int:
        """The number of findings that are errors: with these, `--strict` exits 1."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; empty where the images lie in no class folders."""
        return self._survey.listing.classes

    @property
    def names(self) -> Sequence[str]:
        """The images' paths or names, by the rows of `near_duplicates` and `label_errors`."""
        return self._survey.listing.names

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of readable images by split and class."""
        counts = {}
        for split, rows in self._survey.split.rows.items():
            of_class = self._survey.listing.class_counts(rows) if self.classes else np.array([])
            counts[split] = dict(zip(self.classes, map(int, of_class), strict=True))
        return counts

    @property
    def images(self) -> dict[str, int]:
        """The number of readable images by split."""
        return {split: len(rows) for split, rows in self._survey.split.rows.items()}

    def headline(self) -> str:
        """Return the source, its size, and how much is wrong with it."""
        found = Counter(finding.severity for finding in self.findings)
        wrong = f"{plural(found['error'], 'error')}, {plural(found['warning'], 'warning')}"
        source = short_path(named_folder(self._survey.listing.source))
        return f"{source}: {plural(sum(self.images.values()), 'image')}, {self._classes()}: {wrong}"

    def document(self) -> Document:
        """Return what is shown, without the contact sheets, which `to_html` adds."""
        survey = self._survey
        blocks = [
            *([Section("Classes", (self.class_table(),))] if self.classes else []),
            Section("Files", (self.file_table(),)),
            *equal_gallery(survey),
            *near_gallery(survey, self.near_duplicates or ()),
            *label_gallery(survey, self.label_errors),
        ]
        return Document(
            f"Check of {PurePath(named_folder(survey.listing.source)).name or survey.listing.source}",
            tuple(blocks),
            lead=f"{named_folder(survey.listing.source)}, read as {survey.listing.kind}"
            + (f", layout {survey.listing.layout}." if survey.listing.layout != "none" else "."),
            summary=(
                Facts(tuple(self._facts())),
                *(_callout(finding) for finding in self.findings),
            ),
            footer=dated_footer(),
        )

    def to_html(self) -> str:
        """Return a self-contained HTML page with a contact sheet of each class, of some megabytes at most."""
        from dataclasses import replace

        from convscope.report.html import document_page

        document = self.document()
        return document_page(replace(document, blocks=(*document.blocks, *contact_sheets(self._survey))))

    def class_table(self) -> Table:
        """Return the classes with their images by split, the largest first; of many the largest and the smallest."""
        counts, splits = self.counts, list(self.images)
        totals = {name: sum(counts[split][name] for split in splits) for name in self.classes}
        ordered = sorted(self.classes, key=lambda name: -totals[name])
        everything = sum(self.images.values())
        columns = [Column("class"), *(Column(split, numeric=True) for split in splits)]
        columns += [Column("share", numeric=True), Column("median size", page_only=True)]
        rows = [Row.of(self._class_row(name, counts, totals[name], everything)) for name in ordered]
        if len(rows) > MOST_CLASSES:
            half = MOST_CLASSES // 2
            left_out = f"... {len(rows) - MOST_CLASSES:,} more"
            rows = [*rows[:half], Row.of([left_out, *[""] * (len(columns) - 1)], "faint"), *rows[-half:]]
        total: list[Cell] = [plural(len(self.classes), "class", "classes")]
        total += [(f"{count:,}", count) for count in self.images.values()]
        return Table(tuple(columns), (*rows, Row.of([*total, "", ""], "total")))

    def _class_row(self, name: str, counts: dict[str, dict[str, int]], total: int, everything: int) -> list[Cell]:
        row: list[Cell] = [name, *((f"{counts[split][name]:,}", counts[split][name]) for split in counts)]
        row.append((percent(total / max(1, everything)), total / max(1, everything)))
        headers, listing = self._survey.headers, self._survey.listing
        if headers is None:
            return [*row, "x".join(map(str, listing.image_size))]
        label = self.classes.index(name)
        shows = listing.labels == label if listing.targets is None else listing.targets[:, label] > 0
        sizes = headers.table[shows & (headers.heights > 0), 1:]
        return [*row, "x".join(f"{side:.0f}" for side in np.median(sizes, axis=0)) if len(sizes) else ""]

    def file_table(self) -> Table:
        """Return the formats of the files with their number, the least, median and largest size, and the levels."""
        headers, levels = self._survey.headers, self._survey.levels
        columns = [Column("files and pixels"), Column("", numeric=True)]
        rows: list[tuple[Cell, ...]] = []
        if headers is None:
            size = "x".join(map(str, self._survey.listing.image_size))
            images = sum(self.images.values())
            rows.append((f"{self._survey.listing.kind}, {size}", (f"{images:,}", images)))
        else:
            rows += [(kind, (f"{n:,}", n)) for kind, n in list(headers.kinds().items())[:MOST_KINDS]]
        rows += [(f"size, {name}", size) for name, size in self._sizes().items()]
        if levels:
            rows.append(("levels, as decoded", f"{levels['least']:.0f} to {levels['greatest']:.0f}"))
            rows.append(("their mean and deviation", f"{levels['mean']:.0f} ± {levels['std']:.0f}"))
        if self._survey.problems:
            unreadable = len(self._survey.problems)
            rows.append(("not readable", (f"{unreadable:,}", unreadable)))
        return Table.of(columns, rows)

    def _sizes(self) -> dict[str, str]:
        headers = self._survey.headers
        if headers is None or not (headers.heights > 0).any():
            return {}
        sizes = headers.table[headers.heights > 0, 1:].astype(np.int64)
        area = np.argsort(sizes.prod(1), kind="stable")
        found = {"smallest": area[0], "median": area[len(area) // 2], "largest": area[-1]}
        return {name: "x".join(map(str, sizes[place].tolist())) for name, place in found.items()}

    def _classes(self) -> str:
        return plural(len(self.classes), "class", "classes") if self.classes else "no classes"

    def _facts(self) -> Iterator[Fact]:
        images = sum(self.images.values())
        splits = ", ".join(f"{count:,} {split}" for split, count in self.images.items())
        yield Fact("images", f"{images:,}", images, f"{images:,}: {splits}")
        yield Fact("classes", f"{len(self.classes):,}", len(self.classes))
        yield Fact("not readable", f"{len(self._survey.problems):,}", len(self._survey.problems))
        copies = len(self._survey.decoded.outcome.same)
        yield Fact("equal pictures", f"{copies:,}", copies)
        if self.near_duplicates is not None:
            yield Fact("near-duplicates", f"{len(self.near_duplicates):,}", len(self.near_duplicates))
        if self.label_errors is not None:
            yield Fact("likely label errors", f"{len(self.label_errors.likely):,}", len(self.label_errors.likely))
        if self._survey.resolved is not None:
            size = "x".join(map(str, self._survey.resolved.decoding.size))
            yield Fact("trained on by default", f"{self._survey.resolved.model}, {size}")

    def to_dict(self) -> dict[str, Any]:
        """Return the check as JSON's types; lists of images end after the first 1,000.

        Keys:
            source: what was looked at.
            kind: how it is read, such as folder, table or shards.
            layout: what its folders are.
            errors: the number of findings that are errors.
            findings: topic, severity, text and more of each, errors first.
            classes: their names.
            images: the number of readable images by split.
            counts: the number of readable images by split and class.
            formats: the number of files of each format and kind of pixels; null where there are no files.
            sizes: height x width of the smallest, the median and the largest image.
            levels: least, greatest, mean and std of the decoded pixels, of a sample.
            not_readable: path and reason of each file.
            equal_pictures: pairs of names with the same pixels.
            near_duplicates: first, second, mirrored and difference of each pair; null where none were looked for.
            label_errors: image, given, predicted and margin of each, the likeliest first; null likewise.
        """
        survey, names = self._survey, self._survey.listing.names
        near, errors = self.near_duplicates, self.label_errors
        return json_dict(
            {
                "source": survey.listing.source,
                "kind": survey.listing.kind,
                "layout": survey.listing.layout,
                "errors": self.errors,
                "findings": [finding._asdict() for finding in self.findings],
                "classes": self.classes,
                "images": self.images,
                "counts": self.counts,
                "formats": None if survey.headers is None else survey.headers.kinds(),
                "sizes": self._sizes(),
                "levels": survey.levels,
                "not_readable": [{"path": p.path, "reason": p.reason} for p in survey.problems[:MOST_LISTED]],
                "equal_pictures": [[names[a], names[b]] for a, b in survey.decoded.outcome.same[:MOST_LISTED]],
                "near_duplicates": None
                if near is None
                else [
                    {**pair._asdict(), "first": names[pair.first], "second": names[pair.second]}
                    for pair in near[:MOST_LISTED]
                ],
                "label_errors": None
                if errors is None
                else [
                    {"image": names[e.row], "given": e.given, "predicted": e.other, "margin": e.margin}
                    for e in errors.likely[:MOST_LISTED]
                ],
            }
        )


def _callout(finding: DataFinding) -> Callout:
    """Return a finding as it is shown: a line each, whatever is in the names."""
    return Callout(finding.severity, sentence(printable(finding.text)), tuple(map(printable, finding.more)))
