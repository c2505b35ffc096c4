"""WebDataset shards as a data source: plain tar archives of KEY.jpg (png, webp, ...) beside KEY.cls or KEY.json.

    shards/  dataset.json  train-000000.tar  train-000001.tar  val-000000.tar
    train-000000.tar:  00000000_rose.jpg  00000000_rose.cls  00000001_tulip.jpg  00000001_tulip.cls  ...

A key is a member's path up to the first dot of its name. KEY.cls holds a class's number or name, KEY.json an object
with `label` (or `labels`, for several). Archives are indexed and never unpacked: each image is read where it lies.
"""

from __future__ import annotations

import glob
import itertools
import json
import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from convscope.data.arrays import found_file
from convscope.data.decode import FILE_LIMIT, decode_bytes, explain_os_error
from convscope.data.folder import SPLIT_NAMES
from convscope.data.listing import WHOLE, Found, Listing, identity_of
from convscope.data.measure import ending_of, typical_of
from convscope.data.records import SEVERAL, SPLITS, Decoding, Pixels, Problem
from convscope.data.sniff import Unreadable
from convscope.data.tar_index import Member, index_tar
from convscope.data.walk import IMAGE_ENDINGS, is_hidden
from convscope.errors import DataError, did_you_mean
from convscope.report.printable import printable

KIND = "shards"
ENDING = ".tar"
CARD = "dataset.json"
CLASS_FILES = ("classes.json", "classes.txt")
LABEL_FIELDS = ("label", "labels", "cls", "class", "class_name")
# Bytes of one image's label, and of the list of all classes.
LARGEST_LABEL = 2**20
LARGEST_CARD = 64 * 2**20
MOST_SHARDS = 100_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


@dataclass(frozen=True)
class Shard:
    """One archive: its path, its split ("all" where its name tells of none)."""

    path: str
    split: str


@dataclass(frozen=True, slots=True)
class _Sample:
    """One labelled image: where it lies, and what was said of it: names or numbers of classes."""

    shard: str
    member: Member
    said: tuple[str | int, ...]


@dataclass
class ShardReader:
    """Reads the rows of a listing of shards, each where it lies in its archive."""

    places: list[tuple[str, Member]]

    def __call__(self, row: int, decoding: Decoding) -> tuple[Pixels, str | None]:
        """The pixels of one member, and a remark or None; raises Unreadable."""
        return decode_bytes(read_member(*self.places[row]), decoding)

    def original(self, row: int) -> tuple[bytes, str]:
        """One member's bytes and the ending of its name; raises Unreadable."""
        shard, member = self.places[row]
        return read_member(shard, member), ending_of(member.name)


@dataclass
class _Found:
    """What the archives of one split hold."""

    samples: list[_Sample] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    others: Counter[str] = field(default_factory=Counter)


