"""`inspect`: everything exact about a network, as one record with a terminal, a notebook and a JSON form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from convscope.graph.diagnose.diagnose import diagnose
from convscope.graph.diagnose.finding import DesignWarning
from convscope.graph.fold import FoldedLine, fold
from convscope.graph.json_form import graph_to_dict, spatial_inputs
from convscope.graph.memory import forward_memory
from convscope.graph.propagate import Source, propagate
from convscope.graph.receptive_field import ReceptiveField, summarise_all
from convscope.graph.records import Graph
from convscope.graph.summary import Layer, summarise_layers
from convscope.report.table import Table

if TYPE_CHECKING:
    import torch
    from rich.console import RenderableType

    from convscope.capture.inputs import Inputs
    from convscope.capture.left_as_found import CaptureMode
    from convscope.files.checked import Json


@dataclass(frozen=True, eq=False)
class Inspection:
    """A network with its sizes, costs, receptive fields and design warnings.

    Args:
        graph: what the network computed; `graph.error` says where the forward pass failed, if it did.
        fields: the receptive fields of every value of the graph.
        layers: one row per call of a leaf module or functional operation.
        warnings: findings about the design, warnings before notes.

    `print(inspection)` shows the table; a notebook shows it as HTML; `.to_dict()` gives the documented JSON form.
    """

    graph: Graph
    fields: Sequence[Mapping[Source, ReceptiveField]]
    layers: tuple[Layer, ...]
    warnings: tuple[DesignWarning, ...]

    @property
    def parameters(self) -> int:
        """Elements of all parameters, shared ones once."""
        return self.graph.parameter_count

    @property
    def macs(self) -> int:
        """Multiply-adds of one sample, of everything that can be counted."""
        return self.graph.macs // self.batch

    @property
    def activation_bytes(self) -> int:
        """Bytes of all layers' outputs for one sample: in-place results and views take none."""
        return sum(layer.activation_bytes for layer in self.layers) // self.batch

    @property
    def peak_bytes(self) -> int:
        """Bytes of inputs and activations alive at the worst moment of a forward pass, as the network was run."""
        return forward_memory(self.graph).peak_bytes

    @property
    def batch(self) -> int:
        """Samples that the network was run on."""
        shapes = [self.graph.shape(value) for value in self.graph.inputs]
        return max(1, shapes[0][0]) if shapes and shapes[0] else 1

    @property
    def error(self) -> str | None:
        """Why the forward pass stopped early; None when it finished."""
        return self.graph.error

    @cached_property
    def source(self) -> int | None:
        """The input against which receptive fields are shown: the first with spatial axes."""
        return next(iter(spatial_inputs(self.graph)), None)

    def layer(self, name: str) -> Layer:
        """The layer of this name.

        Raises:
            CaptureError: there is none; the nearest are suggested.
        """
        from convscope.errors import CaptureError, did_you_mean

        for layer in self.layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in self.layers]
        raise CaptureError(f"{self.graph.name} has no layer {name!r}.{did_you_mean(name, names)}")

    def lines(self, depth: int | None = None) -> tuple[FoldedLine, ...]:
        """The module tree as lines, repeated blocks folded, levels below `depth` collapsed."""
        return fold(self.graph, self.layers, depth=depth)

    def table(
        self,
        depth: int | None = None,
        *,
        formulas: bool = False,
        wide: bool = False,
        kept: Mapping[str, int] | None = None,
    ) -> Table:
        """The table of layers.

        Args:
            depth: levels of modules to show; all, with repeats folded, unless given.
            formulas: with how the MACs come about.
            wide: with where fields start, and memory.
            kept: bytes that training keeps of each layer, from `training_needs`; a column if given.
        """
        from convscope.interpret.inspection.layer_table import layer_table

        return layer_table(
            self.lines(depth), source=self.source, batch=self.batch, formulas=formulas, wide=wide, kept=kept
        )

    def to_dict(self) -> dict[str, Json]:
        """The documented JSON form."""
        return graph_to_dict(self.graph, self.layers, self.warnings)

    def to_html(self) -> str:
        """A self-contained page: table, drawings, warnings."""
        from convscope.interpret.inspection.page import inspection_page

        return inspection_page(self)

    def __str__(self) -> str:
        from convscope.interpret.inspection.text import inspection_text

        return inspection_text(self)

    def __rich__(self) -> RenderableType:
        from convscope.interpret.inspection.text import inspection_renderable

        return inspection_renderable(self)

    def _repr_html_(self) -> str:
        from convscope.interpret.inspection.page import inspection_fragment

        return inspection_fragment(self)


def inspect(
    model: torch.nn.Module | Callable[[], torch.nn.Module],
    inputs: Inputs,
    *,
    batch_size: int = 1,
    name: str = "",
    mode: CaptureMode = "eval",
    object_size: int | None = None,
) -> Inspection:
    """Work out every size, cost and receptive field of a network, without running it on numbers.

    Args:
        model: a module, left exactly as found; or a function that makes one, whose weights are then never allocated.
        inputs: the shape of one sample, such as (3, 224, 224), or whatever else `capture` takes.
        batch_size: samples that it is run on; figures are those of one sample, and totals also of the batch.
        name: what to call it; its class's name unless given.
        mode: "eval", "train", or "as is".
        object_size: side of what is to be recognised, in pixels, to be warned where no position sees it whole.

    Returns:
        The inspection; when the forward pass fails, of what ran before, and `.error` says where and why.

    Raises:
        CaptureError: the model can't be built, or the inputs can't be made.

    >>> import torch
    >>> inspection = inspect(torch.nn.Conv2d(3, 10, 5, padding=2), (3, 32, 32))
    >>> inspection.parameters, inspection.macs, inspection.layers[0].output_shape
    (760, 768000, (1, 10, 32, 32))
    """
    from convscope.capture.capture import capture

    return inspect_graph(capture(model, inputs, batch_size=batch_size, name=name, mode=mode), object_size=object_size)


def inspect_graph(graph: Graph, *, object_size: int | None = None) -> Inspection:
    """The inspection of a graph that was captured before."""
    fields = summarise_all(propagate(graph))
    layers = summarise_layers(graph, fields)
    return Inspection(graph, fields, layers, diagnose(graph, layers, fields, object_size=object_size))
