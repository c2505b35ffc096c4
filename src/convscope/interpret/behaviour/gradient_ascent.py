"""Gradient ascent of pictures, each towards a larger mean of its own channel's map.

For the first steps a rectifier that is shut passes the gradients that would open it, and each picture is moved by some
pixels in each step, so that no pattern of single pixels grows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from convscope.arrays import Floats
from convscope.data.preprocessing import Normalization
from convscope.interpret.behaviour.fourier_image import FourierImages
from convscope.interpret.features.observed import AxesOfMaps
from convscope.interpret.replay.rectifiers import rectifiers
from convscope.interpret.replay.replay import Replay
from convscope.interpret.replay.replays import Replays
from convscope.report.progress import Progress

_REDIRECTED = 16  # steps in which rectifiers pass gradients that would raise their input
_LEARNING_RATE = 0.05
_CHECKED = 16  # steps between two looks at whether the activation still grows
_GROWTH = 0.01  # below which, as a share, it has stopped
_SMALL, _SMALL_JITTER, _JITTER = 64, 2, 8  # side up to which pictures are moved by 2 pixels at most; by 8 above


class GradientAscent:
    """Gradient ascent of the mean of channels over their maps, each picture for a channel of its own.

    Args:
        replays: the network, in the precision in which gradients are taken.
        made: the pictures, as they are at the start; they are changed.
        normalization: of the network's input.
        layer: a layer or operation whose output has channels.
        channels: by number, one for each picture.
        seed: of the movements.
    """

    def __init__(
        self,
        replays: Replays,
        made: FourierImages,
        normalization: Normalization,
        layer: str,
        channels: Sequence[int],
        seed: int,
    ) -> None:
        self._replays, self._made, self._layer = replays, made, layer
        self._channels = torch.tensor(channels)
        device = made.amplitudes.device
        sample = made.levels().detach()
        _, names = replays.graph_on(sample[:1])
        axis = AxesOfMaps(names).of(names.find_source(layer)).channels
        assert axis is not None
        self._axis = axis
        self._mean, self._std = (torch.tensor(each, device=device)[None, :, None, None] for each in
                                 (normalization.mean, normalization.std))  # fmt: skip
        self._optimizer = torch.optim.Adam([made.amplitudes], lr=_LEARNING_RATE)
        self._draw = torch.Generator().manual_seed(seed)
        self._jitter = _SMALL_JITTER if min(made.size) <= _SMALL else _JITTER
        self.means: list[list[float]] = []

    def climb(self, steps: int, progress: Progress, what: str) -> bool:
        """Take steps until no activation grows, and return whether that was interrupted, after the first one.

        Args:
            steps: at most.
            progress: called after each step.
            what: this is.
        """
        try:
            for step in range(steps):
                self.step(redirected=step < _REDIRECTED)
                progress(step + 1, steps, what)
                if self.has_stopped():
                    break
        except KeyboardInterrupt:
            if not self.means:
                raise
            return True
        return False

    def step(self, *, redirected: bool) -> None:
        """Take one step; what is reached before it is added to `means`."""
        with torch.inference_mode(False), torch.enable_grad():
            levels = self._made.levels()
            moved = _moved(levels, self._jitter, self._draw)
            means, gradient = self._means(((moved - self._mean) / self._std).detach(), redirected=redirected)
            # The replay's own input is a leaf: the rest of the way is taken by hand.
            (of_amplitudes,) = torch.autograd.grad(moved, self._made.amplitudes, gradient / self._std)
            self._made.amplitudes.grad = -of_amplitudes
            self._optimizer.step()
        self.means.append([float(mean) for mean in means])

    def has_stopped(self) -> bool:
        """Return whether no channel grew by 1 % on average over the last 16 steps; never in the first 32."""
        if len(self.means) < 3 * _CHECKED or len(self.means) % _CHECKED:
            return False
        recent = np.array(self.means[-2 * _CHECKED :])
        before, after = recent[:_CHECKED].mean(0), recent[_CHECKED:].mean(0)
        return bool((after - before <= _GROWTH * np.abs(before)).all())

    def result(self, replays: Replays) -> tuple[Tensor, Floats]:
        """Return the pictures' levels, (N, C, H, W), and the largest value of each one's channel, (N,), of a network.

        Args:
            replays: the network in its own precision.
        """
        levels = self._made.levels().detach()
        # What is looked at is a picture of 8 bits: so is what is measured.
        levels = (levels * 255).round() / 255
        found = [self._maps(run, channels).detach().amax(1)
                 for run, channels in self._runs(replays, (levels - self._mean) / self._std)]  # fmt: skip
        return levels, np.asarray(torch.cat(found).double().cpu().numpy(), np.float64)

    def _means(self, inputs: Tensor, *, redirected: bool) -> tuple[Tensor, Tensor]:
        """Return the mean of each picture's channel, (N,), and its gradient with respect to the input, (N, C, H, W)."""
        means, gradients = [], []
        for run, channels in self._runs(self._replays, inputs):
            mean = self._maps(run, channels).to(inputs.dtype).mean(1)
            gradients.append(_input_gradient(run, mean.sum(), redirected=redirected).to(inputs.dtype))
            means.append(mean.detach())
        return torch.cat(means), torch.cat(gradients)

    def _runs(self, replays: Replays, inputs: Tensor) -> Iterator[tuple[Replay, Tensor]]:
        """Yield a network's runs on pictures with their channels: one, or where it takes one picture at a time many."""
        size = len(inputs) if replays.takes([inputs]) else 1
        for part, channels in zip(torch.split(inputs, size), torch.split(self._channels, size), strict=True):
            yield replays.on(part), channels

    def _maps(self, run: Replay, channels: Tensor) -> Tensor:
        """Return of each picture its own channel's map, (N, positions)."""
        tensor = run.tensor(run.find(self._layer))  # a batch may run other operations before it than one picture
        maps = tensor.movedim(self._axis, 1).flatten(2) if tensor.ndim > 2 else tensor[:, :, None]
        return maps[torch.arange(len(channels), device=maps.device), channels.to(maps.device)]


def _input_gradient(run: Replay, score: Tensor, *, redirected: bool) -> Tensor:
    """Return the gradient with respect to the input.

    Redirected, a rectifier that is shut passes what would open it: else a channel that starts at 0 has no gradient at
    all, and stays there.
    """
    hooks = [node.register_hook(_opened) for node in rectifiers(score, with_hard_limits=True)] if redirected else []
    try:
        (found,) = run.gradients(score, run.inputs[0], last=True)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _opened(inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
    """Return a rectifier's gradients with those that it shut off and that raise its input put back."""
    (after,) = outputs[:1]
    return tuple(
        gradient
        if gradient is None or after is None or gradient.shape != after.shape
        else torch.where((gradient == 0) & (after > 0), after, gradient)
        for gradient in inputs
    )


def _moved(levels: Tensor, most: int, draw: torch.Generator) -> Tensor:
    """Return pictures moved by up to `most` pixels along either axis, edges reflected; the same for all."""
    most = min(most, *(side - 1 for side in levels.shape[2:]))
    if most < 1:
        return levels
    down, across = (int(each) for each in torch.randint(0, 2 * most + 1, (2,), generator=draw))
    height, width = levels.shape[2:]
    padded = torch.nn.functional.pad(levels, (most, most, most, most), mode="reflect")
    return padded[:, :, down : down + height, across : across + width]
