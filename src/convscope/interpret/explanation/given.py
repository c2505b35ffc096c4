"""What a network is given to be explained: a tensor, pixels, an image file, a sound, an array; as `(1, C, *S)`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from torch import nn

from convscope.api.warning_filters import warnings_ignored
from convscope.arrays import Array
from convscope.data.batches import to_floats
from convscope.data.image_item import FORMS, image_item, is_digit, is_pillow, name_of_object, read_object
from convscope.data.inputs.array_file import is_array_file, read_array, require_finite
from convscope.data.inputs.sound import Sound, is_sound, read_sound
from convscope.data.pixels.decode import fit, from_array
from convscope.data.pixels.numbers import is_numbers, numbers_of
from convscope.data.preprocessing import Normalization, Preprocessing
from convscope.errors import CaptureError, DataError
from convscope.files.regular import read_bytes, refused_as
from convscope.interpret.explanation.layout import understood
from convscope.report.file_kinds import kind_by_start
from convscope.report.units import plural
from convscope.report.units import shape as sizes_text
from convscope.report.usage import settings_text

T = TypeVar("T")
# An image, a sound or an array in any of the forms that `network_input` names; PIL's classes are not imported for it.
Given: TypeAlias = Any

_DRAWN = (1, 3)  # channels of a picture: grey, or red, green and blue
_WITH_ALPHA = 4
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_TAKES = {1: "a WAV file, or an array file (.npy, .npz) of", 2: "an image file, or an array file (.npy, .npz) of"}


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """One sample as a network takes it.

    Args:
        tensor: `(1, C, *S)`.
        pixels: the picture to draw boxes on, uint8 (H, W, C); None where the input is no picture.
        notes: how what was given became this.
    """

    tensor: torch.Tensor
    pixels: Array | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class GivenNetwork:
    """What is known of the network that an input is for.

    Args:
        name: what to call it.
        module: the network.
        input_shape: of one sample, `(C, *S)`; None where it is not known.
        preprocessing: how an image becomes its input; None where it is not known.
        takes_images: whether it was trained on images here: floating-point numbers are then an image's, of 0 to 1.
        input_dtype: of its input, where a file says it.
    """

    name: str
    module: nn.Module
    input_shape: tuple[int, ...] | None = None
    preprocessing: Preprocessing | None = None
    takes_images: bool = False
    input_dtype: torch.dtype | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The type that it takes."""
        if self.input_dtype is not None:
            return self.input_dtype
        floating = (p.dtype for p in self.module.parameters() if p.is_floating_point())
        return next(floating, torch.get_default_dtype())

    @property
    def shape_text(self) -> str:
        """The shape of its input in words."""
        return "inputs of an unknown shape" if self.input_shape is None else sizes_text(self.input_shape)


def network_input(given: Given, network: GivenNetwork) -> NetworkInput:
    """Return what was given as the network's input.

    Raises:
        DataError: it can't be read, or does not have the network's axes, channels or sizes.
        CaptureError: the input shape of the network is unknown.
    """
    if is_numbers(given):
        return _from_numbers(given, network)
    if is_digit(given):
        return _from_image(given, network, "the built-in digits are images")
    if is_pillow(given):
        return _from_image(given, network, "a PIL image")
    if isinstance(given, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(given), network, "the input", "")
    if hasattr(given, "read"):
        name = name_of_object(given, "the input")
        with refused_as(DataError, name):
            data = read_object(given)
        return _from_bytes(data, network, name, "")
    if not isinstance(given, (str, os.PathLike)):
        raise DataError(f"the input is a {type(given).__name__}: give {FORMS}")
    path = Path(given)
    with refused_as(DataError, path):
        data = read_bytes(path)
    return _from_bytes(data, network, os.fsdecode(given), path.suffix.lower())


def _from_bytes(data: bytes, network: GivenNetwork, name: str, ending: str) -> NetworkInput:
    """Return the content of a file as the network's input; `ending` is that of its name, "" where it has none."""
    if is_sound(data) or ending == ".wav":
        return _from_sound(_named(name, lambda: read_sound(data)), network, name)
    if is_array_file(data) or ending in (".npy", ".npz"):
        array = _named(name, lambda: read_array(data))
        return _from_image(array, network, name) if network.takes_images else _from_array(array, network, name)
    if ending in _PICKLES:
        raise DataError(f"{name}: a pickle, which is not loaded: save the input alone, as an array file: "
                        "numpy.save('input.npy', tensor.numpy())")  # fmt: skip
    kind = kind_by_start(data) or "of a format that is not known"
    return _from_image(data, network, f"{name} is {kind}", name)


