"""Shards and images that are missing from a folder, by the counts in its dataset.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from convscope.data.listing import MISSING_SHARE
from convscope.data.shards.shard_labels import CARD, LARGEST_CARD
from convscope.data.shards.shard_names import ENDING, Shard, names_shards
from convscope.errors import DataError
from convscope.files.checked import read_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.report.units import percent, plural
from convscope.report.usage import call_text


def note_what_is_missing(source: str, shards: list[Shard], images: Mapping[str, int]) -> Iterator[str]:
    """Return notes on shards and images missing from a folder, by its dataset.json.

    Archives named by a pattern or one by one are not checked, nor is a folder without that file. Raises DataError if
    more than 1 % of the images are missing.
    """
    written = {} if names_shards(source) else _written(Path(source) / CARD)
    missing = sum(max(0, count - images.get(split, 0)) for split, (_, count) in written.items())
    if not missing:
        return
    there, whole = sum(images.values()), sum(count for _, count in written.values())
    line = (
        f"{CARD} counts {plural(whole, 'image')} in {plural(sum(number for number, _ in written.values()), 'shard')}; "
        f"here are {plural(there, 'image')} in {plural(len(shards), 'shard')}"
    )
    if missing > MISSING_SHARE * whole:
        pattern = call_text("train", str(Path(source) / f"*{ENDING}"))
        raise DataError(
            f"{source}: {line}: {percent(missing / whole)} are missing; copy the folder again, or name the "
            f"shards, to take what there is: {pattern}"
        )
    yield f"{line}: {missing:,} are missing"


def _written(spec: Path) -> dict[str, tuple[int, int]]:
    """Return the shards and images of each split from dataset.json; empty if there is none, or another program's."""
    try:
        splits = read_json(spec, limit=LARGEST_CARD).object("splits")
        return {split: _counts(splits.object(split)) for split in splits.values}
    except UnreadableError:
        return {}


def _counts(fields: Fields) -> tuple[int, int]:
    return fields.integer("shards", at_least=0), fields.integer("images", at_least=0)
