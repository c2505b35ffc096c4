"""Feature visualisation: a picture that excites a channel, by gradient ascent, beside what excites it in the data.

A picture that reaches less than the best image of the data set explains nothing of the channel: the activation it
reaches is given as a share of the data set's largest, and the top patches are shown beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from convscope.arrays import Floats
from convscope.data.batches import to_floats
from convscope.data.preprocessing import Normalization
from convscope.data.records import ImageSet
from convscope.errors import CaptureError, DataError, GeometryError
from convscope.interpret.attribution.batches import is_faster_in_bf16
from convscope.interpret.behaviour.fourier_image import FourierImages, colour_statistics
from convscope.interpret.behaviour.visualized import FeatureVisualization
from convscope.interpret.features.observed import AxesOfMaps, checked_channels, observed_of
from convscope.interpret.features.top_patches import TopPatches, top_patches
from convscope.interpret.rectifiers import rectifiers
from convscope.interpret.replay import Replay, Replays
from convscope.report.progress import Progress, no_progress

SIDE = 128
STEPS = 128
CHANNELS = 4
_REDIRECTED = 16  # steps in which rectifiers pass gradients that would raise their input
_LEARNING_RATE = 0.05
_CHECKED = 16  # steps between two looks at whether the activation still grows
_GROWTH = 0.01  # below which, as a share, it has stopped
_SMALL, _SMALL_JITTER, _JITTER = 64, 2, 8  # side up to which pictures are moved by 2 pixels at most; by 8 above


def feature_visualization(
    replays: Replays,
    images: ImageSet,
    normalization: Normalization,
    *,
    layer: str,
    channels: Sequence[int] = (),
    steps: int = STEPS,
    patches: TopPatches | None = None,
    data: str = "the images",
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress = no_progress,
) -> FeatureVisualization:
    """Return pictures that excite channels of a layer, with the activation reached against the data set's maximum.

    Pictures are of 128 x 128 pixels, or of the images' size where that is smaller or the network takes no other, and
    are optimised together, in bf16 where the processor multiplies it; the activations reached are the network's own in
    its precision. It stops by itself when the activations stop growing. Interrupted, it returns the pictures as they
    are.

    Args:
        replays: the network.
        images: a data set, for its colours and the largest activations.
        normalization: of the network's input.
        layer: a layer or operation whose output has channels.
        channels: by number; the first four unless given.
        steps: of gradient ascent at most.
        patches: of this layer on these images, where they were searched before.
        data: what to call the images.
        seed: of the start and of the movements.
        device: where the network is.
        progress: is told of each step.

    Raises:
        DataError: no images.
        CaptureError: no such layer, one without channels, or one that has no gradient.
        GeometryError: no such channel, or fewer than 1 step.

    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    >>> pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    >>> given = ImageSet(pixels, np.zeros(20, np.int64), [""] * 20)
    >>> found = feature_visualization(Replays(network), given, Normalization.default(1), layer="1", steps=8)
    >>> found.pictures.shape, found.reached.shape
    ((4, 8, 8, 1), (4,))
    """
    if not len(images):
        raise DataError(f"there are no images in {data}, so no activation is known to compare with")
    if steps < 1:
        raise GeometryError(f"{steps} steps: give at least 1")
    pixels = np.asarray(images.images[np.arange(1)])
    first = to_floats(pixels, normalization, device=device)
    graph, names = replays.graph_on(first)
    (observed,) = observed_of(names, [layer])
    chosen = checked_channels(channels, observed.channels, layer) or tuple(range(min(CHANNELS, observed.channels)))
    if patches is None:
        patches = top_patches(replays, images, normalization, layers=[observed.name], data=data, progress=progress)
    mean, colours = colour_statistics(images)
    size = _size(replays, images, normalization, observed.name, device)
    made = FourierImages(len(chosen), size, mean=mean, colours=colours, seed=seed, device=device)
    fast = replays.in_bf16 if is_faster_in_bf16(graph, first) else replays
    ascent = _Ascent(fast, made, normalization, observed.name, chosen, seed)
    interrupted = False
    try:
        for step in range(steps):
            ascent.step(redirected=step < _REDIRECTED)
            progress(step + 1, steps, f"visualizing {layer}")
            if ascent.has_stopped():
                break
    except KeyboardInterrupt:
        if not ascent.means:
            raise
        interrupted = True
    levels, reached = ascent.result(replays)
    of_layer = patches.of_layer(observed.name, chosen)
    best = [float(patches_of[0]) for patches_of in of_layer.maxima.values[list(chosen)]]
    return FeatureVisualization(
        network=graph.name,
        data=data,
        layer=layer,
        channels=chosen,
        pictures=np.asarray((levels * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()),
        reached=reached,
        largest=np.array(best),
        growth=np.array(ascent.means),
        steps=steps,
        interrupted=interrupted,
        patches=of_layer,
    )


class _Ascent:
    """Gradient ascent of the mean of channels over their maps, each picture for a channel of its own."""

    def __init__(
        self,
        replays: Replays,
        made: FourierImages,
        normalization: Normalization,
        layer: str,
        channels: Sequence[int],
        seed: int,
    ) -> None:
        self._replays, self._made = replays, made
        self._channels = torch.tensor(channels)
        device = made.amplitudes.device
        sample = made.levels().detach()
        _, names = replays.graph_on(sample)
        self._value = names.find_source(layer)
        axis = AxesOfMaps(names).of(self._value).channels
        assert axis is not None
        self._axis = axis
        self._mean, self._std = (torch.tensor(each, device=device)[None, :, None, None] for each in
                                 (normalization.mean, normalization.std))  # fmt: skip
        self._optimizer = torch.optim.Adam([made.amplitudes], lr=_LEARNING_RATE)
        self._draw = torch.Generator().manual_seed(seed)
        self._jitter = _SMALL_JITTER if min(made.size) <= _SMALL else _JITTER
        self.means: list[list[float]] = []

    def step(self, *, redirected: bool) -> None:
        """Take one step; what is reached before it is added to `means`."""
        with torch.inference_mode(False), torch.enable_grad():
            levels = self._made.levels()
            moved = _moved(levels, self._jitter, self._draw)
            run = self._replays.on(((moved - self._mean) / self._std).detach())
            values = self._maps(run).to(moved.dtype)
            means = values.flatten(1).mean(1)
            gradient = _input_gradient(run, means.sum(), redirected=redirected).to(moved.dtype)
            # The replay's own input is a leaf: the rest of the way is taken by hand.
            (of_amplitudes,) = torch.autograd.grad(moved, self._made.amplitudes, gradient / self._std)
            self._made.amplitudes.grad = -of_amplitudes
            self._optimizer.step()
        self.means.append([float(mean) for mean in means.detach()])

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
        run = replays.on((levels - self._mean) / self._std)
        values = self._maps(run).detach()
        return levels, np.asarray(values.flatten(1).amax(1).double().cpu().numpy(), np.float64)

    def _maps(self, run: Replay) -> Tensor:
        """Return of each image its own channel's map, (N, positions)."""
        tensor = run.tensor(self._value)
        maps = tensor.movedim(self._axis, 1).flatten(2) if tensor.ndim > 2 else tensor[:, :, None]
        return maps[torch.arange(len(self._channels), device=maps.device), self._channels.to(maps.device)]


