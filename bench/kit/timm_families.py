"""timm's networks by family, and the smallest member of each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence

from torch import nn

from convscope.capture.build import build_without_memory
from convscope.capture.load import load

# From small to large, as timm names them.
SIZES = (
    "test", "zepto", "atto", "femto", "pico", "nano", "xxtiny", "xxs", "xx", "xtiny", "xs", "x", "tiny", "ti", "t",
    "es", "small", "s", "mini", "little", "medium", "em", "m", "base", "b", "el", "large", "l", "xl", "xlarge",
    "xxl", "huge", "h", "giant", "g", "gigantic",
)  # fmt: skip
# Members of a family that are built in search of the smallest.
TRIED = 3


def family(name: str) -> str:
    """Return the architecture's name without its size: "tf_efficientnet_b0" -> "tf_efficientnet"."""
    kept: list[str] = []
    for token in name.split("_"):
        word = re.match(r"([a-z]+?)(v\d+)?(?=\d|$)", token)
        if word is None or (kept and (word[1] in SIZES or len(word[1]) == 1)):
            break
        kept.append(word[0])
        if word[0] != token:
            break
    return "_".join(kept)


def families() -> dict[str, tuple[str, ...]]:
    """Return the likeliest few to be the smallest, by family.

    Raises:
        CaptureError: timm is not installed, or does not import.
    """
    from convscope.nets.from_timm import import_timm

    found: dict[str, list[str]] = defaultdict(list)
    for name in import_timm().list_models():
        found[family(name)].append(name)
    return {key: tuple(sorted(found[key], key=_size_rank)[:TRIED]) for key in sorted(found)}


def smallest(names: Sequence[str]) -> tuple[str, Callable[[], nn.Module], tuple[tuple[int, ...], ...]]:
    """Return the name with the fewest parameters, what builds it, and the shape of one sample of its input."""

    def parameters(name: str) -> int:
        return sum(p.numel() for p in build_without_memory(load(f"timm/{name}").factory).parameters())

    name = min(names, key=parameters)
    loaded = load(f"timm/{name}")
    return name, loaded.factory, (loaded.input_shape or (3, 224, 224),)


def _size_rank(name: str) -> tuple[int, int, str]:
    """Small names first: by size word, then by the first number."""
    words = [SIZES.index(token) for token in name.split("_")[1:] if token in SIZES]
    numbers = re.findall(r"\d+", name)
    return (min(words, default=len(SIZES)), int(numbers[0]) if numbers else 0, name)
