"""A CSV table as a data source: a row for each image, with its label, its labels, or a 0 or 1 for each class.

image,labels,split
a.png,cat|dog,train
b.png,,test
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convscope.data.groups import likely_column
from convscope.data.layout import SPLIT_NAMES, SPLITS
from convscope.data.listing import MISSING_SHARE, WHOLE, ImageGroups, ListedFile, Listing, identity_of
from convscope.data.records import SEVERAL, Problem, Targets
from convscope.data.source_options import AS_FOUND, SourceOptions
from convscope.data.sources.columns import SheetColumns, find_columns
from convscope.data.sources.image_finder import ImageFinder, has_image_ending, joined
from convscope.data.sources.label_columns import IMAGE, MANY_LABELS, ONE_LABEL
from convscope.data.sources.labelling import EMPTY, Labelling, conflict, read_labels
from convscope.data.sources.measure import FileReader, typical_image
from convscope.data.sources.near_file import near_file
from convscope.data.sources.sheet import ENDINGS, Sheet, SheetRow, plain_name, read_sheet
from convscope.data.sources.walk import is_hidden
from convscope.errors import DataError, did_you_mean
from convscope.files.regular import explain_os_error, kind_of_file
from convscope.report.printable import few
from convscope.report.units import plural
from convscope.report.usage import setting_name

KIND = "table"


@dataclass(frozen=True)
class _TableEntry:
    """One image of the table: its row, its file, its classes and its split."""

    row: SheetRow
    file: ListedFile
    shown: frozenset[str]
    split: str


def is_table(path: Path) -> bool:
    """Return whether a path has the suffix of a table, and is no folder."""
    return path.suffix.lower() in ENDINGS and not path.is_dir()


def find_tables(folder: Path) -> list[Path]:
    """Return the tables directly in a folder, sorted by name."""
    return sorted(path for path in folder.iterdir() if is_table(path) and not is_hidden(path.name))


def list_table(
    source: str, *, options: SourceOptions = AS_FOUND, to_learn: bool = True, earlier: tuple[str, ...] = ()
) -> Listing:
    """Return the listing of a table, split after split; raises DataError if it can't be trained on.

    Without `to_learn` there may be only one class. `earlier` are the classes of a run, in whose
    order they are listed where they are the same.
    """
    sheet, columns, finder = find_columns(read_sheet(source), options, earlier=earlier)
    labelling = read_labels(sheet, columns, options, to_learn=to_learn, earlier=earlier)
    notes = [*_understood(sheet, columns, finder, Path(source).parent), *labelling.notes]
    problems: list[Problem] = []
    entries = _entries(sheet, columns, labelling, finder, problems, notes)
    parts = [WHOLE] if columns.split is None else [split for split in SPLITS if any(e.split == split for e in entries)]
    if "train" not in (WHOLE, *parts) and WHOLE not in parts:
        raise DataError(f"{sheet.path}: no row has the split train: what is learned from is named so")
    ordered = [entry for part in parts for entry in entries if entry.split == part]
    _check_learned(sheet, labelling, ordered, parts[0])
    notes += _missing_classes(labelling, ordered, parts)
    paths = [entry.file.path for entry in ordered]
    # Images may lie anywhere: their whole paths count.
    here = str(Path().absolute())
    files = [entry.file._replace(path=joined(here, entry.file.path)) for entry in ordered]
    several = labelling.several
    label_of = {name: label for label, name in enumerate(labelling.classes)}
    size, channels = typical_image(paths)
    return Listing(
        source=source,
        kind=KIND,
        classes=labelling.classes,
        parts={part: sum(entry.split == part for entry in ordered) for part in parts},
        labels=np.array([SEVERAL if several else label_of[next(iter(e.shown))] for e in ordered], np.int64),
        names=paths,
        read=FileReader(paths),
        identity=identity_of(os.sep, files),
        image_size=size,
        channels=channels,
        problems=tuple(problems),
        notes=tuple(notes),
        targets=_targets(ordered, label_of) if several else None,
        groups=_groups(sheet, columns, ordered),
    )


def _understood(sheet: Sheet, columns: SheetColumns, finder: ImageFinder, folder: Path) -> Iterator[str]:
    """Yield a note on what was found out of a table that is not as its columns' names say, and on likely groups."""
    image = sheet.header[columns.image]
    labels = [sheet.header[place] for place in columns.labels or columns.classes]
    usual = {*ONE_LABEL, *MANY_LABELS}
    by_name = columns.classes or all(plain_name(name) in usual for name in labels)
    elsewhere = [each for each in finder.folders if Path(each) != folder]
    bare = finder.ending or not has_image_ending(sheet.rows[0].cells[columns.image])
    plain = not elsewhere and not bare and not finder.lead
    if not (sheet.has_header and plain_name(image) in IMAGE and by_name and plain):
        said = f"images by {image}" if sheet.has_header else f"no header, images by column {image}"
        if elsewhere:
            said += f" in {few((os.path.relpath(each, folder) for each in elsewhere), most=3)}"
            said += " and the folders in it" if finder.below else ""
        if finder.lead:
            said += f" without {finder.lead}"
        if bare:
            said += f", with {finder.ending}" if finder.ending else ", with their ending"
        yield f"table: {said}; {'a class for each of' if columns.classes else 'labels by'} {few(labels)}"
    if columns.group is None and columns.split is None:
        notes = (likely_column(name, sheet.column(sheet.header.index(name))) for name in columns.unread)
        yield from (note for note in notes if note)


