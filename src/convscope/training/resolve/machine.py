"""Rules of resolve: how a step is computed, and whether images are streamed, by what this machine has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from convscope.data.listing import Listing
from convscope.data.pixels.cache import entry_key
from convscope.data.pixels.cache_budget import cache_directory as default_cache_directory
from convscope.data.pixels.cache_budget import lack_of_room
from convscope.data.records import Decoding
from convscope.errors import RunError
from convscope.files.regular import is_folder
from convscope.hardware.device import has_bf16, most_threads
from convscope.hardware.machine import this_machine
from convscope.hardware.mode import Precision
from convscope.hardware.rank import Rank, threads_for
from convscope.recipe.setting import AUTO, Auto
from convscope.training.resolve.resolved_recipe import Choice

# bf16 pays where convolutions are large; in a network of few weights the casts cost more than they save.
BF16_WEIGHTS = 1_000_000
# A step of a network this small is over before a second thread has joined in.
ONE_THREAD_WEIGHTS = 100_000


def precision(asked: Precision | Auto, *, autotune: str, weights: int, device: str) -> Choice[str]:
    """Return the arithmetic of a step by rules, for a network with this many weights.

    >>> precision("auto", autotune="auto", weights=60_000, device="cpu").value
    'fp32'
    """
    if autotune != "fp32" and weights >= BF16_WEIGHTS and has_bf16(device):
        return Choice.of("precision", asked, "bf16", "this machine computes it natively, with fp32 weights")
    chosen = Choice.of("precision", asked, "fp32", "")
    return replace(chosen, notices=emulation(chosen.value, device))


def emulation(precision: str, device: str) -> tuple[str, ...]:
    """Return a remark where the device emulates an arithmetic, which then takes longer than fp32; else nothing.

    >>> emulation("fp32", "cpu")
    ()
    """
    if precision != "bf16" or has_bf16(device):
        return ()
    what = "GPU" if device == "cuda" else "processor"
    return (f"precision bf16: this {what} emulates bf16, which may take many times as long as fp32",)


def usual_threads(weights: int) -> int:
    """Return the threads of one process for a network with this many weights."""
    if weights < ONE_THREAD_WEIGHTS:
        return 1
    return threads_for(Rank.of(), most_threads(), cores=this_machine().cores)


def stream(
    asked: Literal["auto", "no", "yes"], listing: Listing, decoding: Decoding, cache_directory: Path | None
) -> Choice[str]:
    """Return whether images are streamed: as asked, else "yes" where the decoded ones do not fit the cache.

    Raises:
        RunError: images that lie in memory as they are, which there is nothing to stream from.
    """
    if listing.identity is None:
        if asked == "yes":
            raise RunError(f"stream: the images of {listing.source} are in memory as they are: leave it out")
        return Choice("stream", "no")
    if asked != AUTO:
        return Choice("stream", asked)
    directory = cache_directory or default_cache_directory()
    shape = (len(listing.labels), *decoding.image_shape)
    cached = is_folder(directory / entry_key(listing.identity, decoding))
    if cached or (lacking := lack_of_room(directory, shape)) is None:
        return Choice("stream", "no")
    shown = "training images are streamed, and decoded anew in each epoch"
    return Choice("stream", "yes", f"all images are {lacking}", shown)
