"""One of two processes of test_launch.py: trains alone and in the team, and writes what came out."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import ConvscopeError, PeerError
from convscope.nets.build import Architecture
from convscope.runs.events import Silent
from convscope.scoring.objective import Objective
from convscope.training.distributed.launch import joined
from convscope.training.distributed.process_group import ProcessGroup
from convscope.training.distributed.shared_batch_norm import share_batch_norm
from convscope.training.distributed.shared_costs import shared_costs
from convscope.training.loop.loop import fit
from convscope.training.loop.nonfinite import DivergedError
from convscope.training.loop.state import Settings, copy_weights, new_state
from convscope.training.timing.costs import Costs, Sides
from convscope.training.timing.pacer import Pacer

sys.path.insert(0, str(Path(__file__).parents[2]))
from resolved_recipes import resolved_with

# Three steps an epoch, of 17, 17 and 3 images: shares of 8 and 9, and at last all in one process, as pairs are mixed.
IMAGES, BATCH, EPOCHS = 37, 17, 7
DRAW = np.random.default_rng(0)
TRAIN = ImageSet(DRAW.integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8), np.arange(IMAGES) % 3, ["x"] * IMAGES)
# More than two batches of an evaluation, and an odd number.
VAL = ImageSet(DRAW.integers(0, 256, (769, 8, 8, 3), dtype=np.uint8), np.arange(769) % 3, ["y"] * 769)
RESOLVED = resolved_with(
    classes=3,
    epochs=EPOCHS,
    batch_size=BATCH,
    learning_rate=0.05,
    schedule="one-cycle",
    warmup=0.2,
    weight_decay=5e-4,
    gradient_clip=1.0,
    seed=3,
    flip=True,
    random_crop_padding=1,
    cutout=2,
    mixup=0.3,
    cutmix=1.0,
)
SETTINGS = Settings(
    resolved=RESOLVED,
    objective=Objective(label_smoothing=0.1),
    augmentation=RESOLVED.augmentation,
    normalization=Normalization((0.5,) * 3, (0.3,) * 3),
)


def network(*, normalised: bool) -> nn.Module:
    torch.manual_seed(5)
    between: list[nn.Module] = [nn.BatchNorm2d(6)] if normalised else []
    return nn.Sequential(nn.Conv2d(3, 6, 3), *between, nn.ReLU(), nn.Flatten(), nn.Linear(216, 3))


def curve(group: ProcessGroup, *, normalised: bool) -> dict[str, object]:
    """What a run of 21 steps came to."""
    state = new_state(network(normalised=normalised), RESOLVED)
    if group.size > 1:
        share_batch_norm(state.network, group)
    fit(state, SETTINGS, TRAIN, VAL, listener=Silent(), keep=lambda _: None, stop=bool, group=group)
    return {
        "losses": [row.train_loss for row in state.rows],
        "accuracies": [row.train_accuracy for row in state.rows],
        "val": [(row.val_loss, row.val_accuracy) for row in state.rows],
        "weights": {name: tensor.tolist() for name, tensor in copy_weights(state.network).items()},
    }


def normalisation(group: ProcessGroup) -> dict[str, object]:
    """Batch normalization over both shares of 7 rows against one over all 7: outputs, gradients, running statistics."""
    torch.manual_seed(1)
    # Far from 0, where sums of squares would lose their digits.
    whole = (torch.randn(7, 4, 3, 3) * 2 + 100).requires_grad_()
    upstream = torch.randn(7, 4, 3, 3)
    one, own = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
    for module in (one, own):
        nn.init.normal_(module.weight, generator=torch.Generator().manual_seed(2))
    expected = one(whole)
    expected.backward(upstream)

    shared = nn.Sequential(own)
    replaced = share_batch_norm(shared, group)
    rows = group.rows(7)
    mine = whole.detach()[rows].clone().requires_grad_()
    found = shared(mine)
    found.backward(upstream[rows])
    shared.eval()

    def far(one: Tensor | None, other: Tensor | None) -> float:
        assert one is not None and other is not None
        return float((one - other).abs().max())

    assert whole.grad is not None and own.weight.grad is not None and own.bias.grad is not None
    return {
        "rows": len(mine),
        "replaced": replaced,
        "output": far(found, expected[rows]),
        "input gradient": far(mine.grad, whole.grad[rows]),
        "weight gradient": far(group.total(own.weight.grad), one.weight.grad),
        "bias gradient": far(group.total(own.bias.grad), one.bias.grad),
        "running mean": far(own.running_mean, one.running_mean),
        "running variance": far(own.running_var, one.running_var) / 4,
        "evaluation": far(shared(mine), one.eval()(mine)),
    }


def stopping(group: ProcessGroup) -> list[int]:
    """The second process wants to stop after some steps; both say at which step they did."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return group.rank == 1 and asked > 7

    state = new_state(network(normalised=False), RESOLVED)
    ending = fit(state, SETTINGS, TRAIN, None, listener=Silent(), keep=lambda _: None, stop=stop, group=group)
    assert ending == "stopped", ending
    return [int(value) for value in group.gather_each(torch.tensor([state.epoch, state.step])).flatten()]