def _input_gradient(run: Replay, score: Tensor, *, redirected: bool) -> Tensor:
    """Return the gradient with respect to the input.

    Redirected, a rectifier that is shut passes what would open it: else a channel that starts at 0 has no gradient at
    all, and stays there.
    """
    hooks = [node.register_hook(_opened) for node in rectifiers(score)] if redirected else []
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
    """Return pictures moved by up to so many pixels along either axis, edges reflected; the same for all."""
    most = min(most, *(side - 1 for side in levels.shape[2:]))
    if most < 1:
        return levels
    down, across = (int(each) for each in torch.randint(0, 2 * most + 1, (2,), generator=draw))
    height, width = levels.shape[2:]
    padded = torch.nn.functional.pad(levels, (most, most, most, most), mode="reflect")
    return padded[:, :, down : down + height, across : across + width]


def _size(
    replays: Replays, images: ImageSet, normalization: Normalization, layer: str, device: torch.device | str
) -> tuple[int, int]:
    """Return the pictures' height and width: at most 128, or the images' where the network takes no smaller ones."""
    _, height, width, channels = images.images.shape
    smaller = min(height, SIDE), min(width, SIDE)
    if smaller != (height, width):
        try:
            blank = to_floats(np.zeros((1, *smaller, channels), np.uint8), normalization, device=device)
            graph, names = replays.graph_on(blank)
            if 0 not in graph.shape(names.find_source(layer)):
                return smaller
        except CaptureError:
            pass
    return height, width
