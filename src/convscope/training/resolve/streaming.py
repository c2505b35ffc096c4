"""Whether a run's training images are streamed: as was said, or else where they do not fit the cache decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from convscope.data.open import Probe
from convscope.data.pixels.cache import entry_key
from convscope.data.pixels.cache_budget import cache_directory as default_cache_directory
from convscope.data.pixels.cache_budget import lack_of_room
from convscope.data.records import Decoding, ImageSet, Problem
from convscope.data.streamed import Streamed
from convscope.errors import RunError
from convscope.recipe.recipe import Recipe
from convscope.recipe.setting import AUTO


def chosen_stream(
    recipe: Recipe, found: Probe, decoding: Decoding, cache_directory: Path | None, reasons: list[str]
) -> Literal["no", "yes"]:
    """What becomes of the setting `stream`; adds the reason where nobody asked for a stream.

    Raises:
        RunError: images that lie in memory as they are, which there is nothing to stream from.
    """
    listing = found.listing
    if listing.identity is None and recipe.stream == "yes":
        raise RunError(f"stream: the images of {found.source} are in memory as they are: leave it out")
    if recipe.stream != AUTO:
        return recipe.stream
    if listing.identity is None:
        return "no"
    key = entry_key(listing.identity, decoding)
    shape = (len(listing.labels), *decoding.image_shape)
    directory = cache_directory or default_cache_directory()
    why = None if (directory / key).is_dir() else lack_of_room(directory, shape)
    if why is None:
        return "no"
    reasons.append(f"training images are streamed, and decoded anew in each epoch: all images are {why}")
    return "yes"


def unreadable(train: ImageSet) -> tuple[Problem, ...]:
    """Images of a stream that this process could not read so far."""
    return train.images.problems if isinstance(train.images, Streamed) else ()
