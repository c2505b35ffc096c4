"""What lies in a source, looked at as a training would: listed, resolved, decoded, split."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from convscope.data.equal_pictures import EqualPictures, blank_rows, notes_on_equal
from convscope.data.file_headers import FileHeaders, has_headers, read_headers
from convscope.data.listing import Listing
from convscope.data.memory.source import InMemory
from convscope.data.open import Probe, probe, probe_given
from convscope.data.partition import Partition, find_leaks, partition
from convscope.data.pixels.build import Decoded, decode_rows
from convscope.data.pixels.cache_budget import cache_directory as default_cache_directory
from convscope.data.pixels.cache_budget import lack_of_room
from convscope.data.records import Decoding, Labels, Leak, Problem
from convscope.data.sources.unlabelled import list_unlabelled
from convscope.errors import ConvscopeError, DataError
from convscope.recipe.recipe import Recipe
from convscope.report.progress import Progress
from convscope.training.given_data import recipe_on
from convscope.training.resolve.resolve import resolve
from convscope.training.resolve.resolved_recipe import ResolvedRecipe

# Images whose levels are looked at.
SAMPLE = 500
# Pictures that do not fit the cache as they are trained on are looked at at this side.
SMALL_SIDE = 64


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A source as it was found.

    Args:
        found: its listing.
        refused: why a training would stop, "" where it would not.
        resolved: the settings that a training would take; None where there would be none.
        decoded: every picture, at the size at which a training would have it unless `reduced`.
        split: the readable rows of each split.
        headers: of the files; None where the pictures are numbers in one file or in memory.
        reduced: whether the pictures are smaller than a training would have them.
    """

    found: Probe
    refused: str
    resolved: ResolvedRecipe | None
    decoding: Decoding
    decoded: Decoded
    split: Partition
    headers: FileHeaders | None
    reduced: bool

    @property
    def listing(self) -> Listing:
        """The rows of the source."""
        return self.found.listing

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """The files that can't be read, and why."""
        names = self.listing.names
        bad = self.decoded.outcome.bad
        return self.listing.problems + tuple(Problem(names[row], reason) for row, reason in bad.items())

    @cached_property
    def rows(self) -> Labels:
        """Every readable row, sorted."""
        return np.setdiff1d(np.arange(len(self.listing.labels)), list(self.decoded.outcome.bad))

    @cached_property
    def leaks(self) -> tuple[Leak, ...]:
        """Equal pictures in two splits."""
        return find_leaks(self.split.rows, self.decoded.outcome, self.listing.names)

    @cached_property
    def equal(self) -> tuple[EqualPictures, ...]:
        """What there is to say of equal pictures, and of single ones that are blank."""
        pixels = self.decoded.pixels
        blank = blank_rows(pixels, self.rows)
        return tuple(notes_on_equal(self.listing, pixels, self.decoded.outcome, self.decoding, self.leaks, blank))

    @cached_property
    def split_of(self) -> npt.NDArray[np.int64]:
        """The place of each row's split among the splits, -1 for a row that can't be read."""
        places = np.full(len(self.listing.labels), -1)
        for place, rows in enumerate(self.split.rows.values()):
            places[rows] = place
        return places

    @cached_property
    def part_of(self) -> npt.NDArray[np.int64]:
        """The place of each row's split among the source's own, of which there may be one alone."""
        parts = np.zeros(len(self.listing.labels), np.int64)
        for place, part in enumerate(self.listing.parts):
            parts[self.listing.rows_of(part)] = place
        return parts

    @cached_property
    def levels(self) -> dict[str, float]:
        """The least, greatest, mean and standard deviation of the decoded levels, over some images evenly spaced."""
        sample = self.rows[:: max(1, len(self.rows) // SAMPLE)]
        if not len(sample):
            return {}
        pixels = self.decoded.pixels[sample]
        found = {"least": pixels.min(), "greatest": pixels.max(), "mean": pixels.mean(), "std": pixels.std()}
        return {name: round(float(value), 2) for name, value in found.items()}

    def label_of(self, row: int) -> str:
        """Return a row's class, or its classes with commas between."""
        listing = self.listing
        if not listing.classes:
            return ""
        if listing.targets is None:
            return listing.classes[int(listing.labels[row])]
        return ", ".join(listing.classes[label] for label in np.flatnonzero(listing.targets[row]).tolist()) or "none"


def survey(
    data: str | os.PathLike[str] | InMemory,
    recipe: Recipe | None,
    *,
    classes: Sequence[str] | None,
    cache_directory: Path | None,
    progress: Progress,
) -> Survey:
    """Look at a source as a training with this recipe would.

    Raises:
        DataError: there are no images, or no room for them as decoded.
    """
    recipe, found, refused = _probed(data, recipe, classes)
    listing = found.listing
    resolved = None
    if not refused:
        try:
            resolved = resolve(recipe.changed({"data": listing.source}), found, cache_directory)
        except ConvscopeError as error:
            refused = str(error)
    decoding = found.default_decoding() if resolved is None else resolved.decoding
    directory = cache_directory or default_cache_directory()
    shape = (len(listing.labels), *decoding.image_shape)
    reduced = listing.identity is not None and lack_of_room(directory, shape) is not None
    if reduced:
        height, width = (min(SMALL_SIDE, side) for side in decoding.size)
        decoding = replace(decoding, size=(height, width))
    decoded = decode_rows(listing, decoding, directory=directory, progress=progress, verify=recipe.verify)
    headers = read_headers(listing, entry=decoded.path, progress=progress) if has_headers(listing) else None
    return Survey(
        found=found,
        refused=refused or _lost_class(listing, decoded),
        resolved=resolved,
        decoding=decoding,
        decoded=decoded,
        split=_split(listing, decoded, resolved),
        headers=headers,
        reduced=reduced,
    )


def _probed(
    data: str | os.PathLike[str] | InMemory, recipe: Recipe | None, classes: Sequence[str] | None
) -> tuple[Recipe, Probe, str]:
    """Return the recipe with its data, the source, and why nothing can be learned from it; raises DataError."""
    recipe, given = recipe_on(data, recipe, classes)
    try:
        return recipe, given or probe(recipe.data, layout=recipe.layout, options=recipe.source_options), ""
    except DataError as error:
        refused = error
    try:
        found = probe_given(
            data,
            layout=recipe.layout,
            options=recipe.source_options,
            classes=classes,
            to_learn=False,
            value_range=recipe.value_range,
        )
        return recipe, found, str(refused)
    except DataError:
        unlabelled = list_unlabelled(recipe.data)
        if unlabelled is None:
            raise refused from None
        return recipe, Probe(unlabelled), str(refused)


def _split(listing: Listing, decoded: Decoded, resolved: ResolvedRecipe | None) -> Partition:
    """Return the splits that a training would have; those of the source where there would be none."""
    if resolved is not None:
        return partition(
            listing,
            decoded.outcome,
            validation_fraction=resolved.recipe.held_back,
            test_fraction=resolved.recipe.test_fraction,
            seed=resolved.recipe.seed_of_split,
        )
    bad = list(decoded.outcome.bad)
    rows = {part: np.setdiff1d(listing.rows_of(part), bad) for part in listing.parts}
    return Partition({part: found for part, found in rows.items() if len(found)}, (), ())


def _lost_class(listing: Listing, decoded: Decoded) -> str:
    """Return the error of a training of which no image of a class can be read; "" where there is one of each."""
    if not listing.classes:
        return ""
    learned = listing.rows_of(next(iter(listing.parts)))
    readable = np.setdiff1d(learned, list(decoded.outcome.bad))
    lost = np.flatnonzero((listing.class_counts(readable) == 0) & (listing.class_counts(learned) > 0))
    return f"none of the images of class {listing.classes[lost[0]]!r} can be read" if len(lost) else ""
