"""What training a network keeps in memory: in all, for a batch size and an optimizer, and layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from convscope.graph.memory import OptimizerKind, TrainingBytes, TrainingMemory
from convscope.graph.summary import summarise_layers
from convscope.report import units

if TYPE_CHECKING:
    import torch

    from convscope.capture.inputs import Inputs
    from convscope.files.checked import Json


@dataclass(frozen=True, eq=False)
class TrainingNeeds:
    """The memory of a training step.

    Args:
        memory: for any batch size and optimizer.
        kept: bytes of one sample that autograd keeps of each layer, by the layer's name.
    """

    memory: TrainingMemory
    kept: Mapping[str, int]

    def lines(self, batch_size: int | None, limit_bytes: int | None, optimizer: OptimizerKind) -> list[tuple[str, str]]:
        """What a batch of this size takes, and the largest batch that fits a limit, in ink."""
        lines = []
        if batch_size is not None:
            step = self.memory.at(batch_size, optimizer=optimizer)
            samples = units.plural(batch_size, "sample")
            lines.append(
                ("training", f"{samples} with {optimizer}: {units.byte_size(step.total)}, of it {_parts(step)}")
            )
        if limit_bytes is not None:
            largest = self.memory.largest_batch(limit_bytes, optimizer=optimizer)
            room = units.byte_size(limit_bytes)
            told = (
                f"{units.plural(largest, 'sample')} with {optimizer} in {room}" if largest else f"none fits in {room}"
            )
            lines.append(("batch", f"at most {told}" if largest else told))
        top = sorted(self.kept.items(), key=lambda item: -item[1])[:3]
        if top and top[0][1]:
            most = ", ".join(f"{name} {units.byte_size(kept)}" for name, kept in top)
            lines.append(("kept", f"{units.byte_size(sum(self.kept.values()))} of each sample; most of it of {most}"))
        return lines

    def to_dict(self, batch_size: int | None, limit_bytes: int | None, optimizer: OptimizerKind) -> dict[str, Json]:
        """The same as JSON's types, in bytes."""
        form: dict[str, Json] = {"optimizer": optimizer, "kept_bytes_per_sample": dict(self.kept)}
        if batch_size is not None:
            step = self.memory.at(batch_size, optimizer=optimizer)
            form |= {"batch_size": batch_size, "bytes": {**asdict(step), "total": step.total}}
        if limit_bytes is not None:
            largest = self.memory.largest_batch(limit_bytes, optimizer=optimizer)
            form |= {"limit_bytes": limit_bytes, "largest_batch": largest}
        return form


def training_needs(
    model: torch.nn.Module | Callable[[], torch.nn.Module], inputs: Inputs, *, name: str = ""
) -> TrainingNeeds:
    """Work out what a training step keeps, from what autograd really saves; arguments and errors as `inspect`.

    >>> import torch
    >>> needs = training_needs(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU()), (3, 16, 16))
    >>> needs.kept == {"0": 3 * 16 * 16 * 4, "1": 8 * 16 * 16 * 4}
    True
    """
    from convscope.capture.training import training_memory

    memory = training_memory(model, inputs, name=name)
    graph = memory.graph
    layers = summarise_layers(graph, [{} for _ in graph.values])
    per_node = memory.saved_per_sample()
    kept = {layer.name: sum(per_node.get(node, 0) for node in layer.nodes) for layer in layers}
    return TrainingNeeds(memory, {name: size for name, size in kept.items() if size})


def _parts(step: TrainingBytes) -> str:
    parts = (
        ("kept for the backward pass", step.saved),
        ("passing", step.passing),
        ("weights", step.weights + step.buffers),
        ("gradients", step.gradients),
        ("optimizer", step.optimizer),
    )
    return ", ".join(f"{units.byte_size(size)} {what}" for what, size in parts if size)
