"""`compare`: several networks side by side, and for two that are kin what differs layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from convscope.api.annotations import REFUSED, described, needed, taken
from convscope.api.public import public
from convscope.capture.inputs import Inputs
from convscope.capture.load import ModelLike
from convscope.errors import ArgumentError, CaptureError
from convscope.graph.figures import Difference, Figures, differences, figures
from convscope.graph.json_form import number
from convscope.graph.summary import Layer
from convscope.interpret.inspection.layer_table import field_size, macs_of, operation, output_shape, range_text
from convscope.interpret.inspection.record import Inspection, inspected
from convscope.report import units
from convscope.report.charts import bar_chart
from convscope.report.document import Block, Document, Figure, Heading
from convscope.report.documented import Pictured
from convscope.report.json_values import json_dict
from convscope.report.short_repr import short_path
from convscope.report.svg import Drawing, below
from convscope.report.table import Column, Table

if TYPE_CHECKING:
    from convscope.files.checked import Json

VERSION = 1
_SHOWN = 40  # differing layers that are printed
_KIN = 0.5  # the share of names that two networks must have in common to be compared layer by layer


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Pictured):
    """Inspections side by side; `print(comparison)` shows them, `.to_dict()` gives JSON's types."""

    inspections: tuple[Inspection, ...]

    def __post_init__(self) -> None:
        if taken(self.inspections, tuple[Inspection, ...]) is REFUSED:
            what = needed(Inspection)
            raise ArgumentError(f"Comparison: inspections is {described(self.inspections)}: give a tuple of {what}")

    @cached_property
    def figures(self) -> tuple[Figures, ...]:
        """The figures of each."""
        return tuple(figures(x.graph, x.layers, x.warnings, x.network_field, x.local_field) for x in self.inspections)

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """What differs between two networks that have most of their layers' names in common; else nothing."""
        if len(self.inspections) != 2:
            return ()
        first, second = (inspection.layers for inspection in self.inspections)
        names = [{layer.name for layer in layers} for layers in (first, second)]
        kin = len(names[0] & names[1]) >= _KIN * min(map(len, names))
        return differences(first, second) if kin else ()

    def table(self) -> Table:
        """Return a row per figure, a column per network, and for two how many times the one is the other."""
        rows = [
            ("input", [units.shape(f.input_shape) for f in self.figures], ()),
            ("parameters", [units.exact(f.parameters) for f in self.figures], [f.parameters for f in self.figures]),
            ("weights", [units.byte_size(f.parameter_bytes) for f in self.figures], ()),
            ("MACs", [units.exact(f.macs) for f in self.figures], [f.macs for f in self.figures]),
            ("activations", [units.byte_size(f.activation_bytes) for f in self.figures],
             [f.activation_bytes for f in self.figures]),
            ("weighted layers, deep", [units.exact(f.depth) for f in self.figures], ()),
            ("layers in all", [units.exact(f.layers) for f in self.figures], ()),
            ("receptive field", [_field(f) for f in self.figures], ()),
            ("stride there", [_stride(f) for f in self.figures], ()),
            ("warnings, notes", [f"{f.warnings}, {f.notes}" for f in self.figures], ()),
        ]  # fmt: skip
        if any(f.local_field for f in self.figures):
            apart = [units.per_axis(f.local_field) if f.local_field else _field(f) for f in self.figures]
            rows.insert(-1, ("apart from gates", apart, ()))
        if any(f.uncounted for f in self.figures):
            rows.append(("uncounted layers", [units.exact(f.uncounted) for f in self.figures], ()))
        pair = len(self.figures) == 2
        columns = [Column(""), *(Column(f.name, numeric=True) for f in self.figures)]
        columns += [Column("second / first", numeric=True)] if pair else []
        return Table.of(columns, [[name, *cells, *([_ratio(values)] if pair else [])] for name, cells, values in rows])

    def difference_table(self) -> Table:
        """Return what differs between two networks, layer by layer."""
        first, second = self.inspections
        columns = [Column("layer"), Column(first.graph.name), Column(second.graph.name)]
        rows = [
            (_run_name(run), _run_text([d.first for d in run], first), _run_text([d.second for d in run], second))
            for run in _runs(self.differences)
        ]
        more = len(rows) - _SHOWN
        return Table.of(columns, [*rows[:_SHOWN], *([(f"and {more} more", "", "")] if more > 0 else [])])

    def headline(self) -> str:
        """Return each network's name and parameters, and how many layers differ."""
        each = ", ".join(f"{short_path(f.name)} {units.count(f.parameters)}" for f in self.figures)
        return f"{each} parameters" + f"; {units.plural(len(self.differences), 'layer')} differ" * bool(
            self.differences
        )

    def figure(self) -> Drawing:
        """Draw parameters and MACs of each network as bars."""
        return below(
            *(
                bar_chart(
                    [(f.name, float(value)) for f, value in zip(self.figures, values, strict=True)],
                    title=title,
                    labels=[units.count(value) for value in values],
                )
                for title, values in (
                    ("Parameters", [f.parameters for f in self.figures]),
                    ("MACs", [f.macs for f in self.figures]),
                )
            ),
            title=" and ".join(f.name for f in self.figures),
        )

    def to_dict(self) -> dict[str, Json]:
        """Return the figures and the differing layers as JSON's types; docs/inspect.md describes each key.

        Keys:
            version: of this form; within one, keys are only added.
            models: the figures of each network.
            differences: the layers that differ, and in which of two networks each is.
        """
        models: list[Json] = []
        for figure in self.figures:
            form = asdict(figure)
            for name in ("input_shape", "field", "least_field", "local_field"):
                form[name] = list(form[name])
            models.append(form | {"stride": [number(s) for s in figure.stride]})
        changed: list[Json] = [
            {"layer": d.name, "first": d.first is not None, "second": d.second is not None} for d in self.differences
        ]
        return json_dict({"version": VERSION, "models": models, "differences": changed})

    def document(self) -> Document:
        """Return what is shown: the figures, and what differs layer by layer."""
        blocks: list[Block] = [self.table(), Figure(self.figure)]
        if self.differences:
            blocks += [Heading("Differences, layer by layer"), self.difference_table()]
        return Document(" and ".join(f.name for f in self.figures), tuple(blocks), footer="Made by convscope compare.")


