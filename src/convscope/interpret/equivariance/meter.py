"""Measure per layer how far a map is from moving with its image, and which layer breaks it.

Zhang, "Making convolutional networks shift-invariant again", ICML 2019, section 3.1, defines shift equivariance and
shows where strides break it; the border's share is split off here by the exact receptive fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor

from convscope.api.annotations import Seed
from convscope.api.generators import exclusive
from convscope.api.public import public
from convscope.capture.load import ModelLike
from convscope.errors import GeometryError
from convscope.interpret.equivariance.layer_errors import LayerErrors, OwnError, ShiftError
from convscope.interpret.equivariance.own_errors import own_errors
from convscope.interpret.equivariance.record import Equivariance
from convscope.interpret.equivariance.row_errors import RowErrors
from convscope.interpret.equivariance.shifted_map import ShiftedMap, ShiftedMaps
from convscope.interpret.explanation.given import Given
from convscope.interpret.replay.replays import Replays
from convscope.interpret.subject import Subject, subject
from convscope.report.progress import Progress, ProgressOption, no_progress, progress_of

# Pixels up to which every shift is tried.
SHIFTS = 8
# Shifted images in a forward pass.
_AT_ONCE = 8


@public
@exclusive(None)
def equivariance(
    model: ModelLike,
    image: Given,
    *,
    shifts: Sequence[int] | None = None,
    layers: Sequence[str] | None = None,
    input_shape: Sequence[int] | None = None,
    seed: Seed = 0,
    progress: ProgressOption = False,
) -> Equivariance:
    """Measure how far the map of each layer is from moving with an image, and name the layers that break it.

    Args:
        model: as of `convscope.explain`.
        image: as of `convscope.explain`.
        shifts: in pixels; unless given 1 to 8, and the stride of each deeper map up to half of the image.
        layers: by name; all layers with a map unless given.
        input_shape: of one sample, (C, H, W); the model's own unless given.
        seed: of the weights of a model that has none of its own.
        progress: True shows a bar; a function is called as `progress(done, total, what)`.

    Raises:
        CaptureError: no such model or layer, or no layer has a map.
        DataError: the image can't be read.
        GeometryError: a shift that is no positive number of pixels up to half of the image's side.

    See `equivariance_of` for the definition of the errors.

    >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    >>> equivariance(network, torch.rand(1, 16, 16)).breaking
    ('0', '2')
    """
    looked_at = subject(model, image, input_shape=input_shape, seed=seed)
    with progress_of(progress) as report:
        return subject_equivariance(looked_at, shifts=shifts, layers=layers, progress=report)


def subject_equivariance(
    looked_at: Subject,
    *,
    shifts: Sequence[int] | None = None,
    layers: Sequence[str] | None = None,
    progress: Progress = no_progress,
) -> Equivariance:
    """Return how far the map of each layer is from moving with the image of a look; see `equivariance_of`."""
    return equivariance_of(
        looked_at.replays,
        looked_at.tensor,
        image_name=looked_at.image_name,
        shifts=shifts,
        layers=layers,
        progress=progress,
    )


def equivariance_of(
    replays: Replays,
    images: Tensor,
    *,
    image_name: str = "the input",
    shifts: Sequence[int] | None = None,
    layers: Sequence[str] | None = None,
    progress: Progress = no_progress,
) -> Equivariance:
    """Return how far the map of each layer is from moving with images that are shifted along each of their axes.

    A shift rolls the image. The error of a layer f at a shift of d pixels is ||f(shifted x) - f(x) shifted by d / s
    cells|| / ||f(x) - mean||, s being the product of the strides up to it and the mean that of each channel. Where
    d / s is no whole number, the map is shifted by the nearest whole number of cells, and the error is marked: that is
    the error of subsampling. It is measured over the whole map, and inside: over the cells whose exact receptive field,
    in both images, ends before the border. The layers that break equivariance are those with an error of their own
    (`own_errors`). Values are computed in double precision, in the memory of a plain forward pass of a few shifted
    images; an interrupt returns the shifts that were done.

    Args:
        replays: the network.
        images: its input, (N, C, *S); errors are over all of them.
        image_name: what to call them.
        shifts: in pixels; unless given 1 to 8, and the stride of each deeper map up to half of the image.
        layers: by name; all layers with a map unless given.
        progress: called after each pass.

    Raises:
        CaptureError: there is no such layer, none has a map, or the network does not run on the images.
        GeometryError: a shift that is no positive number of pixels below half of the image's side.

    >>> conv = torch.nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular")
    >>> network = torch.nn.Sequential(conv, torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    >>> found = equivariance_of(Replays(network, name="net"), torch.rand(1, 1, 16, 16), shifts=(1, 2))
    >>> found.breaking, found.layers[0].inside < 1e-6, found.layers[2].subsampling > 0.1
    (('2',), True, True)
    """
    doubled = replays.computed_in(torch.float64)
    graph, names = doubled.graph_on(images[:1])
    shifted = ShiftedMaps(names)
    maps, left_out = shifted.of(layers)
    pixels = _checked(shifts, shifted.size) if shifts is not None else _usual(maps, shifted.size)
    plan = list(product(range(len(shifted.axes)), pixels))
    own = own_errors(doubled, images, maps, shifted)
    errors: dict[str, list[ShiftError]] = {found.name: [] for found in maps}
    done: list[tuple[int, int]] = []
    try:
        for start in range(0, len(plan), _AT_ONCE):
            part = plan[start : start + _AT_ONCE]
            of_part = list(_errors(doubled, images, maps, shifted, part))
            for name, error in of_part:
                errors[name].append(error)
            done += part
            progress(len(done), len(plan), "shifting the image")
    except KeyboardInterrupt:
        if not done:
            raise
    return Equivariance(
        network=graph.name,
        image=image_name,
        size=shifted.size,
        shifts=tuple(done),
        planned=len(plan),
        layers=tuple(_layer_errors(found, errors, own) for found in maps),
        left_out=left_out,
    )


def _usual(maps: Sequence[ShiftedMap], size: Sequence[int]) -> tuple[int, ...]:
    strides = {int(stride) for found in maps for stride in found.strides if stride.denominator == 1}
    found = sorted({*range(1, SHIFTS + 1), *strides})
    return tuple(d for d in found if 2 * d <= min(size)) or (1,)


def _checked(shifts: Sequence[int], size: Sequence[int]) -> tuple[int, ...]:
    most = min(size) // 2
    for shift in shifts:
        if not 1 <= shift <= most:
            raise GeometryError(f"a shift of {shift} pixels: give 1 to {most}, half of the image's shorter side")
    if not shifts:
        raise GeometryError(f"no shift is given: give some of 1 to {most} pixels")
    return tuple(dict.fromkeys(shifts))


def _errors(
    replays: Replays,
    images: Tensor,
    maps: Sequence[ShiftedMap],
    shifted: ShiftedMaps,
    part: Sequence[tuple[int, int]],
) -> Iterator[tuple[str, ShiftError]]:
    """Yield the errors of each layer at some shifts (axis, pixels), from one pass over the image and its shifts."""
    moved = [images.roll(pixels, shifted.axes[axis]) for axis, pixels in part]
    batch, count = torch.cat([images, *moved]), len(images)
    by_name = {found.name: found for found in maps}
    for name, values in replays.values_as_they_come(batch, wanted=tuple(by_name)):
        found, original = by_name[name], values[:count]
        for place, (axis, pixels) in enumerate(part, start=1):
            there = values[place * count : (place + 1) * count]
            yield name, _error(found, original, there, axis, pixels, shifted.size[axis])


def _error(found: ShiftedMap, original: Tensor, there: Tensor, axis: int, pixels: int, size: int) -> ShiftError:
    cells, fractional = found.moved(axis, pixels)
    along = found.axes[axis]
    by_row = RowErrors.of(there, original.roll(cells, along), found.axes, along)
    inside = found.inside(axis, pixels, size)
    return ShiftError(
        axis=axis,
        pixels=pixels,
        cells=cells,
        fractional=fractional,
        inside=by_row.inside(inside),
        whole=by_row.whole(),
        # At a shift of part of a cell subsampling and border are not to be told apart outside.
        border=None if fractional else by_row.outside(inside),
    )


def _layer_errors(
    found: ShiftedMap, errors: dict[str, list[ShiftError]], own: dict[str, tuple[OwnError, ...]]
) -> LayerErrors:
    return LayerErrors(
        layer=found.name,
        op=found.op,
        strides=found.strides,
        cells=found.cells,
        errors=tuple(errors[found.name]),
        before=tuple(tuple(errors[name]) for name in found.inputs if name),
        inputs=found.inputs,
        own=own[found.name],
    )
