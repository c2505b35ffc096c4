"""Takes a view of a network that trains: its first filters, maps of one fixed image, norms. Nothing of it is changed.

The image goes through the network in evaluation mode, without gradients, with generators of its own; gradients are
those that the last step has left. Both are read between two steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from convscope.api.generators import OwnGenerators
from convscope.hardware.mode import ForwardPass
from convscope.nets.modules import evaluation_mode
from convscope.runs.layer_norms import spread
from convscope.runs.live_view import LivePicture, LiveView, PictureKind
from convscope.training.loop.norms import layers_with_weights, root_mean_square

# Filters of the first layer, layers whose maps are shown, and maps of each: evenly spaced where there are more.
FILTERS, LAYERS, MAPS = 64, 4, 16
# Maps with longer sides are averaged over blocks, to at most this.
LONGEST_SIDE = 64
BYTES = 255.0


class ViewTaker:
    """Takes views of a network.

    Args:
        network: in training.
        forward: its forward pass, not compiled, so that hooks are called.
        pixels: the fixed image as the network takes it, float32 (1, C, H, W), on its device.
        image: the same as it is shown, uint8 (H, W, C).
    """

    def __init__(self, network: nn.Module, forward: ForwardPass, pixels: Tensor, image: Tensor) -> None:
        self._network, self._forward, self._pixels = network, forward, pixels
        self._layers = layers_with_weights(network)
        self._own = OwnGenerators(0, pixels.device)
        height, width, colours = image.shape
        self._image = LivePicture(
            kind="image",
            layer="",
            shape=(1, height, width, colours),
            channels=(0,),
            total=1,
            low=(0.0,),
            high=(1.0,),
            pixels=image.cpu().contiguous().numpy().tobytes(),
        )

    def take(self, step: int, epoch: float) -> LiveView:
        """Return the view after `step` steps."""
        outputs: dict[str, Tensor] = {}
        with self._own, evaluation_mode(self._network), torch.no_grad(), self._watching(outputs):
            self._forward(self._pixels)
        with torch.no_grad():
            return LiveView(
                step=step,
                epoch=epoch,
                time=time.time(),
                pictures=(self._image, *self._filters(), *_maps(outputs)),
                outputs=_norms(outputs),
                gradients=_norms(
                    {
                        name: weight.grad
                        for name, module in self._layers.items()
                        if isinstance(weight := module.weight, Tensor) and weight.grad is not None
                    }
                ),
            )

    def _filters(self) -> Iterator[LivePicture]:
        """Yield the filters of the first convolution, on one scale around 0."""
        for name, module in self._layers.items():
            weight = module.weight
            if isinstance(weight, Tensor) and weight.ndim == 4 and min(weight.shape) > 0:
                shown = spread(range(weight.shape[0]), FILTERS)
                filters = weight.detach()[shown].float()
                if filters.shape[1] not in (1, 3):
                    filters = filters.mean(1, keepdim=True)
                most = _largest(filters)
                yield _picture("filters", name, filters, shown, len(weight), low=[-most], high=[most])
                return

    @contextmanager
    def _watching(self, outputs: dict[str, Tensor]) -> Iterator[None]:
        def keep(name: str) -> Any:
            def look(module: nn.Module, given: Any, output: Any) -> None:
                if isinstance(output, Tensor) and output.is_floating_point():
                    outputs.setdefault(name, output.detach())

            return look

        handles = [module.register_forward_hook(keep(name)) for name, module in self._layers.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _maps(outputs: dict[str, Tensor]) -> Iterator[LivePicture]:
    """Yield maps of a few layers, from the first to the last; each has a scale of its own, unless it is one cell."""
    for name in spread([name for name, output in outputs.items() if output.ndim == 4], LAYERS):
        output = outputs[name][0]
        shown = spread(range(len(output)), MAPS)
        maps = output[shown].float()
        if max(maps.shape[1:]) > LONGEST_SIDE:
            block = -(-max(maps.shape[1:]) // LONGEST_SIDE)
            maps = nn.functional.avg_pool2d(maps[None], block, ceil_mode=True, count_include_pad=False)[0]
        maps = torch.nan_to_num(maps, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = maps.amin((1, 2)), maps.amax((1, 2))
        if maps[0].numel() == 1:  # one number each, which no scale of its own would show
            low, high = low.amin()[None], high.amax()[None]
        yield _picture("maps", name, maps[:, None], shown, len(output), low=low.tolist(), high=high.tolist())


def _picture(
    kind: PictureKind,
    layer: str,
    numbers: Tensor,
    shown: Sequence[int],
    total: int,
    *,
    low: Sequence[float],
    high: Sequence[float],
) -> LivePicture:
    """Return numbers (N, C, H, W) as bytes between `low` and `high`."""
    ends = [numbers.new_tensor(end)[:, None, None, None] for end in (low, high)]
    width = ends[1] - ends[0]
    scaled = (numbers - ends[0]) / torch.where(width > 0, width, torch.ones_like(width)) * BYTES
    pixels = torch.nan_to_num(scaled, nan=0.0).clamp(0, BYTES).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    count, height, side, colours = pixels.shape
    return LivePicture(
        kind=kind,
        layer=layer,
        shape=(count, height, side, colours),
        channels=tuple(shown),
        total=total,
        low=tuple(low),
        high=tuple(high),
        pixels=pixels.cpu().numpy().tobytes(),
    )


def _largest(numbers: Tensor) -> float:
    """Return the largest magnitude among the finite numbers."""
    return float(torch.nan_to_num(numbers, nan=0.0, posinf=0.0, neginf=0.0).abs().amax())


def _norms(tensors: dict[str, Tensor]) -> dict[str, float | None]:
    """Return the root mean square of each, in one copy from the device."""
    if not tensors:
        return {}
    squares = torch.stack([root_mean_square(tensor) for tensor in tensors.values()])
    return dict(zip(tensors, squares.tolist(), strict=True))