def _from_numbers(given: Array | torch.Tensor, network: GivenNetwork) -> NetworkInput:
    """Return an array or a tensor as the network's input: an image's numbers, or the network's own."""
    tensor = isinstance(given, torch.Tensor)
    name = "the tensor" if tensor else "the array"
    _require_sample(given.shape, network, name)
    if network.takes_images:
        return _from_image(given, network, name, name)
    with refused_as(DataError, name):
        array = numbers_of(given)
    _require_numbers(array, name)
    if isinstance(given, torch.Tensor) and given.dtype != torch.uint8:
        return _from_tensor(given, network)
    return _from_array(array, network, name)


def _require_numbers(array: Array, name: str) -> None:
    """Raise DataError for an array of another kind than real numbers, or with one that is not finite."""
    if array.dtype.kind not in "fiu":
        raise DataError(f"{name} holds {array.dtype}: give numbers, such as float32")
    _named(name, lambda: require_finite(array))


def _named(shown: str, read: Callable[[], T]) -> T:
    """Read a file, with its name before the reason in an error."""
    try:
        return read()
    except DataError as reason:
        raise DataError(f"{shown}: {reason}") from None


def _require_sample(shape: Sequence[int], network: GivenNetwork, name: str) -> None:
    """Raise DataError for an input that has no axes, or no numbers."""
    if not shape or 0 in shape:
        got = f"is of {sizes_text(shape)} and holds no numbers" if shape else "is a single number, without axes"
        raise DataError(f"{name} {got}, and {network.name} takes {network.shape_text}")


def _from_tensor(tensor: torch.Tensor, network: GivenNetwork) -> NetworkInput:
    batch = _batched(tensor.detach().cpu(), network)
    notes = (f"the first of {len(batch)} samples is explained",) if len(batch) > 1 else ()
    sample = batch[:1]
    return NetworkInput(sample, drawn(sample[0].double().numpy()) if sample.ndim == 4 else None, notes)


def _batched(tensor: torch.Tensor, network: GivenNetwork) -> torch.Tensor:
    """Return a tensor with its batch axis, which is added where the network's layers say that it is missing."""
    shape = network.input_shape
    ranks = _ranks(network.module) if shape is None else (len(shape) - 1,)
    for rank in ranks:
        if tensor.ndim - rank in (1, 2):
            return tensor if tensor.ndim - rank == 2 else tensor[None]
    if ranks and not (shape is None and len(tensor) == 1):
        wanted = " or ".join(f"({axes}) or (N, {axes})" for axes in map(_axes, ranks))
        wanted += f", or say what it takes: {settings_text(input_shape=tuple(tensor.shape))}" if shape is None else ""
        raise DataError(f"a tensor of {sizes_text(tensor.shape)} is no input of {network.name}: give {wanted}")
    # No layer determines the number of axes of a map: three are taken for an image, and one for a vector. Where one
    # does, a single sample of other axes is the network's own: a vector to a generator, a clip to one of frames.
    return tensor[None] if tensor.ndim in (1, 3) and not ranks else tensor


def _ranks(module: nn.Module) -> tuple[int, ...]:
    """Return how many axes beside batch and channels an input has, by the layers; of a network of sequences one."""
    sequences = (nn.MultiheadAttention, nn.RNNBase)
    return spatial_axes(module) or ((1,) if any(isinstance(one, sequences) for one in module.modules()) else ())


def _axes(dimensions: int) -> str:
    return ", ".join(("C", *{1: "L", 2: "HW", 3: "DHW"}.get(dimensions, "S" * dimensions)))


def spatial_axes(module: nn.Module) -> tuple[int, ...]:
    """Return how many spatial axes the maps of a network have, by its layers, that of the first layer first.

    Batch normalisation of one dimension does not count: it takes vectors as well.

    >>> spatial_axes(nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2))), spatial_axes(nn.Linear(3, 2))
    ((1,), ())
    """
    return tuple(dict.fromkeys(
        axes for layer in module.modules() for kinds, axes in _AXES_OF if isinstance(layer, kinds)
    ))  # fmt: skip


_LAYERS = ("Conv", "ConvTranspose", "MaxPool", "AvgPool", "LPPool", "AdaptiveAvgPool", "AdaptiveMaxPool",
           "InstanceNorm", "ReflectionPad", "ReplicationPad", "ZeroPad", "ConstantPad", "CircularPad")  # fmt: skip
_AXES_OF = tuple(
    (tuple(getattr(nn, f"{name}{axes}d") for name in (*_LAYERS, *(["BatchNorm"] if axes > 1 else []))), axes)
    for axes in (1, 2, 3)
)


