"""`models`: the networks that are built by name. No torch is imported here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from convscope.api.public import public
from convscope.nets import catalogue
from convscope.nets.entry import Entry
from convscope.report import units
from convscope.report.document import Block, Code, Document, Fact, Facts
from convscope.report.documented import Documented
from convscope.report.table import Column, Table
from convscope.report.usage import Placeholder, call_text


@dataclass(frozen=True, eq=False, repr=False)
class Models(Documented):
    """Networks of the catalogue, oldest first; one by itself is shown in full.

    >>> [entry.name for entry in models()][:2]
    ['lenet5', 'lenet5-1998']
    """

    entries: tuple[Entry, ...]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def headline(self) -> str:
        """Return how many there are, or which."""
        return self.entries[0].name if len(self) == 1 else units.plural(len(self), "network")

    def to_dict(self) -> dict[str, Any]:
        """Return the networks as JSON's types.

        Keys:
            models: the facts of each: name, title, year, paper, idea, input shape, parameters, published error,
                layers, classes, settings; of one by itself also its own options and its table of stages.
        """
        one = len(self) == 1
        return {"models": [{**entry.to_dict(), **(_details(entry) if one else {})} for entry in self.entries]}

    def document(self) -> Document:
        """Return what is shown: a line a network, or all facts of the one that was asked for."""
        if len(self) == 1:
            return _one(self.entries[0])
        columns = (
            Column("name"),
            Column("year"),
            Column("input"),
            Column("parameters", numeric=True),
            Column("layers", numeric=True),
            Column("idea"),
        )
        rows = [
            (
                entry.name,
                str(entry.year),
                units.shape(entry.input_shape),
                units.exact(entry.parameters),
                "" if entry.layers is None else str(entry.layers),
                entry.idea,
            )
            for entry in self.entries
        ]
        title = f"{units.plural(len(self), 'network')}, oldest first"
        return Document(title, (Table.of(columns, rows),), footer="Made by convscope models.")


@public
def models(name: str | None = None) -> Models:
    """Return the networks that are built by name, oldest first; or the one of a name, `timm/NAME` too.

    Raises:
        CaptureError: no network has this name; the nearest are suggested.

    >>> models("resnet50").entries[0].parameters
    25557032
    """
    return Models(catalogue.ENTRIES if name is None else (catalogue.find(name),))


def _details(entry: Entry) -> dict[str, Any]:
    options = catalogue.options(entry)
    return {
        "options": [{"name": one.name, "kind": one.kind, "default": one.default} for one in options],
        "stages": [{"module": module, "output_shape": list(shape)} for module, shape in catalogue.stages(entry)],
    }


def _one(entry: Entry) -> Document:
    facts = {
        "paper": entry.paper,
        "input": units.shape(entry.input_shape),
        "classes": units.exact(entry.num_classes),
        "parameters": units.exact(entry.parameters),
        "layers": "" if entry.layers is None else str(entry.layers),
        "published error": entry.published_error or "",
        "settings": ", ".join(f"{name} {value}" for name, value in entry.settings),
        "options": "; ".join(f"{one.name}={one.default} ({one.kind})" for one in catalogue.options(entry)),
    }
    blocks: list[Block] = [Facts(tuple(Fact(fact, value) for fact, value in facts.items() if value))]
    if stages := catalogue.stages(entry):
        rows = [(module, units.shape(shape)) for module, shape in stages]
        blocks.append(Table.of([Column("stage"), Column("output")], rows))
    commands = [call_text("inspect", entry.name)]
    if len(entry.image_size) == 2 and not entry.per_pixel:
        commands.append(call_text("train", Placeholder("DATA"), recipe={"model": entry.name}))
    title = f"{entry.title}{f' ({entry.year})' if entry.year else ''}: {entry.idea}"
    return Document(title, (*blocks, Code("\n".join(commands))), footer="Made by convscope models.")
