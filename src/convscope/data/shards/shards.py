"""WebDataset shards as a data source: plain tar archives of KEY.jpg (png, webp, ...) beside KEY.cls or KEY.json.

    shards/  dataset.json  train-000000.tar  train-000001.tar  val-000000.tar
    train-000000.tar:  00000000_rose.jpg  00000000_rose.cls  00000001_tulip.jpg  00000001_tulip.cls  ...

A key is a member's path up to the first dot of its name. KEY.cls holds a class's number or name, KEY.json an object
with `label` (or `labels`, for several). KEY.group, where there is one, is what the image belongs to: no split parts the
images of one group. Archives are indexed and never unpacked: each image is read where it lies.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from convscope.data.layout import SPLITS
from convscope.data.listing import MISSING_SHARE, WHOLE, ImageGroups, ListedFile, Listing, class_order, identity_of
from convscope.data.records import SEVERAL, Problem
from convscope.data.shards.missing_shards import note_what_is_missing
from convscope.data.shards.shard_labels import (
    GROUP,
    SEVERAL_LABELS,
    group_of,
    label_of,
    number_of,
    split_name,
    stated_classes,
)
from convscope.data.shards.shard_names import Shard
from convscope.data.shards.tar_index import Member, ShardReader, index_tar, read_member
from convscope.data.sources.arrays import found_file
from convscope.data.sources.measure import ending_of, typical_of
from convscope.data.sources.walk import IMAGE_ENDINGS, is_hidden
from convscope.errors import DataError, did_you_mean
from convscope.files.regular import UnreadableError
from convscope.report.units import plural

KIND = "shards"


@dataclass(frozen=True, slots=True)
class _ShardSample:
    """One labelled image: its offset, and its labels as names or numbers of classes."""

    shard: str
    member: Member
    stated: tuple[str | int, ...]
    group: str | None


@dataclass
class _SplitContent:
    """The content of the archives of one split; `images` counts all images, including the `unlabelled` ones.

    `by_key` has the first sample of each key and size in bytes: each archive may count its keys from 0.
    """

    images: int = 0
    samples: list[_ShardSample] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unlabelled: list[Problem] = field(default_factory=list)
    repeated: int = 0
    by_key: dict[tuple[str, int], _ShardSample] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)


def list_shards(source: str, shards: list[Shard], *, to_learn: bool = True, earlier: tuple[str, ...] = ()) -> Listing:
    """Return the listing of some shards, split after split; raises DataError if it can't be trained on.

    Where nothing is to be learned from it, a class may have no image, and there may be one class alone. `earlier` are
    the classes of a run, in whose order they are listed where they are the same and no file beside the shards says.
    """
    parts = _require_parts(source, shards)
    found: dict[str, _SplitContent] = {split: _SplitContent() for split in (WHOLE, *SPLITS) if split in parts}
    for shard in shards:
        _index(shard, found[shard.split])
    images_of = {split: part.images for split, part in found.items()}
    notes = [*_notes(shards, found), *note_what_is_missing(source, shards, images_of)]
    images = sum(images_of.values())
    unlabelled = [problem for part in found.values() for problem in part.unlabelled]
    if any(part.samples for part in found.values()):
        _check_labelled(source, unlabelled, images)
    root = Path(shards[0].path).parent
    listed = stated_classes(root) or stated_classes(root.parent)
    classes, several = _classes(source, listed, found, to_learn=to_learn, earlier=earlier)
    others: list[Problem] = []
    labelled = _labelled(found, classes, others, from_file=listed is not None)
    unlabelled += others
    places, counts = labelled.places, labelled.counts
    problems = [*(problem for part in found.values() for problem in part.problems), *unlabelled]
    if not places:
        first = f"; the first is {problems[0].path}: {problems[0].reason}" if problems else ""
        raise DataError(f"{source} holds no labelled image (KEY.jpg beside KEY.cls or KEY.json){first}")
    _check_labelled(source, unlabelled, images)
    if not classes:
        raise DataError(f"{source}: no image has a label: each list of labels is empty")
    labels = np.array([SEVERAL if several else row[0] for row in labelled.rows], np.int64)
    targets = None
    if several:
        targets = np.zeros((len(places), len(classes)), np.uint8)
        for row, known in enumerate(labelled.rows):
            targets[row, known] = 1
    learned = counts[next(iter(counts))]
    seen = np.bincount(labels[:learned], minlength=len(classes)) if targets is None else targets[:learned].sum(0)
    if to_learn and not seen.all():
        missing = classes[int(np.argmin(seen))]
        raise DataError(
            f"{source}: no image that is learned from shows the class {missing!r}: add some, or take it out"
        )
    files = [found_file(Path(shard.path)) for shard in shards]
    files = [ListedFile(str(Path(file.path).absolute()), file.size, file.time) for file in files]
    number_of_shard = {shard.path: number for number, shard in enumerate(shards)}
    size, channels = typical_of(places, lambda place: read_member(*place))
    return Listing(
        source=source,
        kind=KIND,
        classes=classes,
        parts=counts,
        labels=labels,
        names=[f"{shard}:{member.name}" for shard, member in places],
        read=ShardReader(places),
        # Labels stand in the archives: a change of the class list alone changes no pixel, but which images are taken.
        identity=identity_of(os.sep, files) + "".join(f"#{Path(other.path).absolute()}" for other in others),
        image_size=size,
        channels=channels,
        problems=tuple(problems),
        notes=tuple(notes),
        targets=targets,
        groups=_groups(source, labelled.groups),
        archives=np.array([number_of_shard[shard] for shard, _ in places], np.int64),
    )


def _require_parts(source: str, shards: list[Shard]) -> set[str]:
    """Return the splits that shards are named for; raises DataError where some name none, or none is for training."""
    parts = {shard.split for shard in shards}
    if WHOLE in parts and len(parts) > 1:
        other = next(shard for shard in shards if shard.split == WHOLE)
        raise DataError(
            f"{source}: {Path(other.path).name} names no split and others do: "
            "begin every name with train-, val- or test-"
        )
    if WHOLE not in parts and "train" not in parts:
        raise DataError(
            f"{source} has shards of {' and '.join(sorted(parts))} but none of train: name them train-*.tar"
        )
    return parts


@dataclass(frozen=True)
class _Labelled:
    """Where each labelled image is stored, the places of its labels among the classes, its group; images by split."""

    places: list[tuple[str, Member]]
    rows: list[list[int]]
    groups: list[str | None]
    counts: dict[str, int]


def _labelled(
    found: dict[str, _SplitContent], classes: tuple[str, ...], others: list[Problem], *, from_file: bool
) -> _Labelled:
    """Return the images whose labels are classes; those of other labels are added to `others`."""
    labelled = _Labelled([], [], [], {})
    numbers = {name: number for number, name in enumerate(classes)}
    for split, part in found.items():
        start = len(labelled.places)
        for sample in part.samples:
            meant = [number_of(stated, numbers, from_file=from_file) for stated in sample.stated]
            known = [label for label in meant if label is not None]
            if len(known) != len(meant):
                label = sample.stated[meant.index(None)]
                reason = f"its label {label!r} is none of the {len(classes)} classes"
                others.append(Problem(_name(sample), reason + did_you_mean(str(label), classes).rstrip()))
                continue
            labelled.places.append((sample.shard, sample.member))
            labelled.rows.append(known)
            labelled.groups.append(sample.group)
        labelled.counts[split] = len(labelled.places) - start
    return labelled


def _groups(source: str, groups: list[str | None]) -> ImageGroups | None:
    """Return the groups of the images; raises DataError if some alone have one."""
    stated = [group for group in groups if group is not None]
    if not stated:
        return None
    if len(stated) < len(groups):
        without = plural(len(groups) - len(stated), "image")
        raise DataError(f"{source}: {without} of {len(groups):,} have no KEY.{GROUP}, and the others do")
    return ImageGroups.of(stated, f"KEY.{GROUP}")


def _index(shard: Shard, found: _SplitContent) -> None:
    """Add one archive's labelled images."""
    index = index_tar(shard.path)
    for name, reason in index.refused:
        ending = ending_of(name.rpartition(":")[2])
        if ending in IMAGE_ENDINGS:
            found.problems.append(Problem(name, reason))
        else:
            found.others[f".{ending}"] += 1
    by_key: dict[str, dict[str, Member]] = {}
    for member in index.members:
        if any(is_hidden(part) for part in member.name.split("/") if part not in ("", ".")):
            continue  # macOS's tar adds ._0001.jpg to 0001.jpg
        key, ending = split_name(member.name)
        parts = by_key.setdefault(key, {})
        if ending in parts and not _is_image(ending):
            found.repeated += 1
        elif ending in parts:
            found.problems.append(Problem(_shown(shard.path, member), "its name is there already: the first counts"))
        else:
            parts[ending] = member
    for key, parts in by_key.items():
        images = {ending: member for ending, member in parts.items() if _is_image(ending)}
        if not images:
            found.others.update(f".{ending}" for ending in parts)
            continue
        found.images += 1
        first = next(iter(images.values()))
        shown = _shown(shard.path, first)
        if len(images) > 1:
            found.problems.append(Problem(shown, f"its key has {len(images)} images ({', '.join(images)}), not one"))
        elif (other := found.by_key.get((key, first.size))) and _are_equal(shard.path, first, other):
            found.problems.append(Problem(shown, "its key and its bytes are there already, in this split"))
        else:
            try:
                stated, group = label_of(shard.path, parts), group_of(shard.path, parts)
            except UnreadableError as reason:
                found.unlabelled.append(Problem(shown, str(reason)))
                continue
            found.samples.append(_ShardSample(shard.path, first, stated, group))
            found.by_key.setdefault((key, first.size), found.samples[-1])


