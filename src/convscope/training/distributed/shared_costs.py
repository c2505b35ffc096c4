"""The costs of a training of several processes: the slowest sets the pace, and each step exchanges gradients."""

from __future__ import annotations

import time

import torch

from convscope.nets.build import Architecture
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.timing.costs import Costs, Sides

# The first exchange sets connections up; of the others the fastest counts.
EXCHANGES = 3


def shared_costs(group: ProcessGroup, own: Costs, sides: Sides, *, architecture: Architecture, device: str) -> Costs:
    """Return what parts cost all processes, from what each has measured of its own; the same in every process.

    Every process must call it, after they have measured at the same time, as they are going to train.

    Args:
        group: the processes.
        own: costs of this one.
        sides: progressive resizing.
        architecture: of the network: the gradients of what is trained of it are exchanged in each step.
        device: of the gradients.
    """
    if group.size == 1:
        return own
    learned = sum(one.numel() for one in architecture.on_meta().parameters() if one.requires_grad)
    shown = sorted({side for _, side in sides.parts})
    parts = [own.before, own.epoch_end, own.finish, own.report, own.of_time_alone]
    values = [*parts, _exchange(group, learned, device), *map(own.step, shown)]
    slowest = group.gather_each(torch.tensor(values, dtype=torch.float64)).amax(0).tolist()
    before, epoch_end, finish, report, of_time_alone, exchanged, *steps = slowest
    return Costs(
        before=before,
        steps=tuple((side, step + exchanged) for side, step in zip(shown, steps, strict=True)),
        epoch_end=epoch_end,
        finish=finish,
        report=report,
        of_time_alone=of_time_alone,
    )


def _exchange(group: ProcessGroup, learned: int, device: str) -> float:
    """Return the seconds in which the gradients of a step are added up."""
    gradients, taken = torch.zeros(learned, device=device), []
    for _ in range(EXCHANGES):
        began = time.perf_counter()
        # Reading a sum waits for a device that computes behind.
        group.total(gradients)[:1].tolist()
        taken.append(time.perf_counter() - began)
    return min(taken[1:])
