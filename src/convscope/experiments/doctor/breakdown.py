"""Where a training step's time goes, by kind of operation."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from convscope.api.generators import exclusive
from convscope.hardware.mode import ComputeMode, computing
from convscope.nets.layer_groups import train_mode
from convscope.training.autotune.trial import Work
from convscope.training.loop.state import new_state
from convscope.training.loop.step import descend, differentiate
from convscope.training.optim.optimizers import set_rate
from convscope.training.optim.schedule import START_FACTOR

STEPS = 3

# kind -> the beginnings of the names of the operations that are of it; the first kind that fits is taken.
KINDS: Mapping[str, tuple[str, ...]] = {
    "optimizer": ("aten::_foreach", "aten::_fused", "Optimizer."),
    "convolution, backward": (
        "aten::convolution_backward",
        "aten::mkldnn_convolution_backward",
        "aten::cudnn_convolution_backward",
    ),
    "convolution, forward": (
        "aten::mkldnn_convolution",
        "aten::cudnn_convolution",
        "aten::_convolution",
        "aten::convolution",
        "aten::thnn_conv2d",
        "aten::_slow_conv2d",
        "aten::_conv_depthwise",
    ),
    "pooling": ("aten::max_pool", "aten::avg_pool", "aten::adaptive", "aten::_adaptive", "aten::amax", "aten::mean"),
    "normalization": (
        "aten::native_batch_norm",
        "aten::_batch_norm",
        "aten::batch_norm",
        "aten::cudnn_batch_norm",
        "aten::native_layer_norm",
        "aten::native_group_norm",
    ),
    "activation": (
        "aten::relu",
        "aten::threshold",
        "aten::gelu",
        "aten::sigmoid",
        "aten::tanh",
        "aten::silu",
        "aten::hardswish",
        "aten::hardsigmoid",
        "aten::hardtanh",
        "aten::clamp",
        "aten::leaky_relu",
    ),
    "fully connected": ("aten::addmm", "aten::mm", "aten::linear", "aten::matmul", "aten::bmm", "aten::baddbmm"),
    "casts and copies": ("aten::copy_", "aten::_to_copy", "aten::to", "aten::contiguous", "aten::clone", "aten::cat"),
}
OTHER = "other"
# What torch calls the span of an optimizer's step.
OPTIMIZER_STEP = "Optimizer.step"


def kind_of(operation: str) -> str:
    """Return the kind of an operation by its profiler's name.

    >>> kind_of("aten::mkldnn_convolution"), kind_of("aten::max_pool2d_with_indices_backward"), kind_of("aten::add_")
    ('convolution, forward', 'pooling', 'other')
    >>> kind_of("aten::cudnn_convolution"), kind_of("aten::convolution_backward")
    ('convolution, forward', 'convolution, backward')
    """
    return next((kind for kind, starts in KINDS.items() if operation.startswith(starts)), OTHER)


def time_by_kind(work: Work, mode: ComputeMode) -> dict[str, float]:
    """Shares of a training step's time by kind of operation, the largest first; they add up to 1."""
    device = work.settings.resolved.device
    with exclusive(device), computing(mode, device):
        state = new_state(copy.deepcopy(work.network), work.settings.resolved.changed(**asdict(mode)))
        train_mode(state.network)
        set_rate(state.optimizer, lambda until: work.settings.resolved.learning_rate * START_FACTOR)

        def step() -> None:
            differentiate(state, work.settings.objective, work.batch)
            descend(state, gradient_clip=work.settings.resolved.gradient_clip)

        step()
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
        with profile(activities=activities, acc_events=True) as found:
            for _ in range(STEPS):
                step()
            if device == "cuda":
                torch.cuda.synchronize()
    sums: dict[str, float] = {}
    for event in found.events():
        spent = event.self_device_time_total if device == "cuda" else event.self_cpu_time_total
        kind = _kind(event)
        sums[kind] = sums.get(kind, 0.0) + spent
    total = sum(sums.values()) or 1.0
    return {kind: spent / total for kind, spent in sorted(sums.items(), key=lambda item: -item[1]) if spent}


def _kind(event: Any) -> str:
    """Return the kind of a recorded operation; a product that the optimizer takes, as Muon does, is the optimizer's."""
    outer = event
    while outer is not None:
        if outer.name.startswith(OPTIMIZER_STEP):
            return kind_of(outer.name)
        outer = outer.cpu_parent
    return kind_of(event.name)