def read_member(shard: str, member: Member) -> bytes:
    """The bytes of one member; raises Unreadable."""
    if member.size > FILE_LIMIT:
        raise Unreadable(f"{member.size / 2**20:.0f} MiB; the limit is {FILE_LIMIT // 2**20} MiB")
    try:
        descriptor = os.open(shard, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(explain_os_error(error)) from None
    try:
        data = os.pread(descriptor, member.size, member.offset)
    except OSError as error:
        raise Unreadable(explain_os_error(error)) from None
    finally:
        os.close(descriptor)
    if len(data) != member.size:
        raise Unreadable("the shard changed while it was read")
    return data


def names_shards(source: str) -> bool:
    """Whether a source is written as shards: one .tar, or a pattern of them.

    >>> names_shards("a/train-{000..012}.tar"), names_shards("a/*.tar"), names_shards("photos")
    (True, True, False)
    """
    return source.endswith(ENDING)


def find_shards(source: str) -> list[Shard]:
    """The archives of a folder (also in train/, val/ and test/ of it), of a path, or of a pattern, in order.

    A pattern has * and ?, or braces: train-{000..012}.tar, {train,val}-*.tar. Raises DataError where one that is named
    is not there.
    """
    if not names_shards(source):
        folder = Path(source)
        here = [path for path in sorted(folder.glob(f"*{ENDING}")) if not is_hidden(path.name)]
        below = [
            (path, SPLIT_NAMES[inner.name.casefold()])
            for inner in sorted(folder.iterdir())
            if inner.name.casefold() in SPLIT_NAMES and inner.is_dir()
            for path in sorted(inner.glob(f"*{ENDING}"))
            if not is_hidden(path.name)
        ]
        return [Shard(str(path), split_of(path.name)) for path in here] + [Shard(str(p), split) for p, split in below]
    paths: list[str] = []
    for pattern in expand(source):
        # Path.glob has no patterns in absolute paths.
        matched = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207
        if not matched or not all(map(os.path.lexists, matched)):
            raise DataError(f"there is no shard {printable(pattern)}: give .tar files, or a folder that holds them")
        paths += matched
    return [Shard(path, split_of(Path(path).name)) for path in dict.fromkeys(paths)]


def expand(pattern: str) -> list[str]:
    """A pattern with braces as the patterns that it stands for; raises DataError for more than 100,000.

    >>> expand("{train,val}-{08..10}.tar")[:4]
    ['train-08.tar', 'train-09.tar', 'train-10.tar', 'val-08.tar']
    """
    pieces = _BRACES.split(pattern)
    options: list[list[str]] = []
    total = 1
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            options.append([piece])
            continue
        if found := _RANGE.fullmatch(piece):
            first, last = int(found[1]), int(found[2])
            if last - first >= MOST_SHARDS:
                raise DataError(f"{printable(pattern)} names more than {MOST_SHARDS:,} shards")
            options.append([str(number).zfill(len(found[1])) for number in range(first, last + 1)])
        else:
            options.append(piece.split(","))
        total *= len(options[-1])
        if total > MOST_SHARDS:
            raise DataError(f"{printable(pattern)} names more than {MOST_SHARDS:,} shards")
    return ["".join(words) for words in itertools.product(*options)]


def split_of(name: str) -> str:
    """The split that a shard's name begins with, or "all".

    >>> split_of("train-000001.tar"), split_of("imagenet-val-3.tar"), split_of("shard-07.tar")
    ('train', 'val', 'all')
    """
    words = re.split(r"[^a-z]+", name.casefold())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), WHOLE)


def list_shards(source: str, shards: list[Shard]) -> Listing:
    """Everything that some shards hold, split after split; raises DataError where it can't be trained on."""
    shown = printable(source)
    parts = {shard.split for shard in shards}
    if WHOLE in parts and len(parts) > 1:
        other = next(shard for shard in shards if shard.split == WHOLE)
        raise DataError(
            f"{shown}: {Path(other.path).name} names no split and others do: "
            "begin every name with train-, val- or test-"
        )
    if WHOLE not in parts and "train" not in parts:
        raise DataError(f"{shown} has shards of {' and '.join(sorted(parts))} but none of train: name them train-*.tar")
    found: dict[str, _Found] = {split: _Found() for split in (WHOLE, *SPLITS) if split in parts}
    for shard in shards:
        _index(shard, found[shard.split])
    root = Path(shards[0].path).parent
    said_classes = _said_classes(root) or _said_classes(root.parent)
    classes, several = _classes(shown, said_classes, found)
    places: list[tuple[str, Member]] = []
    rows_said: list[list[int]] = []
    counts: dict[str, int] = {}
    problems = [problem for part in found.values() for problem in part.problems]
    numbers = {name: number for number, name in enumerate(classes)}
    for split, part in found.items():
        start = len(places)
        for sample in part.samples:
            meant = [_number(said, numbers, from_file=said_classes is not None) for said in sample.said]
            known = [label for label in meant if label is not None]
            if len(known) != len(meant):
                stranger = sample.said[meant.index(None)]
                reason = f"its label {stranger!r} is none of the {len(classes)} classes"
                problems.append(Problem(_name(sample), reason + did_you_mean(str(stranger), classes).rstrip()))
                continue
            places.append((sample.shard, sample.member))
            rows_said.append(known)
        counts[split] = len(places) - start
    if not places:
        first = f"; the first is {problems[0].path}: {problems[0].reason}" if problems else ""
        raise DataError(f"{shown} holds no labelled image (KEY.jpg beside KEY.cls or KEY.json){first}")
    labels = np.array([SEVERAL if several else row[0] for row in rows_said], np.int64)
    targets = None
    if several:
        targets = np.zeros((len(places), len(classes)), np.uint8)
        for row, known in enumerate(rows_said):
            targets[row, known] = 1
    learned = counts[next(iter(counts))]
    seen = np.bincount(labels[:learned], minlength=len(classes)) if targets is None else targets[:learned].sum(0)
    if not seen.all():
        missing = classes[int(np.argmin(seen))]
        raise DataError(f"{shown}: no image that is learned from shows the class {missing!r}: add some, or take it out")
    files = [found_file(Path(shard.path)) for shard in shards]
    files = [Found(str(Path(file.path).absolute()), file.size, file.time) for file in files]
    size, channels = typical_of(places, lambda place: read_member(*place))
    return Listing(
        source=source,
        kind=KIND,
        classes=classes,
        parts=counts,
        labels=labels,
        names=[printable(f"{shard}:{member.name}") for shard, member in places],
        read=ShardReader(places),
        # Labels stand in the archives, so a change of the class list alone changes no pixel.
        identity=identity_of(os.sep, files),
        image_size=size,
        channels=channels,
        problems=tuple(problems),
        notes=tuple(_notes(shards, found)),
        targets=targets,
    )


