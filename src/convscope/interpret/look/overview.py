"""Attributions of several methods beside one another: their pictures, and a table of what their checks found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from textwrap import fill

from convscope.arrays import Array
from convscope.interpret.attribution.checks.deletion_insertion import LEAST_GAIN
from convscope.interpret.attribution.checks.randomized_weights import SIMILAR
from convscope.interpret.attribution.checks.record import AttributionChecks
from convscope.interpret.attribution.record import Attribution
from convscope.interpret.look.verdict import verdict
from convscope.report.image_grid import NOTE_SIZE, Tile, image_grid
from convscope.report.svg import CHARACTER_WIDTH, Drawing
from convscope.report.table import Cell, Column, Row, Table

_TILE = 168.0

CHECKS_LEGEND = (
    "Random weights, upper layers random: rank correlation with the map of the network whose weights are random there; "
    f"above {SIMILAR} at each stage the map shows the image rather than what was learned. Deletion, insertion: how "
    "much better than in random order the map finds the pixels that the probability depends on, as a difference of "
    f"areas; above {LEAST_GAIN} is better."
)

Checked = Sequence[tuple[Attribution, AttributionChecks | None]]
"""Attributions, each with its checks; None where it has none."""


def overview_figure(checked: Checked, picture: Array | None, *, title: str, subtitle: str = "") -> Drawing | None:
    """Draw the image, and each attribution over it with its checks' verdict; None where there are fewer than two."""
    tiles = [] if picture is None else [Tile(picture, "the image", "network's input", photograph=True)]
    tiles += [_over_image(found, checks) for found, checks in checked]
    if len(tiles) < 2:
        return None
    return image_grid(tiles, title=title, subtitle=subtitle, columns=3, tile_width=_TILE)


def overview_table(checked: Checked) -> Table:
    """Return the attributions, a row each, with what their checks found."""
    columns = (
        Column("attribution"),
        Column("checks"),
        Column("random weights", numeric=True),
        Column("upper layers random", numeric=True),
        Column("deletion", numeric=True),
        Column("insertion", numeric=True),
    )
    rows = [Row.of([found.title, verdict(found, checks), *_figures(checks)]) for found, checks in checked]
    return Table(columns, tuple(rows))


def _figures(checks: AttributionChecks | None) -> tuple[Cell, ...]:
    random = None if checks is None else checks.randomization
    correlations = () if random is None else (random.all_random, random.upper_random)
    found = None if checks is None else checks.perturbation
    gains = (None, None) if found is None else (found.deletion_gain, found.insertion_gain)
    similar: list[Cell] = ["constant" if each is None else _figure(each, ".2f") for each in correlations] or ["", ""]
    return (*similar, *(_figure(each, "+.2f") for each in gains))


def _figure(number: float | None, form: str) -> Cell:
    return "" if number is None else (format(round(number, 2) + 0.0, form), number)


def _over_image(found: Attribution, checks: AttributionChecks | None) -> Tile:
    tiles = found.tiles()
    shown = next((tile for tile in tiles if tile.is_picture and tile.title != "image"), tiles[0])
    # A map that could not be laid over an image has the colours of its own scale.
    own = None if shown.is_picture else found.scale
    note = fill(verdict(found, checks), int(_TILE / (NOTE_SIZE * CHARACTER_WIDTH)))
    return replace(shown, title=found.title, note=note, scale=own)
