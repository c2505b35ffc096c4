"""Memory: what is alive at the worst moment of a forward pass, and of a training step, for any batch size.

Bytes are those of tensors: what an allocator rounds up, what a kernel needs while it works, and what the framework
itself takes come on top. Gradients of weights count in full throughout, as they do when they are accumulated or zeroed
in place; a step that drops them beforehand has them grow while the saved tensors go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from convscope.api.annotations import NotNegative, Positive
from convscope.api.public import public
from convscope.errors import CaptureError
from convscope.graph.records import Graph, Node, Value
from convscope.graph.summary import summarise_layers
from convscope.graph.training_bytes import TrainingBytes
from convscope.report import units
from convscope.report.charts import bar_chart
from convscope.report.document import Document, Fact, Facts, Figure
from convscope.report.documented import Pictured
from convscope.report.svg import Drawing
from convscope.report.table import Column, Table

if TYPE_CHECKING:
    from convscope.files.checked import Json

OptimizerKind = Literal["sgd", "momentum", "adam"]

# Numbers that an optimizer keeps for each trainable weight.
OPTIMIZER_STATE: dict[OptimizerKind, int] = {"sgd": 0, "momentum": 1, "adam": 2}

_Bytes = npt.NDArray[np.float64]
_SHOWN_BATCHES = (1, 8, 32, 128)
_SHOWN_LAYERS = 12


@dataclass(frozen=True, slots=True)
class ForwardMemory:
    """The worst moment of a forward pass without gradients.

    Args:
        peak_bytes: bytes of inputs and activations alive then; weights and buffers are not among them.
        node: the operation that runs then; None in a graph without operations.
    """

    peak_bytes: int
    node: int | None


def forward_memory(graph: Graph) -> ForwardMemory:
    """Return the peak memory of a forward pass; a tensor is alive from the operation that makes it to its last reader.

    In-place operations and views take no memory of their own; inputs and outputs stay with the caller.
    """
    if not graph.nodes:
        return ForwardMemory(sum(graph.values[v].spec.bytes for v in graph.inputs), None)
    alive = _forward_alive(graph, _storages(graph), _last_reads(graph))
    node = int(np.argmax(alive))
    return ForwardMemory(int(alive[node]), node)


def saved_bytes(graph: Graph) -> dict[int, int]:
    """Return the bytes that each node makes autograd keep, by node; memory that several keep counts for the first.

    The graph must have been captured with gradients. Weights and buffers are no extra memory.
    """
    owners = _storages(graph)
    kept: dict[int, int] = {}
    seen: set[int] = set()
    for node in graph.nodes:
        for storage in _saved_storages(graph, node):
            if storage in owners and storage not in seen:
                seen.add(storage)
                kept[node.index] = kept.get(node.index, 0) + owners[storage].spec.bytes
    return kept


class TrainingMemory(Pictured):
    """A network's training memory for any batch size, from two captures with gradients that differ in it alone.

    Args:
        small: the network captured in training mode, with gradients, on one batch size.
        large: the same on a larger one.

    Raises:
        CaptureError: the two ran different operations, or on batches of one size, or one of them failed.
    """

    def __init__(self, small: Graph, large: Graph) -> None:
        for graph in (small, large):
            if graph.error is not None:
                raise CaptureError(f"training memory needs a forward pass in training, which failed: {graph.error}")
        first, second = self._batches = _batches(small, large)
        if [n.target for n in small.nodes] != [n.target for n in large.nodes]:
            raise CaptureError(
                f"{small.name} runs different operations on {first} and {second} samples: "
                "its training memory is not a matter of batch size alone"
            )
        self._small, self._large = small, large

    @public
    def at(self, batch_size: Positive, *, optimizer: OptimizerKind = "sgd") -> TrainingBytes:
        """Return the bytes of one training step on this many samples."""
        small, large = self._figures(self._small), self._figures(self._large)
        first, second = self._batches
        share = (batch_size - first) / (second - first)
        saved, moments = (a + (b - a) * share for a, b in zip(small, large, strict=True))
        parameters = [p for p in self._small.parameters if not p.buffer]
        trainable = sum(p.spec.bytes for p in parameters if p.trainable)
        kept = round(float(saved))
        return TrainingBytes(
            weights=sum(p.spec.bytes for p in parameters),
            buffers=sum(p.spec.bytes for p in self._small.parameters if p.buffer),
            gradients=trainable,
            optimizer=OPTIMIZER_STATE[optimizer] * trainable,
            saved=kept,
            passing=max(0, round(float(moments.max(initial=0.0))) - kept),
        )

    @property
    def graph(self) -> Graph:
        """The smaller of the two captures."""
        return self._small

    @cached_property
    def kept(self) -> dict[str, int]:
        """Bytes of one sample that autograd keeps of each layer, by the layer's name; layers with none left out."""
        graph, per_node = self.graph, self.saved_per_sample()
        layers = summarise_layers(graph, [{} for _ in graph.values])
        kept = {layer.name: sum(per_node.get(node, 0) for node in layer.nodes) for layer in layers}
        return {name: size for name, size in kept.items() if size}

    def facts(self, batch_size: int | None, limit_bytes: int | None, optimizer: OptimizerKind) -> list[Fact]:
        """Return what a batch of this size takes, the largest batch that fits a limit, and what is kept of a sample."""
        facts = []
        if batch_size is not None:
            step = self.at(batch_size, optimizer=optimizer)
            samples = f"{units.plural(batch_size, 'sample')} with {optimizer}"
            parts = ", ".join(f"{units.byte_size(size)} {what}" for what, size in step.parts if size)
            detail = f"{samples}: {units.byte_size(step.total)}, of it {parts}"
            facts.append(Fact("training", units.byte_size(step.total), step.total, detail))
        if limit_bytes is not None:
            largest = self.largest_batch(limit_bytes, optimizer=optimizer)
            room = units.byte_size(limit_bytes)
            found = f"at most {units.plural(largest, 'sample')} with {optimizer} in {room}"
            facts.append(Fact("batch", units.exact(largest), largest, found if largest else f"none fits in {room}"))
        if self.kept:
            total = sum(self.kept.values())
            top = sorted(self.kept.items(), key=lambda item: -item[1])[:3]
            most = ", ".join(f"{name} {units.byte_size(size)}" for name, size in top)
            size = units.byte_size(total)
            facts.append(Fact("kept", size, total, f"{size} of each sample; most of it of {most}"))
        return facts

    def document(self) -> Document:
        """Return what steps on some batch sizes take, part by part, and what is kept of each sample."""
        steps = [(size, self.at(size)) for size in _SHOWN_BATCHES]
        columns = [Column("batch", numeric=True), *(Column(what, numeric=True) for what, _ in steps[0][1].parts)]
        rows = [
            [(units.exact(size), size), *((units.byte_size(part), part) for _, part in step.parts),
             (units.byte_size(step.total), step.total)]
            for size, step in steps
        ]  # fmt: skip
        table = Table.of([*columns, Column("in all", numeric=True)], rows)
        title = f"{self.graph.name}: memory of a training step with plain SGD"
        blocks = (table, Figure(self.figure)) if self.kept else (table,)
        return Document(title, blocks, summary=(Facts(tuple(self.facts(None, None, "sgd"))),))

    def headline(self) -> str:
        """Return the name, and what is kept of each sample."""
        step = units.byte_size(self.at(1).total)
        return f"{self.graph.name}: {step} for one sample with plain SGD, each more keeps {self._kept_text}"

    @property
    def _kept_text(self) -> str:
        return units.byte_size(sum(self.kept.values()))

    def figure(self) -> Drawing:
        """Draw what autograd keeps of each sample, by layer, the largest first."""
        largest = sorted(self.kept.items(), key=lambda item: -item[1])[:_SHOWN_LAYERS]
        return bar_chart(
            [(name, float(size)) for name, size in largest],
            title=f"Kept of each sample for the backward pass, {self._kept_text}",
            labels=[units.byte_size(size) for _, size in largest],
        )

    def to_dict(
        self, batch_size: int | None = None, limit_bytes: int | None = None, optimizer: OptimizerKind = "sgd"
    ) -> dict[str, Json]:
        """Return what is kept of each sample, what a batch of this size takes, and the largest that fits, in bytes.

        Keys:
            optimizer: whose state is counted.
            kept_bytes_per_sample: what autograd keeps of each layer, by the layer's name.
            batch_size: the batch that was asked for; None without one.
            bytes: what it takes, with the keys of `TrainingBytes.to_dict`; None without one.
            limit_bytes: the limit that was asked for; None without one.
            largest_batch: the most samples that fit it; None without one.
        """
        step = None if batch_size is None else self.at(batch_size, optimizer=optimizer).to_dict()
        largest = None if limit_bytes is None else self.largest_batch(limit_bytes, optimizer=optimizer)
        return {
            "optimizer": optimizer,
            "kept_bytes_per_sample": dict(self.kept),
            "batch_size": batch_size,
            "bytes": step,
            "limit_bytes": limit_bytes,
            "largest_batch": largest,
        }

    def saved_per_sample(self) -> dict[int, int]:
        """Return the bytes that each node of `graph` makes autograd keep for every sample more."""
        small, large = saved_bytes(self._small), saved_bytes(self._large)
        more = self._batches[1] - self._batches[0]
        return {node: (kept - small.get(node, 0)) // more for node, kept in large.items()}

    @public
    def largest_batch(self, limit_bytes: NotNegative, *, optimizer: OptimizerKind = "sgd") -> int:
        """Return the most samples whose training step takes no more than this; 0 when not even one does."""

        def fits(batch_size: int) -> bool:
            return self.at(batch_size, optimizer=optimizer).total <= limit_bytes

        if not fits(1) or self.at(2, optimizer=optimizer).total <= self.at(1, optimizer=optimizer).total:
            return 0
        low, high = 1, 2
        while fits(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low

    def _figures(self, graph: Graph) -> tuple[_Bytes, _Bytes]:
        """Return the bytes saved by the end of the forward pass, and those alive at each step of both passes."""
        owners = _storages(graph)
        first_saver = _first_savers(graph, owners)
        saved = np.float64(sum(owners[s].spec.bytes for s in first_saver))
        last = _last_reads(graph)
        forward = _forward_alive(graph, owners, last, kept=first_saver)
        backward = _backward_alive(graph, owners, first_saver, last)
        return np.asarray(saved), np.concatenate([forward, backward])


def _batches(small: Graph, large: Graph) -> tuple[int, int]:
    """Return the batch sizes of two captures: the sizes of the first axis of an input that differs between them."""
    for one, other in zip(small.inputs, large.inputs, strict=True):
        for first, second in zip(small.shape(one), large.shape(other), strict=True):
            if first != second:
                return first, second
    raise CaptureError(
        f"{small.name} ran on inputs with a batch of their own: give the shape of one sample, without a batch, for "
        "training memory by batch size"
    )


def _storages(graph: Graph) -> dict[int, Value]:
    """Return each storage with the value that it was made for, without weights and constants."""
    owners: dict[int, Value] = {}
    outside: set[int] = set()
    for value in graph.values:
        if value.storage in owners or value.storage in outside:
            continue
        if value.kind in ("parameter", "buffer") or (value.kind == "constant" and value.producer is None):
            outside.add(value.storage)
        else:
            owners[value.storage] = value
    return owners


def _last_reads(graph: Graph) -> dict[int, int]:
    """Return the last node that reads each memory; what the caller holds is read after the last node."""
    last = {value.storage: -1 if value.producer is None else value.producer for value in graph.values}
    for node in graph.nodes:
        for value in (*node.inputs, *node.outputs):
            last[graph.values[value].storage] = node.index
    for value in (*graph.inputs, *graph.outputs):
        last[graph.values[value].storage] = len(graph.nodes)
    return last


def _spans(count: int, spans: Iterable[tuple[int, int, int]]) -> _Bytes:
    """Return the bytes alive at each of `count` moments from (first moment, last moment, bytes), both ends included."""
    change = np.zeros(count + 1)
    for first, last, size in spans:
        change[max(first, 0)] += size
        change[min(last, count - 1) + 1] -= size
    return np.cumsum(change[:count])


def _forward_alive(
    graph: Graph, owners: dict[int, Value], last: dict[int, int], kept: dict[int, int] | None = None
) -> _Bytes:
    end = len(graph.nodes)
    return _spans(
        end,
        (
            (-1 if owner.producer is None else owner.producer, end if kept and s in kept else last[s], owner.spec.bytes)
            for s, owner in owners.items()
        ),
    )


def _backward_alive(
    graph: Graph, owners: dict[int, Value], first_saver: dict[int, int], last: dict[int, int]
) -> _Bytes:
    """Moments of the backward pass, the last node first.

    What was saved is freed when the first node that saved it has run backward. A tensor's gradient is held from
    the step of its last reader to that of its producer. Inputs and outputs stay with the caller.
    """
    end = len(graph.nodes)
    held = {graph.values[v].storage for v in (*graph.inputs, *graph.outputs)}
    spans: list[tuple[int, int, int]] = []
    for storage, owner in owners.items():
        size = owner.spec.bytes
        if storage in held:
            spans.append((0, end - 1, size))
        elif storage in first_saver:
            spans.append((0, end - 1 - first_saver[storage], size))
        if owner.producer is not None and owner.spec.dtype.startswith(("float", "bfloat")):
            spans.append((end - 1 - min(last[storage], end - 1), end - 1 - owner.producer, size))
    return _spans(end, spans)


def _saved_storages(graph: Graph, node: Node) -> Sequence[int]:
    return tuple(dict.fromkeys(graph.values[v].storage for v in node.saved))


def _first_savers(graph: Graph, owners: dict[int, Value]) -> dict[int, int]:
    """Return the first node that saves each memory."""
    first: dict[int, int] = {}
    for node in graph.nodes:
        for storage in _saved_storages(graph, node):
            if storage in owners:
                first.setdefault(storage, node.index)
    return first