def _field(figure: Figures) -> str:
    return range_text(figure.least_field, figure.field) if figure.field else "–"


def _stride(figure: Figures) -> str:
    texts = ["–" if stride is None else str(stride) for stride in figure.stride]
    return "–" if not texts else texts[0] if len(set(texts)) == 1 else "×".join(texts)


def _ratio(values: Sequence[int]) -> str:
    return units.times(values[1] / values[0]) if values and values[0] else ""


def _runs(changed: Sequence[Difference]) -> list[list[Difference]]:
    """Neighbours in one block that only one of the networks has, together; all others by themselves."""
    runs: list[list[Difference]] = []
    for difference in changed:
        sides = difference.first is None, difference.second is None
        last = runs[-1][-1] if runs else None
        same_side = last is not None and any(sides) and sides == (last.first is None, last.second is None)
        if same_side and last is not None and _block(difference) == _block(last):
            runs[-1].append(difference)
        else:
            runs.append([difference])
    return runs


def _block(difference: Difference) -> str:
    layer = difference.first or difference.second
    assert layer is not None, "a difference has a side"
    return layer.module.rpartition(".")[0] if layer.kind else layer.module


def _run_name(run: Sequence[Difference]) -> str:
    return run[0].name if len(run) == 1 else _block(run[0]) or "the model"


def _run_text(run: Sequence[Layer | None], inspection: Inspection) -> str:
    if len(run) == 1 or run[0] is None:
        return _layer_text(run[0], inspection)
    parameters = sum(layer.parameters for layer in run if layer)
    macs = sum(layer.macs or 0 for layer in run if layer)
    layers = units.plural(len(run), "layer")
    return f"{layers}, {units.plural(parameters, 'parameter')}, {macs_of(macs, inspection.batch)} MACs"


def _layer_text(layer: Layer | None, inspection: Inspection) -> str:
    if layer is None:
        return "–"
    parts = [operation(layer), output_shape(layer)]
    if layer.parameters:
        parts.append(units.plural(layer.parameters, "parameter"))
    if layer.macs:
        parts.append(f"{macs_of(layer.macs, inspection.batch)} MACs")
    if inspection.source is not None:
        parts.append(f"field {field_size(layer.field_along(inspection.source))}")
    return ", ".join(parts)


@public
def compare(
    *models: Inspection | ModelLike | tuple[ModelLike, Inputs], input_shape: Inputs | None = None
) -> Comparison:
    """Compare networks side by side.

    Args:
        models: two or more: inspections, anything that `inspect` takes, or a pair of that and its input shape.
        input_shape: of all that have none beside them; each model's own unless given.

    Raises:
        CaptureError: fewer than two; a model that can't be found, or does not run on its input.

    >>> [f.parameters for f in compare("lenet5", "alexnet-mini").figures]
    [61706, 2473610]
    >>> import torch
    >>> [f.parameters for f in compare(*(torch.nn.Conv2d(3, 8, k) for k in (3, 5)), input_shape=(3, 32, 32)).figures]
    [224, 608]
    """
    if len(models) < 2:
        raise CaptureError(f"comparing takes two models or more, got {len(models)}")
    found = []
    for given in models:
        if isinstance(given, Inspection):
            found.append(inspected(given))
        elif isinstance(given, tuple):
            found.append(inspected(given[0], given[1]))
        else:
            found.append(inspected(given, input_shape))
    return Comparison(tuple(found))