def _are_equal(shard: str, member: Member, other: _ShardSample) -> bool:
    """Return whether a member has the bytes of another image."""
    try:
        return read_member(shard, member) == read_member(other.shard, other.member)
    except UnreadableError:  # above the limit of a file
        return False


def _is_image(ending: str) -> bool:
    return ending_of(f"x.{ending}") in IMAGE_ENDINGS


def _check_labelled(shown: str, unlabelled: list[Problem], images: int) -> None:
    """Raise DataError if more than a few images have no label, or one that is no class."""
    if len(unlabelled) > MISSING_SHARE * images:
        first = unlabelled[0]
        raise DataError(
            f"{shown}: {len(unlabelled):,} of {plural(images, 'image')} have no label that can be used; the first is "
            f"{first.path}: {first.reason}; label them, or take them out"
        )


def _classes(
    shown: str,
    from_file: list[str] | None,
    found: dict[str, _SplitContent],
    *,
    to_learn: bool,
    earlier: tuple[str, ...],
) -> tuple[tuple[str, ...], bool]:
    """Return the classes in the order of their numbers, and whether images have several."""
    kinds = {sample.stated[:1] == (SEVERAL_LABELS,) for part in found.values() for sample in part.samples}
    if len(kinds) > 1:
        raise DataError(f"{shown}: some images have one label and others a list of labels: use one form")
    several = kinds == {True}
    learned = found[next(iter(found))]
    if several:
        for part in found.values():
            part.samples = [replace(sample, stated=sample.stated[1:]) for sample in part.samples]
    if from_file is not None:
        classes = tuple(from_file)
    else:
        classes = class_order({str(word) for sample in learned.samples for word in sample.stated}, earlier=earlier)
    if to_learn and len(classes) == 1:
        raise DataError(f"{shown} has one class only, {classes[0]!r}: a classifier needs two or more")
    return classes, several


def _notes(shards: list[Shard], found: dict[str, _SplitContent]) -> list[str]:
    others: Counter[str] = sum((part.others for part in found.values()), Counter())
    notes = [plural(len(shards), "shard")]
    if others:
        kinds = ", ".join(sorted(others)[:5])
        count = sum(others.values())
        belong = "belongs to no image and was" if count == 1 else "belong to no image and were"
        notes.append(f"{plural(count, 'member')} ({kinds}) {belong} not read")
    if repeated := sum(part.repeated for part in found.values()):
        notes.append(f"{plural(repeated, 'member')} beside images came a second time: the first counts")
    return notes


def _shown(shard: str, member: Member) -> str:
    return f"{shard}:{member.name}"


def _name(sample: _ShardSample) -> str:
    return _shown(sample.shard, sample.member)
