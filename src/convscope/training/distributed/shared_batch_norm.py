"""Batch normalization over the global batch of several processes, whatever the parts' sizes (exact, gradients too).

The mean and variance of the whole are those of the parts put together (Chan et al. 1983, equation 2.1), so no
digits are lost to the difference of two large numbers. The backward pass is Ioffe and Szegedy's (2015, section 3), with
its two sums taken over all processes. torch's own SyncBatchNorm needs CUDA; this one runs on any device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from convscope.errors import RunError
from convscope.nets.modules import TorchBatchNorm, replace_modules
from convscope.training.distributed.process_group import ProcessGroup


class SharedBatchNorm(TorchBatchNorm):
    """A batch normalization with the parameters and statistics of `own`, over the batches of all processes."""

    def __init__(self, own: TorchBatchNorm, group: ProcessGroup) -> None:
        super().__init__(own.num_features, own.eps, own.momentum, own.affine, own.track_running_stats)
        # The same tensors, which the optimizer already knows; a scale that is not trained is a buffer.
        self._parameters, self._buffers = own._parameters, own._buffers
        self.train(own.training)
        self.group = group
        # Whether this process's values are part of the batch; see `without_share`.
        self.counted = True

    def _check_input_dim(self, input: Tensor) -> None:
        assert input.ndim >= 2, "batch normalization is over (N, C) or (N, C, ...)"

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, ...) by the statistics of all processes' N; in evaluation mode by the running ones."""
        if not self.training and self.running_mean is not None:
            return super().forward(input)
        normalised, mean, variance, count = _normalise(
            input, self.weight, self.bias, self.eps, self.group, counted=self.counted
        )
        if self.training and self.running_mean is not None:
            self._update_running(mean, variance, count)
        return normalised

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        # The running variance is the unbiased one, as torch's is.
        self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var.dtype), share)


def share_batch_norm(network: nn.Module, group: ProcessGroup) -> int:
    """Replace every batch normalization of a network by one over all processes; return the number of places.

    One that is registered under two names stays one: its statistics are updated by both uses, as before.

    Raises:
        RunError: a batch normalization that computes more than torch's, such as one with an activation in it.
    """

    def shared(own: TorchBatchNorm) -> SharedBatchNorm | None:
        if isinstance(own, SharedBatchNorm):
            return None
        if type(own).forward is not TorchBatchNorm.forward:
            raise RunError(f"sync_batchnorm: {type(own).__name__} computes more than batch normalization: leave it out")
        return SharedBatchNorm(own, group)

    return replace_modules(network, TorchBatchNorm, shared)


def normalizes_alone(network: nn.Module) -> bool:
    """Return whether a process normalizes over its own share of a batch, which must then be of two images or none."""
    return any(
        isinstance(module, TorchBatchNorm) and not isinstance(module, SharedBatchNorm) for module in network.modules()
    )


@contextmanager
def without_share(network: nn.Module) -> Iterator[bool]:
    """Let a stand-in for an empty share through a network inside; yields whether any normalization is shared.

    The other processes wait for this one in each shared normalization: it takes part, and its values count for nothing,
    neither in the statistics nor in their gradients.
    """
    shared = [module for module in network.modules() if isinstance(module, SharedBatchNorm)]
    try:
        for module in shared:
            module.counted = False
        yield bool(shared)
    finally:
        for module in shared:
            module.counted = True


@contextmanager
def unshared(network: nn.Module) -> Iterator[None]:
    """Let every process normalize over its own batch inside, without an exchange."""
    shared = [(module, module.group) for module in network.modules() if isinstance(module, SharedBatchNorm)]
    try:
        for module, _ in shared:
            module.group = ProcessGroup()
        yield
    finally:
        for module, group in shared:
            module.group = group


def _normalise(
    input: Tensor, weight: Tensor, bias: Tensor, eps: float, group: ProcessGroup, *, counted: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the normalised batch, and the mean (C,), biased variance (C,) and number of values of the global one."""
    found: tuple[Tensor, Tensor, Tensor, Tensor] = _Normalise.apply(input, weight, bias, eps, group, counted)  # type: ignore[no-untyped-call]
    return found


class _Normalise(torch.autograd.Function):
    """Forward and backward over all processes; each process gets the gradient of its own rows."""

    @staticmethod
    def forward(
        ctx: Any,
        input: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        group: ProcessGroup,
        counted: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        channels = input.shape[1]
        axes = [0, *range(2, input.ndim)]
        exact = input if input.dtype == torch.float64 else input.float()
        variance, mean = torch.var_mean(exact, axes, correction=0)
        number = mean.new_full((1,), input.numel() // channels if counted else 0)
        of_all = group.gather_each(torch.cat([mean, variance, number]))
        counts = of_all[:, -1:]
        count = counts.sum()
        means, variances = of_all[:, :channels], of_all[:, channels:-1]
        mean = (counts * means).sum(0) / count
        variance = (counts * (variances + (means - mean) ** 2)).sum(0) / count
        normalised = functional.batch_norm(input, mean, variance, weight, bias, False, 0.0, eps)
        ctx.save_for_backward(input, weight, mean, variance, count)
        ctx.eps, ctx.group, ctx.counted = eps, group, counted
        ctx.mark_non_differentiable(mean, variance, count)
        return normalised, mean, variance, count

    @staticmethod
    def backward(
        ctx: Any, gradient: Tensor, *of_statistics: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None, None, None, None]:
        input, weight, mean, variance, count = ctx.saved_tensors
        # This treats the statistics as constants; the two sums below add what depends on them.
        of_input, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, input, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        sums = ctx.group.total(torch.cat([of_bias, of_weight]).to(mean.dtype)) / count
        if not ctx.counted:
            # The statistics don't depend on what is not part of the batch.
            return of_input, *((None, None) if weight is None else (of_weight, of_bias)), None, None, None
        mean_gradient, mean_product = sums.chunk(2)
        inverse = (variance + ctx.eps).rsqrt()
        scale = inverse if weight is None else inverse * weight
        slope = scale * inverse * mean_product
        level = scale * mean_gradient - slope * mean
        shape = (1, -1, *(1 for _ in range(input.ndim - 2)))
        of_input = of_input.addcmul_(input, slope.to(input.dtype).view(shape), value=-1)
        of_input = of_input.sub_(level.to(input.dtype).view(shape))
        if weight is None:
            return of_input, None, None, None, None, None
        return of_input, of_weight, of_bias, None, None, None