def _from_array(array: Array, network: GivenNetwork, name: str) -> NetworkInput:
    _require_sample(array.shape, network, name)
    wanted, described = network.input_shape, f"{_last(name)}: {array.dtype} of {sizes_text(array.shape)}"
    _require_numbers(array, name)
    pixels = array.dtype == np.uint8
    if wanted is None:
        if pixels and array.ndim in (2, 3) and set(spatial_axes(network.module)) <= {2}:
            if array.ndim == 3 and array.shape[0] in _DRAWN and array.shape[2] not in (*_DRAWN, _WITH_ALPHA):
                note = f"{described}, read as pixels C×H×W"
                return _from_pixels(np.ascontiguousarray(array.transpose(1, 2, 0)), network, (note,))
            return _from_pixels(array if array.ndim == 3 else array[:, :, None], network, ())
        found = _from_tensor(_as_tensor(array, name), network)
        note = (
            f"{described}, given to the network as {sizes_text(found.tensor.shape)}; its numbers are used as they are"
        )
        return NetworkInput(found.tensor, found.pixels, (note, *found.notes))
    if pixels and wanted[0] in _DRAWN and array.ndim == len(wanted) == 3 and _has_alpha(array):
        found = _from_image(array, network, name, name)
        note = f"{described}, read as pixels H×W×C with alpha, resized and normalised"
        return NetworkInput(found.tensor, found.pixels, (note,))
    if pixels and len(wanted) == 3:
        reading = understood(array, wanted, name=name, network=network.name, pixels=True)
        note = f"{described}, read as pixels {reading.words}, resized and normalised"
        return _from_pixels(np.ascontiguousarray(np.moveaxis(reading.sample, 0, -1)), network, (note,))
    reading = understood(array, wanted, name=name, network=network.name)
    # A clip (T, C, H, W) whose frames are convolved one by one is not C×D×H×W.
    axes = spatial_axes(network.module)
    read = f", read as {reading.words}" if not axes or len(wanted) - 1 in axes else ""
    note = f"{described}{read}; its numbers are used as they are"
    tensor = _as_tensor(reading.sample, name)[None]
    return NetworkInput(tensor, drawn(tensor[0].double().numpy()) if len(wanted) == 3 else None, (note,))


def _has_alpha(array: Array) -> bool:
    """Return whether an image (H, W, C) or (C, H, W) has four channels, which stand last."""
    return array.shape[2] == _WITH_ALPHA and array.shape[0] not in _DRAWN


def _as_tensor(array: Array, name: str) -> torch.Tensor:
    """Return an array of any kind of numbers in float32, or in float64 where it has more digits."""
    dtype = np.float64 if array.dtype.itemsize > 4 else np.float32
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(array, dtype=dtype)
    if array.dtype.kind == "f" and (np.isfinite(array) & ~np.isfinite(numbers)).any():
        raise DataError(f"{name}: its largest number, {np.abs(array).max():.4g}, is beyond {np.dtype(dtype)}")
    return torch.from_numpy(numbers)


def in_dtype(tensor: torch.Tensor, dtype: torch.dtype, *, name: str, network: str) -> torch.Tensor:
    """Return an input in the type that a network computes in; refuse a finite number that becomes infinite.

    Raises:
        DataError: a number is beyond the type; the message has the largest.

    >>> in_dtype(torch.tensor([1e300], dtype=torch.float64), torch.float32, name="x.npy", network="net")
    Traceback (most recent call last):
    ...
    convscope.errors.DataError: x.npy: its largest number, 1e+300, is beyond float32, which net computes in
    """
    converted = tensor.to(dtype)
    finite = tensor.isfinite()
    if (finite & ~converted.isfinite()).any():
        largest, kind = float(tensor[finite].abs().max()), str(dtype).removeprefix("torch.")
        raise DataError(f"{name}: its largest number, {largest:.4g}, is beyond {kind}, which {network} computes in")
    return converted


