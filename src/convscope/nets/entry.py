"""The catalogue's record of one network: facts, without the network itself and without torch."""

from __future__ import annotations

from dataclasses import dataclass

from convscope.report.short_repr import ShortRepr

# Names that begin so are timm's, where timm is installed.
TIMM = "timm/"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Entry(ShortRepr):
    """One network of the catalogue.

    Args:
        name: what the user types; torchvision's name where torchvision has the network.
        title: the name as papers print it.
        year: of the paper; 0 where it is unknown, as for timm's networks.
        paper: authors, title, and where it appeared.
        idea: what was new, in one line.
        input_shape: (channels, spatial axes...) of the paper, without the batch.
        parameters: trainable numbers with the settings here.
        published_error: the paper's own figure with what it measures, or None where it gives none.
        layers: weighted layers as the paper counts them, or None where it does not count.
        num_classes: outputs with the settings here.
        module: the module that defines it.
        factory: the function in `module` that builds it.
        settings: the factory's own arguments that make it this network.
        per_pixel: its outputs are for every pixel instead of for the image.
    """

    name: str
    title: str
    year: int
    paper: str
    idea: str
    input_shape: tuple[int, ...]
    parameters: int
    published_error: str | None
    layers: int | None
    num_classes: int
    module: str
    factory: str
    settings: tuple[tuple[str, object], ...] = ()
    per_pixel: bool = False

    def headline(self) -> str:
        """Return its name, and when it was published where that is known."""
        return f"{self.name}, {self.title}{f' ({self.year})' if self.year else ''}"

    @property
    def in_channels(self) -> int:
        """Input channels of the paper."""
        return self.input_shape[0]

    @property
    def image_size(self) -> tuple[int, ...]:
        """Spatial axes of the paper's input, in pixels (or samples, or frames and pixels)."""
        return self.input_shape[1:]

    def to_dict(self) -> dict[str, object]:
        """Return the facts as JSON-able values; the year is None where it is unknown."""
        return {
            "name": self.name,
            "title": self.title,
            "year": self.year or None,
            "paper": self.paper,
            "idea": self.idea,
            "input_shape": list(self.input_shape),
            "parameters": self.parameters,
            "published_error": self.published_error,
            "layers": self.layers,
            "num_classes": self.num_classes,
            "settings": dict(self.settings),
            "per_pixel": self.per_pixel,
        }
