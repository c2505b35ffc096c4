"""The health of a network's layers, as a record."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from convscope.files.checked import Json
from convscope.report.charts import Curve, line_chart
from convscope.report.document import Block, Callout, Document, Figure
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.printable import few
from convscope.report.svg import Drawing, below
from convscope.report.table import Cell, Column, Row, Table
from convscope.report.units import percent, plural

# Shares from which on units are remarked on.
_MANY_DEAD, _MANY_SATURATED = 0.1, 0.5
_NAMED = 5
# Beyond these a layer's values have no scale of their own: see the remark.
_SMALL_NORM = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerHealth:
    """The units of one layer over a data set.

    Args:
        layer: its name.
        op: the operation, such as "relu".
        units: channels of a map, or units of a vector.
        dead: those that are 0 at every position of every image.
        saturated: share of values with |tanh| > 0.97, or a sigmoid outside 0.03 to 0.97; None for other operations.
        effective_rank: exponential of the entropy of the singular values of the channel matrix; None where not known.
        root_mean_square: of all values.
        not_finite: how many values are NaN or infinite.
    """

    layer: str
    op: str
    units: int
    dead: tuple[int, ...]
    saturated: float | None
    effective_rank: float | None
    root_mean_square: float
    not_finite: int = 0

    @property
    def dead_share(self) -> float:
        """The share of units that are dead, 0 to 1."""
        return len(self.dead) / max(1, self.units)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NetworkHealth(Pictured):
    """The health of a network's layers over a data set.

    Args:
        network: its name.
        data: the name of the images.
        images: how many were gone through.
        planned: how many there are: more, where it was interrupted.
        layers: in the order in which they ran.
    """

    network: str
    data: str
    images: int
    planned: int
    layers: tuple[LayerHealth, ...]

    def headline(self) -> str:
        """Return the network, the dead units and the saturated values."""
        dead, units = sum(len(found.dead) for found in self.layers), sum(found.units for found in self.layers)
        parts = [f"{dead:,} of {plural(units, 'unit')} dead ({percent(dead / max(1, units))})"]
        saturated = [found.saturated for found in self.layers if found.saturated is not None]
        if saturated:
            parts.append(f"up to {percent(max(saturated))} of a layer's values saturated")
        return f"{self.network} on {plural(self.images, 'image')} of {self.data}: {', '.join(parts)}"

    def to_dict(self) -> dict[str, Json]:
        """Return the figures as JSON's types.

        Keys:
            network: its name.
            data: the name of the images.
            images: how many were gone through.
            planned: how many there are.
            layers: of each layer, op, units, dead (their numbers), dead_share, saturated (share of values; None for
                operations that do not saturate), effective_rank, root_mean_square and not_finite.
        """
        fields = LayerHealth.__dataclass_fields__
        return json_dict({
            "network": self.network,
            "data": self.data,
            "images": self.images,
            "planned": self.planned,
            "layers": [
                {**{name: getattr(found, name) for name in fields}, "dead_share": found.dead_share}
                for found in self.layers
            ],
        })  # fmt: skip

    def figure(self) -> Drawing:
        """Draw over the layers the shares of dead units and saturated values, effective rank, and the norm."""
        places = range(1, len(self.layers) + 1)
        curves = [Curve("dead units", places, [100 * found.dead_share for found in self.layers])]
        if any(found.saturated is not None for found in self.layers):
            saturated = [None if found.saturated is None else 100 * found.saturated for found in self.layers]
            curves.append(Curve("saturated values", places, saturated))
        ranks = [
            None if found.effective_rank is None else 100 * found.effective_rank / max(1, found.units)
            for found in self.layers
        ]
        curves.append(Curve("effective rank, of the units", places, ranks))
        shares = line_chart(
            curves,
            title=f"Health of {self.network} over {plural(self.images, 'image')}",
            x_label="layer",
            y_label="%",
            y_limits=(0, 100),
        )
        norms = [math.log10(found.root_mean_square) if found.root_mean_square > 0 else None for found in self.layers]
        known = [norm for norm in norms if norm is not None]
        norm = line_chart(
            [Curve("activation norm", places, norms)],
            title="Norm of the activations (root mean square)",
            x_label="layer",
            y_label="log10 of the norm",
            # Whole powers of ten: small differences stay small.
            y_limits=(math.floor(min(known)), math.ceil(max(known)) + 1) if known else None,
            height=240,
        )
        return below(shares, norm, title=shares.title)

    def document(self) -> Document:
        """Return what is shown: remarks, the layers, and the charts."""
        names = ", ".join(f"{place} {found.layer}" for place, found in enumerate(self.layers, 1))
        blocks: tuple[Block, ...] = (
            *(Callout("note", remark) for remark in self.remarks()),
            self.table(),
            Figure(self.figure, f"Layers: {names}."),
        )
        return Document(f"Health of {self.network} on {plural(self.images, 'image')} of {self.data}", blocks)

    def remarks(self) -> Iterator[str]:
        """Yield a sentence on each thing that is out of the ordinary."""
        if self.images < self.planned:
            yield f"interrupted: {self.images:,} of {plural(self.planned, 'image')} gone through"
        dead = [found.layer for found in self.layers if found.dead_share >= _MANY_DEAD]
        if dead:
            yield f"a tenth of the units and more are dead in {few(dead, _NAMED)}: 0 for every image"
        saturated = [found.layer for found in self.layers if (found.saturated or 0) >= _MANY_SATURATED]
        if saturated:
            yield f"half of the values and more are saturated in {few(saturated, _NAMED)}: little gradient passes"
        small = [found.layer for found in self.layers if found.root_mean_square < _SMALL_NORM]
        if small:
            yield f"activations are nearly 0 in {few(small, _NAMED)}: a root mean square below {_SMALL_NORM:g}"
        broken = [found.layer for found in self.layers if found.not_finite]
        if broken:
            yield f"values are NaN or infinite in {few(broken, _NAMED)}"

    def table(self) -> Table:
        """Return the layers with their figures."""
        columns = [Column("layer"), Column("operation"), Column("units", numeric=True),
                   Column("dead", numeric=True, note="0 at every position of every image"),
                   Column("saturated", numeric=True, note="|tanh| > 0.97, a sigmoid outside 0.03 to 0.97"),
                   Column("effective rank", numeric=True, note="exp(entropy of singular values), at most the units"),
                   Column("norm", numeric=True, note="root mean square of the activations")]  # fmt: skip
        return Table(tuple(columns), tuple(Row.of(list(_cells(found))) for found in self.layers))


def _cells(found: LayerHealth) -> Iterator[Cell]:
    yield found.layer
    yield found.op
    yield f"{found.units:,}", found.units
    yield f"{len(found.dead):,} ({percent(found.dead_share)})" if found.dead else "0", len(found.dead)
    yield "–" if found.saturated is None else (percent(found.saturated), found.saturated)
    yield "?" if found.effective_rank is None else (f"{found.effective_rank:.1f}", found.effective_rank)
    yield f"{found.root_mean_square:.3g}", found.root_mean_square
