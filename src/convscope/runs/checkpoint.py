"""Checkpoints: all that a run needs to go on as if it had never stopped, in one folder per checkpoint.

    checkpoint/step-000001234/
      tensors.safetensors   model/*, best/*, average/*, optimizer/<parameter>/<slot>
      state.json            epoch, step, best, the rows so far, what the bits depend on
      MANIFEST.json         size and hash of both; written last
    checkpoint/plan.json    a plan of the steps that was made for the newest checkpoint after it was written

No pickle. A checkpoint is taken at the end of an epoch, and every random draw is decided by (seed, epoch, step), so
there is no generator to restore.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convscope.errors import RunError
from convscope.files.checked import parse_json, read_json
from convscope.files.fields import Fields
from convscope.files.regular import refused_as
from convscope.nets.weights.fit import Weights
from convscope.report.usage import settings_text
from convscope.runs.atomic_files import read_folder, remove_folder, write_file, write_folder
from convscope.runs.progress import MOST_STEPS
from convscope.runs.tensor_files import read_tensors, tensor_bytes

FORMAT = 1
KEPT = 2
TENSORS, STATE, PLAN = "tensors.safetensors", "state.json", "plan.json"
MODEL, BEST, AVERAGE, OPTIMIZER = "model/", "best/", "average/", "optimizer/"


@dataclass(frozen=True)
class Checkpoint:
    """What was saved: weights, the best weights, the optimizer's tensors by parameter and slot, and plain values.

    `average` are the averaged weights, empty where none are kept.
    """

    model: Weights
    best: Weights
    optimizer: Weights
    values: dict[str, Any]
    average: Weights = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """How many epochs were done; 0 where that is not known."""
        epoch = self.values.get("epoch", 0)
        return epoch if isinstance(epoch, int) else 0

    @property
    def measured(self) -> Weights:
        """The weights whose accuracy the run's table has for this epoch: the averaged ones, or else the model's."""
        return self.average or self.model

    def copied(self) -> Checkpoint:
        """Return a copy on the CPU, which training does not change; the best weights already are one."""
        return replace(
            self, model=_copied(self.model), average=_copied(self.average), optimizer=_copied(self.optimizer)
        )


def _copied(tensors: Mapping[str, Tensor]) -> Weights:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def optimizer_tensors(network: nn.Module, optimizer: torch.optim.Optimizer) -> Weights:
    """Return the optimizer's state by the parameters' names, like "conv1.weight/momentum_buffer"."""
    found = {}
    for name, parameter in network.named_parameters():
        for slot, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                assert isinstance(value, Tensor), f"{name}/{slot} is not a tensor"
                found[f"{name}/{slot}"] = value
    return found


def load_optimizer(network: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put into the optimizer the state that `optimizer_tensors` read, in the memory layout of each parameter."""
    parameters = dict(network.named_parameters())
    for key, tensor in tensors.items():
        name, _, slot = key.rpartition("/")
        if name not in parameters:
            raise RunError(f"the checkpoint's optimizer has state for {name!r}, which the network does not have")
        parameter = parameters[name]
        if tensor.shape == parameter.shape:
            value = torch.empty_like(parameter, dtype=tensor.dtype, requires_grad=False).copy_(tensor)
        else:
            value = tensor.clone()
        optimizer.state[parameter][slot] = value.detach()


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `folder/step-NNN` whole or not at all, then remove all but the newest two."""
    tensors = {
        **{MODEL + name: tensor for name, tensor in checkpoint.model.items()},
        **{BEST + name: tensor for name, tensor in checkpoint.best.items()},
        **{AVERAGE + name: tensor for name, tensor in checkpoint.average.items()},
        **{OPTIMIZER + name: tensor for name, tensor in checkpoint.optimizer.items()},
    }
    values = {"format": FORMAT, **checkpoint.values}
    target = folder / f"step-{checkpoint.values['step']:09d}"
    write_folder(target, {TENSORS: tensor_bytes(tensors), STATE: json.dumps(values, indent=2, allow_nan=False)})
    with suppress(OSError):  # a plan of an earlier step is not read
        (folder / PLAN).unlink(missing_ok=True)
    for old in saved_checkpoints(folder)[:-KEPT]:
        remove_folder(old)
    return target


def save_plan(folder: Path, *, step: int, plan: Mapping[str, Any]) -> None:
    """Write the plan that was made for the checkpoint of a step, which stays as it is."""
    write_file(folder / PLAN, json.dumps({"format": FORMAT, "step": step, "plan": plan}))


def load_plan(folder: Path, *, step: int) -> Fields | None:
    """Return the plan that was made for the checkpoint of a step, or None; raises UnreadableError."""
    if not os.path.lexists(folder / PLAN):
        return None
    fields = read_json(folder / PLAN)
    fields.require_format(FORMAT, remedy="train again")
    fields.require_only("format", "step", "plan")
    made_for = fields.integer("step", at_least=0, at_most=MOST_STEPS)
    return fields.object("plan") if made_for == step else None


def saved_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, oldest first, without half-written ones."""
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint that is whole, or None where none was ever written.

    Raises:
        RunError: there are checkpoints, and none of them is whole.
    """
    reasons = []
    for path in reversed(saved_checkpoints(folder)):
        try:
            return read_checkpoint(path)
        except RunError as error:
            reasons.append(str(error))
    if reasons:
        raise RunError(
            f"no checkpoint in {folder} can be used: {'; '.join(reasons)}; start a new run with "
            f"{settings_text(recipe=folder.parent / 'recipe.toml')}"
        )
    return None


def epoch_of(path: Path) -> int | None:
    """Return how many epochs were done at the checkpoint in a folder `step-NNN`; None where it does not say.

    Its tensors are not read.

    Raises:
        RunError: its state can't be read.
    """
    with refused_as(RunError, path / STATE):
        epoch = read_json(path / STATE).values.get("epoch")
    return epoch if isinstance(epoch, int) else None


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the checkpoint in a folder `step-NNN`; raises RunError where it is not whole."""
    files = read_folder(path)
    if files.keys() != {TENSORS, STATE}:
        raise RunError(f"{path} is not a checkpoint: it holds {', '.join(sorted(files)) or 'nothing'}")
    with refused_as(RunError, path / STATE):
        values = Fields.of(parse_json(files[STATE]))
        values.require_format(FORMAT, remedy="train again")
    tensors = read_tensors(files[TENSORS], where=str(path / TENSORS))

    def part(prefix: str) -> Weights:
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    return Checkpoint(
        model=part(MODEL), best=part(BEST), optimizer=part(OPTIMIZER), values=dict(values.values), average=part(AVERAGE)
    )
