"""The networks by name, and the choice of `--model auto`. No torch is imported here.

>>> find("resnet50").parameters
25557032
>>> choose(28, channels=1), choose(32), choose(224)
('lenet5', 'cifarnet', 'resnet18')
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib import resources
from typing import get_args

from convscope.api.annotations import Positive, Probability
from convscope.errors import CaptureError, did_you_mean
from convscope.nets.entry import TIMM, Entry
from convscope.nets.history import beyond, imagenet, pioneers, residual
from convscope.report.usage import call_text

ENTRIES: tuple[Entry, ...] = tuple(
    sorted((*pioneers.ENTRIES, *imagenet.ENTRIES, *residual.ENTRIES, *beyond.ENTRIES), key=lambda entry: entry.year)
)

_BY_NAME = {entry.name: entry for entry in ENTRIES}

# The arguments that every network may be built with; all others are its own.
COMMON = ("num_classes", "in_channels", "image_size")

# The sizes of convscope's own network for small images, the cheapest first.
CIFARNETS = ("cifarnet-tiny", "cifarnet-small", "cifarnet", "cifarnet-large")

# `--model auto`, stated once: (largest image side in pixels, channels or None for any, network).
AUTO: tuple[tuple[int, int | None, str], ...] = (
    (32, 1, "lenet5"),
    (128, None, "cifarnet"),
)
AUTO_OTHERWISE = "resnet18"
# Takes images that are too small for those above.
AUTO_SMALLEST = "alexnet-mini"
# A network takes images of at most the size that it was made for, unless larger ones are named here.
LARGER_INPUTS = dict.fromkeys(CIFARNETS, 128)


def names() -> tuple[str, ...]:
    """Return the names of all networks, oldest first."""
    return tuple(_BY_NAME)


def find(name: str) -> Entry:
    """Return the entry of one network; `timm/NAME` imports timm, and with it torch.

    Raises:
        CaptureError: no network has this name; the nearest are suggested.
    """
    if name.startswith(TIMM):
        from convscope.nets import from_timm

        return from_timm.entry(name)
    if name in _BY_NAME:
        return _BY_NAME[name]
    plain = {known.replace("-", "").replace("_", ""): known for known in _BY_NAME}
    wanted = name.lower().replace("-", "").replace("_", "")
    hint = f" Did you mean {plain[wanted]}?" if wanted in plain else did_you_mean(name.lower(), _BY_NAME)
    raise CaptureError(f"there is no network {name!r}.{hint} `{call_text('models')}` lists them all")


def choose(image_size: int, *, channels: int = 3) -> str:
    """Return the network that `--model auto` takes for images of this side, in pixels.

    Grey images up to 32 pixels: lenet5. Other images up to 128: cifarnet, which trains in minutes without a GPU, and on
    a few hundred images where resnet18 does not. Anything larger: resnet18.
    """
    for largest, only_channels, name in AUTO:
        if image_size <= largest and only_channels in (None, channels):
            return name
    return AUTO_OTHERWISE


def stages(entry: Entry) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return the network's table of stages: (module, output shape without the batch).

    The table is a literal in the network's file, which imports torch; only the literal is read here. timm's networks
    have none.

    >>> stages(find("resnet50"))[0]
    ('conv1', (64, 112, 112))
    """
    if entry.name.startswith(TIMM):
        return ()
    for statement in _source(entry.module).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "STAGES":
            for key, table in ast.literal_eval(statement.value).items():
                if entry.name in key.split():
                    found: tuple[tuple[str, tuple[int, ...]], ...] = table
                    return found
    raise AssertionError(f"{entry.module} has no STAGES for {entry.name}")


@dataclass(frozen=True, slots=True)
class Option:
    """A setting of one network: its name, the values allowed and the default, as written in its file."""

    name: str
    kind: str
    default: str


def options(entry: Entry) -> tuple[Option, ...]:
    """Return the network's own settings, read from its factory's signature without importing torch.

    >>> [(option.name, option.kind, option.default) for option in options(find("googlenet"))][0]
    ('auxiliary', 'bool', 'False')
    """
    fixed = {*COMMON, *(name for name, _ in entry.settings)}
    for statement in _source(entry.module).body:
        if isinstance(statement, ast.FunctionDef) and statement.name == entry.factory:
            signature = zip(statement.args.kwonlyargs, statement.args.kw_defaults, strict=True)
            return tuple(
                Option(argument.arg, _kind(argument.annotation), "" if default is None else _word(default))
                for argument, default in signature
                if argument.arg not in fixed
            )
    raise AssertionError(f"{entry.module} has no function {entry.factory}")


def _source(module: str) -> ast.Module:
    return ast.parse(resources.files("convscope.nets").joinpath(f"{module.rsplit('.', 1)[1]}.py").read_text("utf-8"))


# Annotations of options that are numbers within limits, by their names in a factory's signature.
_LIMITED = {"Positive": Positive, "Probability": Probability}


def _kind(annotation: ast.expr | None) -> str:
    """Return `Literal["max", "stride"]` as "max | stride", a number with its limits, any other annotation unchanged."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        words = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        return " | ".join(_word(word) for word in words)
    if isinstance(annotation, ast.BinOp):
        return f"{_kind(annotation.left)} | {_kind(annotation.right)}"
    if isinstance(annotation, ast.Name) and annotation.id in _LIMITED:
        number, *limits = get_args(_LIMITED[annotation.id])
        return f"{number.__name__} {' and '.join(map(str, limits))}"
    return "" if annotation is None else ast.unparse(annotation)


def _word(value: ast.expr) -> str:
    return str(value.value) if isinstance(value, ast.Constant) else ast.unparse(value)