def _from_sound(sound: Sound, network: GivenNetwork, name: str) -> NetworkInput:
    wanted = network.input_shape
    described = f"{_last(name)}: {sound.encoding}, {sound.rate:,} Hz, {plural(sound.channels, 'channel')}, "
    described += f"{plural(sound.length, 'sample')} ({sound.length / sound.rate:.2f} s)"
    described += "; its header has no length; read to the end" if sound.streamed else ""
    if wanted is None:
        ranks = spatial_axes(network.module)
        if ranks and 1 not in ranks:
            raise DataError(f"{name} is a WAV file, and {network.name} has maps of {ranks[0]} axes: give an array file")
        return NetworkInput(torch.from_numpy(_named(name, sound.samples)[None]), notes=(f"{described}, not resampled",))
    if len(wanted) != 2:
        raise DataError(f"{name} is a WAV file, and {network.name} takes {network.shape_text}: give {_needed(wanted)}")
    channels, length = wanted
    notes = [f"{described}, numbers from −1 to 1, not resampled"]
    samples = _named(name, lambda: sound.samples(length))
    if channels == 1 < sound.channels:
        samples = samples.mean(axis=0, keepdims=True)
        notes.append(f"its {sound.channels} channels are averaged to 1")
    elif channels != sound.channels:
        raise DataError(f"{name} has {plural(sound.channels, 'channel')}, and {network.name} takes "
                        f"{network.shape_text}: give a file of {plural(channels, 'channel')}")  # fmt: skip
    if sound.length > length:
        notes.append(f"cut to the first {length:,} of its samples, which is what {network.name} takes")
    elif sound.length < length:
        zeros = length - sound.length
        samples = np.pad(samples, ((0, 0), (0, zeros)))
        notes.append(f"padded with {plural(zeros, 'zero')} to the {length:,} samples that {network.name} takes")
    if sound.length != length:
        notes[-1] += f"; {settings_text(input_shape=(channels, sound.length))} takes it as it is"
    return NetworkInput(torch.from_numpy(samples[None]), notes=tuple(notes))


def _last(path: str) -> str:
    return path.rpartition("/")[2] or path


def _needed(wanted: Sequence[int]) -> str:
    return f"{_TAKES.get(len(wanted) - 1, 'an array file (.npy, .npz) of')} {sizes_text(wanted)}"


def _from_image(image: Given, network: GivenNetwork, what: str, name: str = "the input") -> NetworkInput:
    """Return an image in any form as the network's input; `what` is how it is called where it is no image's network."""
    wanted = network.input_shape
    if wanted is not None and len(wanted) != 3:
        raise DataError(f"{what}, and {network.name} takes {network.shape_text}: give {_needed(wanted)}")
    preprocessing = image_preprocessing(network)
    item = image_item(image, name)
    with refused_as(DataError, item.name), warnings_ignored():
        pixels = item.decode(preprocessing.decoding)
    return _normalised(np.asarray(pixels), preprocessing.normalization, ())


def _from_pixels(pixels: Array, network: GivenNetwork, notes: tuple[str, ...]) -> NetworkInput:
    wanted = network.input_shape
    resized = wanted is not None and pixels.shape != (*wanted[1:], wanted[0])
    if not resized and network.preprocessing is None:
        return _normalised(pixels, Normalization.default(pixels.shape[2]), notes)
    preprocessing = image_preprocessing(network)
    pixels = np.asarray(fit(from_array(pixels), preprocessing.decoding))
    return _normalised(pixels, preprocessing.normalization, notes)


def _normalised(pixels: Array, normalization: Normalization, notes: tuple[str, ...]) -> NetworkInput:
    """Return the pixels as the network takes them: the same numbers, bit for bit, as in training and prediction."""
    return NetworkInput(to_floats(pixels[None], normalization).contiguous(), _picture(pixels), notes)


def _picture(pixels: Array) -> Array | None:
    """Return pixels (H, W, C) where they can be drawn; None where their channels are no grey or colours."""
    return pixels if pixels.shape[2] in _DRAWN else None


def image_preprocessing(network: GivenNetwork) -> Preprocessing:
    """Return the preprocessing that is known of the network, or else the default for its input's shape.

    Raises:
        CaptureError: its input's shape is not known, or is no image's.
    """
    wanted = network.input_shape
    if wanted is None:
        raise CaptureError(
            f"the input shape of the model is unknown: give it, such as {settings_text(input_shape=(3, 224, 224))}"
        )
    known = network.preprocessing or Preprocessing.default(wanted)
    if known is None or len(wanted) != 3 or wanted[0] != known.decoding.channels:
        raise CaptureError(f"{network.name} takes {network.shape_text}, and an image has 1 or 3 channels: "
                           f"give an array file (.npy, .npz) of {network.shape_text}")  # fmt: skip
    return known.resized(wanted)


def drawn(planes: Array) -> Array | None:
    """Return numbers `(C, H, W)` as pixels, from the least to the most; None where they are no picture."""
    if planes.ndim != 3 or planes.shape[0] not in _DRAWN:
        return None
    finite = planes[np.isfinite(planes)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    planes = np.nan_to_num(planes, nan=low, posinf=high, neginf=low)
    scaled = (planes / 2 - low / 2) / ((high / 2 - low / 2) or 1.0)  # halves: their difference is finite
    pixels: Array = np.rint(scaled * 255).astype(np.uint8).transpose(1, 2, 0)
    return pixels
