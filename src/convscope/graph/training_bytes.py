"""One training step's memory, part by part."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from convscope.report import units
from convscope.report.charts import bar_chart
from convscope.report.document import Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.svg import Drawing

if TYPE_CHECKING:
    from convscope.files.checked import Json


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TrainingBytes(Pictured):
    """One training step's memory, in bytes.

    Args:
        weights: parameters.
        buffers: running statistics and the like.
        gradients: one number per trainable weight.
        optimizer: the optimizer's state.
        saved: what autograd keeps of the forward pass, the input batch included.
        passing: what else is alive at the worst moment: results and gradients on their way.
    """

    weights: int
    buffers: int
    gradients: int
    optimizer: int
    saved: int
    passing: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.buffers + self.gradients + self.optimizer + self.saved + self.passing

    def headline(self) -> str:
        """Return the total and the largest part."""
        what, largest = max(self.parts, key=lambda part: part[1])
        return f"{units.byte_size(self.total)}, of it {units.byte_size(largest)} {what}"

    @property
    def parts(self) -> list[tuple[str, int]]:
        """What takes the memory, and the bytes of each; buffers are among the weights."""
        return [
            ("kept for the backward pass", self.saved),
            ("passing", self.passing),
            ("weights", self.weights + self.buffers),
            ("gradients", self.gradients),
            ("optimizer", self.optimizer),
        ]

    def to_dict(self) -> dict[str, Json]:
        """Return the bytes as JSON's types.

        Keys:
            weights: parameters.
            buffers: running statistics and the like.
            gradients: one number per trainable weight.
            optimizer: the optimizer's state.
            saved: what autograd keeps of the forward pass.
            passing: what else is alive at the worst moment.
            total: all of it.
        """
        return {**asdict(self), "total": self.total}

    def figure(self) -> Drawing:
        """Draw the parts as bars."""
        return bar_chart(
            [(what, float(size)) for what, size in self.parts],
            title="Memory of a training step",
            labels=[units.byte_size(size) for _, size in self.parts],
        )

    def document(self) -> Document:
        """Return what is shown: the total and its parts."""
        facts = [Fact(what, units.byte_size(size), size) for what, size in (*self.parts, ("in all", self.total))]
        return Document("Memory of a training step", (Facts(tuple(facts)), Figure(self.figure)))
