"""The networks by name: what each is, and which to take when nobody says. No torch is imported here.

>>> find("resnet50").parameters
25557032
>>> choose(28, channels=1), choose(32), choose(224)
('lenet5', 'alexnet-mini', 'resnet18')
"""

from __future__ import annotations

import ast
from importlib import resources

from convscope.errors import CaptureError, did_you_mean
from convscope.nets.entry import Entry
from convscope.nets.history import beyond, imagenet, pioneers, residual

ENTRIES: tuple[Entry, ...] = tuple(
    sorted((*pioneers.ENTRIES, *imagenet.ENTRIES, *residual.ENTRIES, *beyond.ENTRIES), key=lambda entry: entry.year)
)

_BY_NAME = {entry.name: entry for entry in ENTRIES}

# `--model auto`, stated once: (largest image side in pixels, channels or None for any, network).
AUTO: tuple[tuple[int, int | None, str], ...] = (
    (32, 1, "lenet5"),
    (48, None, "alexnet-mini"),
)
AUTO_OTHERWISE = "resnet18"


def names() -> tuple[str, ...]:
    """Every network's name, oldest first."""
    return tuple(_BY_NAME)


def find(name: str) -> Entry:
    """The entry of one network.

    Raises:
        CaptureError: no network has this name; the nearest are suggested.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    plain = {known.replace("-", "").replace("_", ""): known for known in _BY_NAME}
    wanted = name.lower().replace("-", "").replace("_", "")
    hint = f" Did you mean {plain[wanted]}?" if wanted in plain else did_you_mean(name.lower(), _BY_NAME)
    raise CaptureError(f"no network is called {name!r}.{hint} `convscope models` lists them all")


def choose(image_size: int, *, channels: int = 3) -> str:
    """The network that `--model auto` takes for images of this side, in pixels.

    Grey images up to 32 pixels: lenet5. Other images up to 48: alexnet-mini, which trains in minutes without a GPU.
    Anything larger: resnet18.
    """
    for largest, only_channels, name in AUTO:
        if image_size <= largest and only_channels in (None, channels):
            return name
    return AUTO_OTHERWISE


def stages(entry: Entry) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The network's table of stages, (module, output shape without the batch), as its file states it.

    The table stands beside the network, in a file that imports torch; here only its literal is read.

    >>> stages(find("resnet50"))[0]
    ('conv1', (64, 112, 112))
    """
    source = resources.files("convscope.nets").joinpath(f"{entry.module.rsplit('.', 1)[1]}.py").read_text("utf-8")
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "STAGES":
            for key, table in ast.literal_eval(statement.value).items():
                if entry.name in key.split():
                    found: tuple[tuple[str, tuple[int, ...]], ...] = table
                    return found
    raise AssertionError(f"{entry.module} has no STAGES for {entry.name}")
