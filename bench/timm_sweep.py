"""Capture the smallest convolutional member of every timm family, and write docs/timm-sweep.md.

    python bench/timm_sweep.py [--limit N] [--out docs/timm-sweep.md]

Needs timm (pip install timm torchvision). No weight is allocated. Each model is captured at its own input size; its
parameters are compared with timm's, its MACs with half of torch's FlopCounterMode, which runs the model on meta
tensors, and its receptive fields are propagated. Operations that convscope does not know are listed.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convscope.capture.build import build_without_memory
from convscope.capture.capture import capture
from convscope.capture.load import load
from convscope.graph.propagate import propagate

# From small to large, as timm names them.
SIZES = (
    "test", "zepto", "atto", "femto", "pico", "nano", "xxtiny", "xxs", "xx", "xtiny", "xs", "x", "tiny", "ti", "t",
    "es", "small", "s", "mini", "little", "medium", "em", "m", "base", "b", "el", "large", "l", "xl", "xlarge",
    "xxl", "huge", "h", "giant", "g", "gigantic",
)  # fmt: skip
# Members of a family that are built in search of the smallest.
TRIED = 3


@dataclass(frozen=True)
class Row:
    """What came of one model."""

    family: str
    name: str
    input_shape: tuple[int, ...]
    parameters: int
    same_parameters: bool
    macs: int
    counted_elsewhere: int | None
    nodes: int
    unknown: tuple[str, ...]
    uncounted: tuple[str, ...]
    seconds: float
    notes: tuple[str, ...]
    error: str | None


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


def size_rank(name: str) -> tuple[int, int, str]:
    """Small names first: by size word, then by the first number."""
    words = [SIZES.index(token) for token in name.split("_")[1:] if token in SIZES]
    numbers = re.findall(r"\d+", name)
    return (min(words, default=len(SIZES)), int(numbers[0]) if numbers else 0, name)


def smallest(names: list[str]) -> tuple[str, nn.Module] | None:
    """Return the convolutional member with the fewest parameters among the likeliest few."""
    best: tuple[int, str, nn.Module] | None = None
    for name in sorted(names, key=size_rank)[:TRIED]:
        model = build_without_memory(load(f"timm/{name}").factory)
        # One convolution is the patch embedding of a transformer.
        if sum(isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d) for m in model.modules()) < 2:
            return None
        parameters = sum(p.numel() for p in model.parameters())
        if best is None or parameters < best[0]:
            best = (parameters, name, model)
    return None if best is None else best[1:]


def half_of_flop_counter(model: nn.Module, shape: tuple[int, ...]) -> int | None:
    """Return half of what FlopCounterMode counts on meta tensors; None where the model does not run on them."""
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.to("meta").eval()(torch.empty(1, *shape, device="meta"))
    except Exception:  # whatever a forward raises on meta tensors
        return None
    return int(counter.get_total_flops()) // 2


def examine(name: str, model: nn.Module) -> Row:
    """Capture one model and compare."""
    shape = load(f"timm/{name}").input_shape or (3, 224, 224)
    own = sum(p.numel() for p in model.parameters())
    start = time.perf_counter()
    graph = capture(model, shape, name=name)
    seconds = time.perf_counter() - start
    propagate(graph)
    return Row(
        family=family(name),
        name=name,
        input_shape=shape,
        parameters=graph.parameter_count,
        same_parameters=graph.parameter_count == own,
        macs=graph.macs,
        counted_elsewhere=half_of_flop_counter(model, shape),
        nodes=len(graph.nodes),
        unknown=tuple(sorted({n.target for n in graph.nodes if n.paths is None})),
        uncounted=tuple(sorted({n.target for n in graph.uncounted})),
        seconds=seconds,
        notes=graph.notes,
        error=graph.error,
    )


def written(rows: list[Row], not_built: list[str], skipped: int) -> str:
    """Return the table in Markdown."""
    import timm

    same = sum(row.same_parameters for row in rows)
    compared = [row for row in rows if row.counted_elsewhere is not None]
    equal = sum(row.macs == row.counted_elsewhere for row in compared)
    unknown = Counter(op for row in rows for op in {*row.unknown, *row.uncounted})
    lines = [
        "# Every convolutional family of timm",
        "",
        f"Written by `python bench/timm_sweep.py` with timm {timm.__version__} and torch {torch.__version__}.",
        "The smallest member of each family, at its own input size, no weight allocated.",
        "",
        f"- {len(rows)} families captured, {sum(row.error is not None for row in rows)} with an error; {skipped} "
        f"families with no convolution but a patch embedding left out; {len(not_built)} that timm itself does not "
        "construct here",
        f"- parameters equal to timm's: {same} of {len(rows)}",
        f"- MACs equal to half of `FlopCounterMode`: {equal} of the {len(compared)} that run on meta tensors",
        f"- operations that convscope does not know: {', '.join(f'`{k}` ({v})' for k, v in unknown.items()) or 'none'}",
        "",
        "| family | model | input | parameters | MACs | FlopCounterMode / 2 | operations | unknown | capture, s |",
        "|---|---|---|--:|--:|--:|--:|---|--:|",
    ]
    for row in rows:
        other = "does not run" if row.counted_elsewhere is None else f"{row.counted_elsewhere - row.macs:+,}"
        lines.append(
            f"| {row.family} | {row.name} | {'x'.join(map(str, row.input_shape))} | {row.parameters:,}"
            f"{'' if row.same_parameters else ' (differs)'} | {row.macs:,} | {'equal' if other == '+0' else other} | "
            f"{row.nodes:,} | {', '.join({*row.unknown, *row.uncounted}) or ''}{row.error or ''} | {row.seconds:.2f} |"
        )
    if not_built:
        lines += ["", "Not constructed by timm here: " + "; ".join(not_built)]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=int, help="stop after this many families")
    parser.add_argument("--only", help="families whose name contains this")
    parser.add_argument("--out", type=Path, help="write the table here instead of printing it")
    settings = parser.parse_args()
    warnings.simplefilter("ignore")
    try:
        import timm
    except Exception as error:  # a broken torchvision behind it raises anything
        sys.exit(f"timm does not import here ({error}): pip install timm torchvision")
    families: dict[str, list[str]] = defaultdict(list)
    for name in timm.list_models():
        families[family(name)].append(name)
    rows: list[Row] = []
    not_built: list[str] = []
    skipped = 0
    for key in sorted(families):
        if (settings.only and settings.only not in key) or (settings.limit and len(rows) >= settings.limit):
            continue
        try:
            found = smallest(families[key])
        except Exception as error:  # timm's own, among them models that need another package
            not_built.append(f"{key} ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})")
            continue
        if found is None:
            skipped += 1
            continue
        row = examine(*found)
        rows.append(row)
        extra = f" ERROR {row.error}" if row.error else f" unknown {row.unknown}" if row.unknown else ""
        difference = None if row.counted_elsewhere is None else row.counted_elsewhere - row.macs
        print(f"{row.name:36} {row.nodes:6} nodes {row.seconds:6.2f} s, counter {difference}{extra}", file=sys.stderr)
    text = written(rows, not_built, skipped)
    if settings.out:
        settings.out.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