def _index(shard: Shard, found: _Found) -> None:
    """Add one archive's labelled images."""
    index = index_tar(shard.path)
    found.problems += [Problem(name, reason) for name, reason in index.refused]
    by_key: dict[str, dict[str, Member]] = {}
    for member in index.members:
        key, ending = split_name(member.name)
        parts = by_key.setdefault(key, {})
        if ending in parts:
            found.problems.append(Problem(_shown(shard.path, member), "its name is there already: the first counts"))
        else:
            parts[ending] = member
    for key, parts in by_key.items():
        images = {ending: member for ending, member in parts.items() if ending_of(f"x.{ending}") in IMAGE_ENDINGS}
        if not images:
            found.others.update(f".{ending}" for ending in parts)
            continue
        first = next(iter(images.values()))
        shown = _shown(shard.path, first)
        if len(images) > 1:
            found.problems.append(Problem(shown, f"its key has {len(images)} images ({', '.join(images)}), not one"))
        elif key in found.keys:
            found.problems.append(Problem(shown, "its key is there already, in this split: the first counts"))
        else:
            try:
                said = _label(shard.path, parts)
            except Unreadable as reason:
                found.problems.append(Problem(shown, str(reason)))
                continue
            found.keys.add(key)
            found.samples.append(_Sample(shard.path, first, said))


def split_name(name: str) -> tuple[str, str]:
    """A member's key and its ending, as WebDataset cuts them: at the first dot of the name itself.

    >>> split_name("a.b/0001.left.jpg"), split_name("0001")
    (('a.b/0001', 'left.jpg'), ('0001', ''))
    """
    folder, slash, base = name.rpartition("/")
    stem, _, ending = base.partition(".")
    return folder + slash + stem, ending.lower()


def _label(shard: str, parts: dict[str, Member]) -> tuple[str | int, ...]:
    """What is said of one image; raises Unreadable."""
    if (member := parts.get("cls")) is not None:
        word = _small(shard, member).decode("utf-8", "replace").strip()
        if not word:
            raise Unreadable("its label is empty")
        return (int(word) if word.isdecimal() else word,)
    if (member := parts.get("json")) is None:
        raise Unreadable("no label: there is no KEY.cls and no KEY.json beside it")
    try:
        described = json.loads(_small(shard, member))
    except (ValueError, RecursionError):
        raise Unreadable("no label: its KEY.json can't be read") from None
    if not isinstance(described, dict):
        raise Unreadable("no label: its KEY.json is not an object")
    for name in LABEL_FIELDS:
        said = described.get(name)
        if isinstance(said, list) and name == "labels" and all(isinstance(word, (str, int)) for word in said):
            # A mark tells several labels, even where there is one or none, from one.
            return (_MANY, *dict.fromkeys(said))
        if isinstance(said, (str, int)) and not isinstance(said, bool) and said != "":
            return (said,)
    raise Unreadable(f"no label: its KEY.json has none of {', '.join(LABEL_FIELDS)}")


