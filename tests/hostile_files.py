"""Files under whose name something else lies, and a run directory that takes no training to make."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import torch

from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.data.records import Decoding
from convscope.nets.build import build
from convscope.recipe.recipe import Recipe
from convscope.recipe.recipe_file import to_toml
from convscope.runs.model_spec import ModelSpec
from convscope.runs.run_directory import Run

SPARSE = 10 * 2**30
# Nothing is unreadable to root.
KINDS = ("pipe", "zeros", "socket", "folder", "empty", "missing", "circle", "sparse", *["unreadable"][: os.geteuid()])


@contextlib.contextmanager
def put(path: Path, kind: str) -> Iterator[None]:
    """Put something of this kind at a path, in the place of what is there, and take it away again."""
    _clear(path)
    with contextlib.ExitStack() as stack:
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "zeros":
                path.symlink_to("/dev/zero")
            case "socket":
                listening = stack.enter_context(socket.socket(socket.AF_UNIX))
                # The name of a socket has 108 bytes at the most: a test's folder may be deeper.
                here = Path.cwd()
                os.chdir(path.parent)
                listening.bind(path.name)
                os.chdir(here)
            case "folder":
                path.mkdir()
            case "empty":
                path.write_bytes(b"")
            case "circle":
                path.symlink_to(path.name)
            case "sparse":
                with path.open("wb") as file:
                    file.truncate(SPARSE)
            case "unreadable":
                path.write_bytes(b"x")
                path.chmod(0)
        yield
        _clear(path)


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def untrained_run(path: Path, data: str, classes: tuple[str, ...] = ("a", "b"), loss: str = "softmax") -> Run:
    """A run directory of lenet5 with random weights on images (8, 8, 3)."""
    path.mkdir(parents=True)
    run = Run(path)
    decoding = Decoding(size=(32, 32), channels=3)
    spec = ModelSpec(
        name="lenet5",
        options={},
        preprocessing=Preprocessing(
            decoding=decoding, normalization=Normalization(mean=(0.5,) * 3, std=(0.2,) * 3), classes=classes
        ),
        loss=loss,
    )
    run.write_spec(spec)
    run.recipe_path.write_text(
        to_toml(Recipe(data=data, model="lenet5", image_size="32", channels=3, loss=loss, epochs=2, batch_size=2)),
        encoding="utf-8",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build("lenet5", num_classes=len(classes), in_channels=3, image_size=(32, 32))
    run.write_weights(network.state_dict(), {"epoch": 1, "accuracy": 0.5, "loss": 1.0})
    return run
