"""Read the labels of shards: KEY.cls or KEY.json of each image, and the classes in a file beside the archives."""

from __future__ import annotations

import os
from pathlib import Path

from convscope.data.shards.tar_index import Member, read_member
from convscope.errors import DataError
from convscope.files.checked import parse_json
from convscope.files.fields import in_short
from convscope.files.regular import UnreadableError, read_bytes, refused_as
from convscope.files.text import decode_text

CARD = "dataset.json"
# KEY.group holds what the image belongs to, so that no split parts it from others of the same group.
GROUP = "group"
CLASS_FILES = ("classes.json", "classes.txt")
LABEL_FIELDS = ("label", "labels", "cls", "class", "class_name")
# Bytes of one image's label, and of the list of all classes.
LARGEST_LABEL = 2**20
LONGEST_NUMBER = 18
LARGEST_CARD = 64 * 2**20
# Begins what is said of an image with a list of labels.
SEVERAL_LABELS = "\0several"


def split_name(name: str) -> tuple[str, str]:
    """Split a member's name into key and suffix as WebDataset does: at the first dot after the last slash.

    >>> split_name("a.b/0001.left.jpg"), split_name("0001")
    (('a.b/0001', 'left.jpg'), ('0001', ''))
    """
    folder, slash, base = name.rpartition("/")
    stem, _, ending = base.partition(".")
    return folder + slash + stem, ending.lower()


def label_of(shard: str, parts: dict[str, Member]) -> tuple[str | int, ...]:
    """Return the label of one image; raises UnreadableError."""
    if (member := parts.get("cls")) is not None:
        word = _small(shard, member).decode("utf-8", "replace").strip()
        if not word:
            raise UnreadableError("its label is empty")
        if word.isdecimal() and len(word) > LONGEST_NUMBER:
            raise UnreadableError(f"its label is a number of {len(word):,} digits")
        return (int(word) if word.isdecimal() else word,)
    if (member := parts.get("json")) is None:
        raise UnreadableError("no label: there is no KEY.cls and no KEY.json beside it")
    try:
        described = parse_json(_small(shard, member))
    except UnreadableError as reason:
        raise UnreadableError(f"no label: its KEY.json can't be read ({reason})") from None
    if not isinstance(described, dict):
        raise UnreadableError("no label: its KEY.json is not an object")
    for name in LABEL_FIELDS:
        stated = described.get(name)
        if isinstance(stated, list) and name == "labels" and all(isinstance(word, (str, int)) for word in stated):
            # A mark distinguishes several labels, even where there is one or none, from one.
            return (SEVERAL_LABELS, *dict.fromkeys(stated))
        if isinstance(stated, (str, int)) and not isinstance(stated, bool) and stated != "":
            return (stated,)
    if given := {name: described[name] for name in LABEL_FIELDS if described.get(name) not in (None, "")}:
        name, stated = next(iter(given.items()))
        forms = "a list of texts and whole numbers" if name == "labels" else "a text or a whole number"
        raise UnreadableError(f"no label: {name} of its KEY.json is {in_short(stated)}, and must be {forms}")
    raise UnreadableError(f"no label: its KEY.json has none of {', '.join(LABEL_FIELDS)}")


def group_of(shard: str, parts: dict[str, Member]) -> str | None:
    """Return the group of one image, if one is stated; raises UnreadableError."""
    if (member := parts.get(GROUP)) is None:
        return None
    return _small(shard, member).decode("utf-8", "replace").strip() or None


def _small(shard: str, member: Member) -> bytes:
    if member.size > LARGEST_LABEL:
        raise UnreadableError(f"its label claims {member.size:,} bytes")
    return read_member(shard, member)


def stated_classes(folder: Path) -> list[str] | None:
    """Return the classes from a file beside the shards, in order, or None if there is none. Raises DataError."""
    for name in (CARD, *CLASS_FILES):
        path = folder / name
        if not os.path.lexists(path):
            continue
        with refused_as(DataError, path):
            data = read_bytes(path, limit=LARGEST_CARD)
            stated = decode_text(data).splitlines() if name.endswith(".txt") else parse_json(data)
        if name == CARD and isinstance(stated, dict):
            stated = stated.get("classes")
        if isinstance(stated, dict):  # {"0": "cat", "1": "dog"}, or {"cat": 0, "dog": 1}
            turned = stated if all(str(key).isdecimal() for key in stated) else {str(v): k for k, v in stated.items()}
            stated = [turned.get(str(number)) for number in range(len(turned))]
        words = [word.strip() for word in stated if isinstance(word, str)] if isinstance(stated, list) else []
        if isinstance(stated, list) and name.endswith(".txt"):
            words, stated = [word for word in words if word], [word for word in words if word]
        if not words or len(words) != len(stated) or not all(words) or len(set(words)) != len(words):
            raise DataError(f"{path} is no list of different class names, one for each number from 0")
        return words
    return None


def number_of(stated: str | int, numbers: dict[str, int], *, from_file: bool) -> int | None:
    """Return the class of a label: a position in the file of classes, or a name; None if it is neither."""
    if isinstance(stated, int) and from_file:
        return stated if 0 <= stated < len(numbers) else None
    return numbers.get(str(stated))