def diverging(group: ProcessGroup) -> str:
    """A number that is none, in the second process's share alone."""
    state = new_state(network(normalised=False), RESOLVED)
    if group.rank == 1:
        next(state.network.parameters()).data[0] = float("nan")
    try:
        fit(state, SETTINGS, TRAIN, None, listener=Silent(), keep=lambda _: None, stop=bool, group=group)
    except DivergedError as error:
        return str(error)
    return "went on"


def unused(group: ProcessGroup) -> list[bool]:
    """Weights that no process uses have no gradient, as in one process; those that one uses have it in all."""
    layers = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(3))
    layers[0](torch.ones(1, 2)).sum().backward()
    if group.rank == 1:
        layers[1](torch.ones(1, 2)).sum().backward()
    group.add_up(layers, [1.0])
    return [layer.weight.grad is not None for layer in layers]


def refusing(group: ProcessGroup) -> str:
    """What the first process refuses ends the second as well."""

    def refuse() -> None:
        raise ConvscopeError("no")

    try:
        group.decided(refuse)
    except PeerError:
        return "refused"
    except ConvscopeError:
        return "refusing"
    return "went on"


def paced(group: ProcessGroup) -> dict[str, object]:
    """A run whose time runs out by the first process's clock alone; the other's stands still, nearly."""
    ticks = itertools.count()
    pacer = Pacer(
        costs=Costs(steps=((1.0, 0.5),), epoch_end=0.1, finish=1.0),
        sides=Sides(),
        deadline=30.0,
        budget=30.0,
        clock=lambda: next(ticks) * (1.0 if group.first else 1e-3),
    )
    state = new_state(network(normalised=False), RESOLVED)
    fit(state, SETTINGS, TRAIN, VAL, listener=Silent(), keep=lambda _: None, stop=bool, group=group, pacer=pacer)
    return {"plan": state.planned.to_dict(), "steps": state.step, "losses": [row.train_loss for row in state.rows]}


def costs_together(group: ProcessGroup) -> dict[str, object]:
    """What parts cost both, of which each is slower at something."""
    own = Costs(
        before=float(group.rank), steps=((1.0, 2.0 - group.rank),), epoch_end=0.5, finish=1.0 + 2.0 * group.rank
    )
    lenet = Architecture(name="lenet5", options={}, classes=3, channels=1, image_size=(32, 32), freeze="backbone")
    return asdict(shared_costs(group, own, Sides(parts=((0.0, 0.5), (0.5, 1.0))), architecture=lenet, device="cpu"))


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with joined() as group:
        found = {
            "normalisation": normalisation(group),
            "plain": curve(group, normalised=False),
            "normalised": curve(group, normalised=True),
            "stopping": stopping(group),
            "diverging": diverging(group),
            "unused": unused(group),
            "paced": paced(group),
            "costs": costs_together(group),
            "refusing": refusing(group),
            "decided": group.decided(lambda: group.rank),
        }
        if group.first:
            found["alone"] = {
                "plain": curve(ProcessGroup(), normalised=False),
                "normalised": curve(ProcessGroup(), normalised=True),
            }
        (folder / f"{group.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    assert replace(SETTINGS) == SETTINGS
    main(Path(sys.argv[1]))
