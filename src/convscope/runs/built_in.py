"""The trained networks that come with convscope: small, and trained by us on images that may be passed on. No torch.

Each is a run directory of two files, `model.json` and `weights.safetensors`, below `built_in_networks/`, and is opened
by its name wherever a run is. `docs/generate_course_weights.py` makes them and measures their accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from convscope.files.checked import read_json
from convscope.report.short_repr import ShortRepr
from convscope.report.units import percent

FOLDER = "built_in_networks"
FACTS = "facts.json"


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class BuiltIn(ShortRepr):
    """A trained network that comes with convscope.

    Args:
        name: opens it, as the path of a run would.
        title: the network and what it was trained on.
        images: what the images are, and their licence.
        trained_on: how many images it was trained on.
        held_out: how many other images its accuracy was measured on.
        accuracy: the share of these whose class is predicted rightly, 0 to 1.
    """

    name: str
    title: str
    images: str
    trained_on: int
    held_out: int
    accuracy: float

    def headline(self) -> str:
        """Return the name and the title."""
        return f"{self.name}: {self.title}"

    @property
    def path(self) -> Path:
        """Its run directory."""
        return _folder() / self.name

    @property
    def note(self) -> str:
        """Where the weights come from, and how good they are.

        >>> "held-out images" in find_built_in("lenet5-digits").note
        True
        """
        return (
            f"the weights come with convscope: trained on {self.trained_on:,} images ({self.images}); "
            f"accuracy {percent(self.accuracy)} on {self.held_out:,} held-out images"
        )


def built_in_networks() -> Mapping[str, BuiltIn]:
    """Return the networks that come with convscope, by name.

    >>> list(built_in_networks())
    ['tinyvgg-shapes', 'lenet5-digits']
    """
    return _read()


def find_built_in(name: str) -> BuiltIn | None:
    """Return the network of a name that comes with convscope; None where there is none."""
    return _read().get(name)


def built_in_of(path: Path) -> BuiltIn | None:
    """Return the network whose run directory this is; None for any other run.

    >>> built_in_of(find_built_in("lenet5-digits").path).name, built_in_of(Path("runs/demo"))
    ('lenet5-digits', None)
    """
    return find_built_in(path.name) if path.absolute().parent == _folder() else None


def _folder() -> Path:
    return Path(str(resources.files(__package__))) / FOLDER


@cache
def _read() -> dict[str, BuiltIn]:
    found = {}
    facts = read_json(_folder() / FACTS)
    for name in facts.values:
        of = facts.object(name)
        found[name] = BuiltIn(
            name=name,
            title=of.text("title"),
            images=of.text("images"),
            trained_on=of.integer("trained_on"),
            held_out=of.integer("held_out"),
            accuracy=of.number("accuracy"),
        )
    return found
