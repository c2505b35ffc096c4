"""Shapes that the user gave: of one sample, or of a batch, distinguished by what the network accepts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import nn

from convscope.arrays import Shape
from convscope.capture.build import build_without_memory
from convscope.capture.capture import capture
from convscope.capture.input_text import TypedInput, parse_input
from convscope.capture.inputs import Inputs
from convscope.capture.left_as_found import CaptureMode
from convscope.errors import CaptureError
from convscope.report import units

# How many axes a sample has, by the first layer that says so: (C, L), (C, H, W) or (C, D, H, W).
_SAMPLE_AXES: tuple[tuple[tuple[type[nn.Module], ...], int], ...] = (
    ((nn.Conv1d, nn.ConvTranspose1d, nn.MaxPool1d, nn.AvgPool1d), 2),
    ((nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d, nn.BatchNorm2d), 3),
    ((nn.Conv3d, nn.ConvTranspose3d, nn.MaxPool3d, nn.AvgPool3d, nn.BatchNorm3d), 4),
)


@dataclass(frozen=True, slots=True)
class InputShapes:
    """The inputs of one forward pass.

    Args:
        samples: the shape of one sample of each input, without the batch; empty where `typed` has the inputs.
        batch_size: samples in the batch; 1 unless a batch was given.
        typed: inputs with names, types, ranges or lists of images.
        complete: inputs that a file declares, as `capture` takes them; None where none does.
    """

    samples: tuple[Shape, ...]
    batch_size: int = 1
    typed: tuple[TypedInput, ...] = ()
    complete: Inputs | None = None

    @property
    def inputs(self) -> Inputs:
        """What `capture` and `inspect` take beside the batch size: shapes or samples, by position or by name."""
        if self.complete is not None:
            return self.complete
        if self.typed:
            made = [one.given for one in self.typed]
            names = [one.name for one in self.typed]
            return dict(zip(names, made, strict=True)) if names[0] else made
        return self.samples[0] if len(self.samples) == 1 else list(self.samples)


def parse_inputs(
    texts: Sequence[str], model: nn.Module | Callable[[], nn.Module], known: Shape | None = None
) -> InputShapes:
    """Return the inputs that the command line names; of plain shapes `tell_batch` decides whether they are a batch's.

    Raises:
        CaptureError: one is no input; some have names and others none; or two have the same.
    """
    given = [parse_input(text) for text in texts]
    shapes = [one for one in given if not isinstance(one, TypedInput)]
    if len(shapes) == len(given):
        return tell_batch(model, shapes, known)
    return _tell_typed_batch(model, InputShapes((), typed=_all_typed(texts, given)))


def _all_typed(texts: Sequence[str], given: Sequence[Shape | TypedInput]) -> tuple[TypedInput, ...]:
    typed = tuple(one if isinstance(one, TypedInput) else TypedInput("", (one,)) for one in given)
    if len({bool(one.name) for one in typed}) > 1:
        raise CaptureError(f"{' and '.join(texts)}: give each input a name, or none")
    if twice := [one.name for one in typed if one.name and sum(one.name == other.name for other in typed) > 1]:
        raise CaptureError(f"{' and '.join(texts)}: the input {twice[0]} is given twice")
    return typed


def inputs_beside_a_file(texts: Sequence[str]) -> Inputs | None:
    """Return what the command line says of inputs that a file declares, whose names may be any text.

    >>> inputs_beside_a_file(["images:0=3x8x8"]), inputs_beside_a_file([])
    ({'images:0': (3, 8, 8)}, None)
    """
    parts = [text.rpartition("=") for text in texts]
    given = [(name, parse_input(rest)) for name, _, rest in parts]
    _all_typed(texts, [TypedInput(name, ()) for name, _ in given])
    # A shape alone has the file's type.
    values = [one.given if isinstance(one, TypedInput) else one for _, one in given]
    return (
        {name: value for (name, _), value in zip(given, values, strict=True)}
        if given and given[0][0]
        else values or None
    )


def tell_batch(
    model: nn.Module | Callable[[], nn.Module], shapes: Sequence[Shape], known: Shape | None = None
) -> InputShapes:
    """Return whether shapes are of one sample or of a batch.

    A sample has as many axes as the network's usual input, or as its first convolution or pooling takes. Where the
    shapes have another number, the network decides: they are a batch where it takes them as a batch alone.

    Args:
        model: a module, or a function that makes one.
        shapes: one for each input.
        known: the shape of one sample that the model is meant for, if anything says so.

    A batch of 4 images, and one clip of sound with 4 channels:

    >>> images, sound = tell_batch(nn.Conv2d(3, 8, 3), [(4, 3, 64, 64)]), tell_batch(nn.Conv1d(4, 8, 3), [(4, 16000)])
    >>> images.samples, images.batch_size
    (((3, 64, 64),), 4)
    >>> sound.samples, sound.batch_size
    (((4, 16000),), 1)
    """
    given = InputShapes(tuple(shapes))
    batch = _as_batch(shapes)
    built = model if isinstance(model, nn.Module) else None if known else build_without_memory(model)
    axes = len(known) if known else None if built is None else _sample_axes(built)
    if batch is None or (len(shapes) == 1 and len(shapes[0]) == axes):
        return given
    if built is None:
        return batch if len(shapes[0]) - 1 == axes else given
    if _runs(built, given):
        return given
    return batch if len(shapes[0]) - 1 == axes or _runs(built, batch) else given


def _tell_typed_batch(model: nn.Module | Callable[[], nn.Module], given: InputShapes) -> InputShapes:
    """Return inputs as a batch where all begin with the same size and the network takes them as a batch alone."""
    sizes = {one.shapes[0][:1] for one in given.typed}
    if len(sizes) > 1 or () in sizes or any(one.listed for one in given.typed):
        return given
    samples = tuple(replace(one, shapes=(one.shapes[0][1:],)) for one in given.typed)
    batch = InputShapes((), sizes.pop()[0], samples)
    built = model if isinstance(model, nn.Module) else build_without_memory(model)
    return given if _runs(built, given) or not _runs(built, batch) else batch


def batch_note(shapes: InputShapes, what: str) -> str | None:
    """Return the note that `what` is of one sample although a batch was given, or None if none is needed.

    >>> batch_note(InputShapes(((3, 64, 64),), 4), "the field")
    'a batch of 4 samples of 3×64×64: the field is that of one sample'
    """
    if shapes.batch_size == 1:
        return None
    each = shapes.samples or [one.shapes[0] for one in shapes.typed]
    sample = " and ".join(units.shape(shape) for shape in each)
    return f"a batch of {shapes.batch_size} samples of {sample}: {what} is that of one sample"


def _as_batch(shapes: Sequence[Shape]) -> InputShapes | None:
    """Return the shapes with their first axis as the batch; None where they have none in common."""
    sizes = {shape[0] for shape in shapes}
    if len(sizes) > 1 or any(len(shape) < 2 for shape in shapes):
        return None
    return InputShapes(tuple(shape[1:] for shape in shapes), sizes.pop())


def _sample_axes(model: nn.Module) -> int | None:
    for module in model.modules():
        for kinds, axes in _SAMPLE_AXES:
            if isinstance(module, kinds):
                return axes
    return None


def _runs(model: nn.Module, shapes: InputShapes) -> bool:
    return capture(model, shapes.inputs, batch_size=shapes.batch_size).error is None


# Sides are doubled at most up to here; a forward pass on shapes alone costs the same at any size.
_LARGEST = 1024


def smallest_input(
    model: nn.Module | Callable[[], nn.Module],
    failing: tuple[int, ...],
    known: tuple[int, ...] | None = None,
    *,
    mode: CaptureMode = "eval",
) -> tuple[int, ...] | None:
    """Return the smallest shape (C, *S) with equal sides that passes through; None where no larger one was found to.

    Args:
        model: a module, or a function that makes one.
        failing: the shape that did not pass.
        known: a shape that passes, if one is known.
        mode: of the modules while the model runs.

    >>> smallest_input(nn.Sequential(nn.Conv2d(3, 8, 5), nn.MaxPool2d(4)), (3, 6, 6))
    (3, 8, 8)
    """
    built = model if isinstance(model, nn.Module) else build_without_memory(model)
    channels, axes = failing[0], len(failing) - 1

    def works(side: int) -> bool:
        return capture(built, (channels, *(side,) * axes), mode=mode).error is None

    fails = min(failing[1:], default=0)
    works_from = _first_working(works, fails, max(known[1:], default=None) if known and known[0] == channels else None)
    if works_from is None:
        return None
    while works_from - fails > 1:
        middle = (fails + works_from) // 2
        if works(middle):
            works_from = middle
        else:
            fails = middle
    return (channels, *(works_from,) * axes)


def _first_working(works: Callable[[int], bool], fails: int, known: int | None) -> int | None:
    """Return the first of the known side and the doubled ones that works; None below 1."""
    if fails < 1:
        return None
    doubled = (fails << times for times in range(1, 11) if fails << times <= _LARGEST)
    sides = (side for side in (known, *doubled) if side is not None and side > fails)
    return next((side for side in sides if works(side)), None)