_MANY = "\0several"


def _small(shard: str, member: Member) -> bytes:
    if member.size > LARGEST_LABEL:
        raise Unreadable(f"its label claims {member.size:,} bytes")
    return read_member(shard, member)


def _said_classes(folder: Path) -> list[str] | None:
    """The classes as a file beside the shards has them, in order; None where there is none. Raises DataError."""
    for name in (CARD, *CLASS_FILES):
        path = folder / name
        if not path.is_file():
            continue
        try:
            if path.stat().st_size > LARGEST_CARD:
                raise DataError(f"{printable(str(path))} is too large to be a list of classes")
            text = path.read_text(encoding="utf-8")
            said = text.splitlines() if name.endswith(".txt") else json.loads(text)
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{printable(str(path))} can't be read: {error}") from None
        if name == CARD and isinstance(said, dict):
            said = said.get("classes")
        if isinstance(said, dict):  # {"0": "cat", "1": "dog"}, or {"cat": 0, "dog": 1}
            turned = said if all(str(key).isdecimal() for key in said) else {str(v): k for k, v in said.items()}
            said = [turned.get(str(number)) for number in range(len(turned))]
        words = [word.strip() for word in said if isinstance(word, str)] if isinstance(said, list) else []
        if isinstance(said, list) and name.endswith(".txt"):
            words, said = [word for word in words if word], [word for word in words if word]
        if not words or len(words) != len(said) or not all(words) or len(set(words)) != len(words):
            raise DataError(f"{printable(str(path))} is no list of different class names, one for each number from 0")
        return words
    return None


def _classes(shown: str, from_file: list[str] | None, found: dict[str, _Found]) -> tuple[tuple[str, ...], bool]:
    """The classes in the order of their numbers, and whether images have several."""
    kinds = {sample.said[:1] == (_MANY,) for part in found.values() for sample in part.samples}
    if len(kinds) > 1:
        raise DataError(f"{shown}: some images have one label and others a list of labels: say it one way")
    several = kinds == {True}
    learned = found[next(iter(found))]
    if several:
        for part in found.values():
            part.samples = [_Sample(s.shard, s.member, s.said[1:]) for s in part.samples]
    if from_file is not None:
        classes = tuple(from_file)
    else:
        said = {word for sample in learned.samples for word in sample.said}
        numbers = sorted(word for word in said if isinstance(word, int))
        words = sorted(word for word in said if isinstance(word, str))
        classes = tuple(dict.fromkeys((*map(str, numbers), *words)))
    if len(classes) == 1:
        raise DataError(f"{shown} has one class only, {classes[0]!r}: a classifier needs two or more")
    return classes, several


def _number(said: str | int, numbers: dict[str, int], *, from_file: bool) -> int | None:
    """A label's class: by its place in the file of classes, or by its name; None where it is none of them."""
    if isinstance(said, int) and from_file:
        return said if 0 <= said < len(numbers) else None
    return numbers.get(str(said))


def _notes(shards: list[Shard], found: dict[str, _Found]) -> list[str]:
    others: Counter[str] = sum((part.others for part in found.values()), Counter())
    notes = [f"{len(shards):,} shards"]
    if others:
        kinds = ", ".join(sorted(others)[:5])
        notes.append(f"{sum(others.values()):,} members ({kinds}) belong to no image and were not read")
    return notes


def _shown(shard: str, member: Member) -> str:
    return printable(f"{shard}:{member.name}")


def _name(sample: _Sample) -> str:
    return _shown(sample.shard, sample.member)
