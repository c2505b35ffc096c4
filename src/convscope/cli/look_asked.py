"""What `convscope look` is asked: of an image, or of all images of a run. No torch is imported."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import get_args

import click

from convscope.cli.command import Command
from convscope.cli.given_options import given_options
from convscope.cli.option_groups import with_options
from convscope.cli.position import position_of
from convscope.interpret.features.map_choices import ChannelRanking, ScaleOf
from convscope.interpret.look.options import COMPARED_METHODS, LOOK_METHODS, MAPS, LookOptions

# Options of an image that go with all images of a run as well.
_EITHER = ("layer", "against", "inputs", "seed", "code", "trust_code", "deadline", "folder", "html_path", "as_json")
_PARTS = ("robustness", "equivariance")  # options of one image, of which a data set has a part


@dataclass(frozen=True)
class AskedOfImage:
    """The options of a look at one image, as they are typed."""

    layer: str | None
    maps: int
    page: int
    ranking: ChannelRanking
    scale: ScaleOf
    at: str | None
    target: str | None
    methods: str | None
    no_checks: bool
    robustness: bool
    equivariance: bool
    visualize: str | None
    fields: bool
    seed: int

    def options(self, *, compared: bool) -> LookOptions:
        """Return what the look shows; an option without a name of a method is refused.

        Args:
            compared: whether networks are shown side by side.

        Raises:
            GeometryError: a position that is not of whole numbers.
        """
        named = names_in(self.methods)
        if self.methods is not None and not named:
            raise click.UsageError(f"--methods names no method: give some of {','.join(LOOK_METHODS)}, or leave it out")
        return LookOptions(
            layer=self.layer,
            target=self.target,
            methods=named or (COMPARED_METHODS if compared else LOOK_METHODS),
            checks=not self.no_checks,
            maps=self.maps,
            page=self.page,
            ranking=self.ranking,
            scale=self.scale,
            at=None if self.at is None else position_of(self.at),
            fields=self.fields,
            equivariance=self.equivariance,
            robustness=self.robustness,
            visualize=self.visualize,
            seed=self.seed,
        )


@dataclass(frozen=True)
class AskedOfData:
    """The options of a look over a data set, as they are typed."""

    parts: str | None
    every: bool
    images: int | None
    split: str | None
    data: str | None


def image_options(command: Command) -> Command:
    """Add the options of a look at one image to a command."""
    return with_options(
        command,
        click.option("--layer",
                     help="Show this layer's feature maps, and Grad-CAM there; a name as inspect prints it."),
        click.option("--maps", type=click.IntRange(1), default=MAPS, show_default=True,
                     help="How many feature maps to show."),
        click.option("--page", type=click.IntRange(1), default=1, show_default=True,
                     help="Which page of them, from 1."),
        click.option("--rank", "ranking", type=click.Choice(get_args(ChannelRanking)), default="energy",
                     show_default=True,
                     help="Which feature maps come first; contribution: fall of the score without the channel."),
        click.option("--scale", type=click.Choice(get_args(ScaleOf)), default="layer", show_default=True,
                     help="What shares one colour scale."),
        click.option("--at", metavar="Y,X",
                     help="Show all channels at this position of the map; the strongest one unless given."),
        click.option("--class", "target",
                     help="Explain this class, by name or number; the predicted one unless given."),
        click.option("--methods", metavar="A,B",
                     help="Attribution methods; also gradient, gradient-times-input, captum:NAME.  "
                     f"[{','.join(LOOK_METHODS)}]"),
        click.option("--no-checks", is_flag=True, help="Leave the checks of the attributions out."),
        click.option("--robustness", is_flag=True,
                     help="Find the smallest shift, rotation, blur, ... that changes the prediction."),
        click.option("--equivariance", is_flag=True,
                     help="Shift the image, and measure how far each layer's map moves with it."),
        click.option("--visualize", metavar="LAYER[:CHANNELS]",
                     help="Make pictures that excite channels, such as layer1.0:3,5."),
        click.option("--fields", is_flag=True, help="Measure the layers' effective receptive fields."),
    )  # fmt: skip


def over_data_options(command: Command) -> Command:
    """Add the options of a look over a data set to a command."""
    return with_options(
        command,
        click.option("--parts", metavar="A,B", help="Show these parts, such as robustness,knock-out."),
        click.option("--all", "every", is_flag=True, help="Show every part, the slow ones too."),
        click.option("--images", type=click.IntRange(1), metavar="N", help="Go through N images at most  [1000]"),
        click.option(
            "--split",
            type=click.Choice(["test", "val", "train"]),
            help="Measure on this split of the run's images  [test, else val]",
        ),
        click.option("--data", metavar="DATA", help="Measure on these images, not those of the run."),
    )


def require_fitting_options(*, with_image: bool) -> None:
    """Refuse an option that goes with an image where there is none, and the other way round."""
    of_data = {field.name for field in dataclasses.fields(AskedOfData)}
    for parameter in given_options():
        if isinstance(parameter, click.Argument) or parameter.name in _EITHER:
            continue
        if with_image and parameter.name in of_data:
            raise click.UsageError(f"{parameter.opts[0]} is for all images of a run: leave IMAGE out")
        if not with_image and parameter.name not in of_data:
            instead = f", or --parts {parameter.name} for all images of the run" if parameter.name in _PARTS else ""
            raise click.UsageError(f"{parameter.opts[0]} needs an IMAGE: give one{instead}")


def names_in(text: str | None) -> tuple[str, ...]:
    """Return the names in a text with commas.

    >>> names_in("filters, health,"), names_in(None)
    (('filters', 'health'), ())
    """
    return tuple(filter(None, (name.strip() for name in (text or "").split(","))))