def _groups(sheet: Sheet, columns: SheetColumns, entries: list[_TableEntry]) -> ImageGroups | None:
    """Return the groups of the images; raises DataError for a row without one."""
    if columns.group is None:
        return None
    name = sheet.header[columns.group]
    empty = [entry.row.number for entry in entries if entry.row.cells[columns.group].casefold() in EMPTY]
    if empty:
        more = f" (and {plural(len(empty) - 1, 'more row')})" if len(empty) > 1 else ""
        raise DataError(f"{sheet.path}: row {empty[0]} has no {name}{more}: write one, so that no group is parted")
    return ImageGroups.of([entry.row.cells[columns.group] for entry in entries], name)


def _targets(entries: list[_TableEntry], label_of: dict[str, int]) -> Targets:
    """Return uint8 (images, classes): 1 if the image has the label."""
    targets = np.zeros((len(entries), len(label_of)), np.uint8)
    for row, entry in enumerate(entries):
        targets[row, [label_of[name] for name in entry.shown]] = 1
    return targets


def _entries(
    sheet: Sheet,
    columns: SheetColumns,
    labelling: Labelling,
    finder: ImageFinder,
    problems: list[Problem],
    notes: list[str],
) -> list[_TableEntry]:
    """Return every image once, in the table's order; missing files are added to the problems."""
    known: dict[tuple[int, int], _TableEntry] = {}
    lost: list[tuple[SheetRow, str, str]] = []
    again, renamed = 0, list[str]()
    splits = _splits(sheet, columns)
    for row, shown, split in zip(sheet.rows, labelling.shown, splits, strict=True):
        if not row.cells[columns.image]:
            raise DataError(f"{sheet.path}: row {row.number} names no image")
        path, status = finder.find(row.cells[columns.image])
        if isinstance(status, OSError):
            lost.append((row, path, explain_os_error(status)))
            continue
        if not stat.S_ISREG(status.st_mode):
            lost.append((row, path, f"not a regular file but {kind_of_file(status.st_mode)}"))
            continue
        if has_image_ending(name := row.cells[columns.image]) and not path.endswith(name.rpartition(".")[2]):
            renamed.append(path)
        entry = _TableEntry(row, ListedFile(path, status.st_size, status.st_mtime_ns), shown, split)
        # By the file itself: a link to an image is that image.
        first = known.setdefault((status.st_dev, status.st_ino), entry)
        if first is not entry:
            if (first.shown, first.split) != (shown, split):
                raise conflict(sheet, first.row, row)
            again += 1
    if len(lost) > MISSING_SHARE * len(sheet.rows):
        row, lost_path, reason = lost[0]
        reason += near_file(sheet.path, lost_path)
        raise DataError(
            f"{sheet.path}: {len(lost):,} of {len(sheet.rows):,} images can't be opened; the first is in row "
            f"{row.number}, {lost_path}: {reason} (names begin at the table's folder, at "
            f"{setting_name('image_folder')} or at /, and end as they stand or with {setting_name('image_ending')})"
        )
    problems += [Problem(path, f"row {row.number}: {reason}") for row, path, reason in lost]
    if renamed:
        does = "file ends" if len(renamed) == 1 else "files end"
        notes.append(f"{len(renamed):,} {does} otherwise than the table says, like {Path(renamed[0]).name}")
    if again:
        notes.append(f"an image named a second time, with the same labels, counts once: {plural(again, 'row')}")
    return list(known.values())


def _splits(sheet: Sheet, columns: SheetColumns) -> list[str]:
    """Return the split of each row; WHOLE if the table has none."""
    if columns.split is None:
        return [WHOLE] * len(sheet.rows)
    found = []
    for row in sheet.rows:
        cell = row.cells[columns.split]
        split = SPLIT_NAMES.get(cell.casefold())
        if split is None:
            raise DataError(
                f"{sheet.path}: row {row.number} has the split {cell!r}: it is one of train, val, test."
                f"{did_you_mean(cell, SPLIT_NAMES)}"
            )
        found.append(split)
    return found


def _check_learned(sheet: Sheet, labelling: Labelling, entries: list[_TableEntry], learned: str) -> None:
    """Raise DataError for a class without training images."""
    there = frozenset[str]().union(*(entry.shown for entry in entries if entry.split == learned))
    if strangers := [name for name in labelling.classes if name not in there]:
        holders = [split for split in SPLITS if any(strangers[0] in e.shown for e in entries if e.split == split)]
        shown = ", ".join(strangers[:5])
        if not holders:
            raise DataError(f"{sheet.path}: none of the images of {shown} can be opened")
        near = did_you_mean(strangers[0], there)
        raise DataError(f"{sheet.path}: {holders[0]} shows classes that train does not: {shown}.{near}")


def _missing_classes(labelling: Labelling, entries: list[_TableEntry], parts: list[str]) -> Iterator[str]:
    for part in parts[1:]:
        there = frozenset[str]().union(*(entry.shown for entry in entries if entry.split == part))
        if missing := [name for name in labelling.classes if name not in there]:
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            yield f"{part} has no images of {', '.join(missing[:5])}{more}"
