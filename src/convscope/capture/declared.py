"""Inputs that a file declares: what the user gave of them, and the rest as the file says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from convscope.capture.inputs import Inputs, SampleSpec, is_shape
from convscope.errors import CaptureError, did_you_mean
from convscope.nets.onnx.inputs import DeclaredInput
from convscope.report.usage import settings_text


def completed(model: str, declared: Sequence[DeclaredInput], given: Inputs | None) -> Inputs:
    """Return the inputs of a forward pass: those that were given, with the file's types, and the others as it says.

    Args:
        model: what to call it.
        declared: the file's inputs, in order.
        given: what `capture` takes: one input, a list of all, or some by name.

    Raises:
        CaptureError: a name or a number of inputs that the file does not have, or a size that it leaves open.

    >>> x, mask = DeclaredInput("x", "float32", (3, "h", "w"), 0), DeclaredInput("mask", "bool", ("h", "w"), 0)
    >>> completed("m", [x, mask], {"x": (3, 8, 9)})["mask"]
    SampleSpec(shape=(8, 9), dtype='bool', numbers=None, whole=False, batch_axis=0)
    """
    named = dict(zip([one.name for one in declared], _by_position(model, declared, given), strict=True))
    if isinstance(given, Mapping):
        for name in given:
            if name not in named:
                raise CaptureError(
                    f"{model} has no input {name!r}{did_you_mean(name, named)}; it takes {_all(declared)}"
                )
        named.update(given)
    sizes = _sizes_of_names(declared, named)
    made = {one.name: _made(one, named[one.name], sizes) for one in declared}
    lacking = [one for one in declared if made[one.name] is None]
    if lacking:
        example = {one.name: _example(one, main=one is main_input(declared)) for one in lacking}
        said = settings_text(input_shape=example if len(declared) > 1 else example[lacking[0].name])
        raise CaptureError(f"{model} leaves sizes open, {_all(lacking)}: give {said}")
    return made if len(declared) > 1 else [made[declared[0].name]]


def main_input(declared: Sequence[DeclaredInput]) -> DeclaredInput:
    """Return the input that an image or an array is given to.

    The first whose samples come first and have two axes or more; or else one axis; or else the first of all.
    """
    images = [one for one in declared if one.batch_axis == 0]
    return next((one for one in images if one.sizes is None or len(one.sizes) > 1),
                next((one for one in images if one.sizes), declared[0]))  # fmt: skip


def _example(one: DeclaredInput, *, main: bool) -> tuple[int, ...]:
    """Return a shape for a message: 224 for open sizes, but 3 channels of images, and 1 for a batch inside a state."""
    sizes = one.sizes or (3, 224, 224)
    made = []
    for axis, size in enumerate(sizes):
        inside = not main and any(isinstance(later, int) for later in sizes[axis:])
        guess = 1 if inside else 3 if axis == 0 and len(sizes) > 2 else 224
        made.append(size if isinstance(size, int) else guess)
    return tuple(made)


def _by_position(model: str, declared: Sequence[DeclaredInput], given: Inputs | None) -> list[Any]:
    """Return what was given for each input; None where nothing was."""
    if given is None or isinstance(given, Mapping):
        return [None] * len(declared)
    if is_shape(given) or not isinstance(given, list | tuple):
        open_ones = [i for i, one in enumerate(declared) if one.shape is None]
        if len(declared) == 1 or len(open_ones) == 1:
            place = open_ones[0] if open_ones else 0
            return [given if i == place else None for i in range(len(declared))]
        given = [given]
    if len(given) != len(declared):
        raise CaptureError(f"{model} takes {len(declared)} inputs, {_all(declared)}; {len(given)} given")
    return list(given)


def _all(declared: Sequence[DeclaredInput]) -> str:
    return ", ".join(one.described for one in declared)


def _sizes_of_names(declared: Sequence[DeclaredInput], named: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes that the file gives names, as far as what was given decides them."""
    known: dict[str, int] = {}
    for one in declared:
        given = named[one.name]
        shape = tuple(getattr(given, "shape", given if is_shape(given) else ()))
        sizes = one.sizes or ()
        for wanted, size in zip(reversed(sizes), reversed(shape), strict=False):
            if isinstance(wanted, str) and one.batch_axis in (0, None):
                known.setdefault(wanted, size)
    return known


def _made(one: DeclaredInput, given: Any, names: Mapping[str, int]) -> Any:
    """Return an input as `make_inputs` takes it; None where a size of it is open."""
    axis = one.batch_axis or 0
    if is_shape(given) or given == ():
        whole = one.batch_axis is None or (one.sizes is not None and len(given) == len(one.sizes) + 1)
        return SampleSpec(tuple(given), one.dtype, whole=whole, batch_axis=axis)
    if isinstance(given, SampleSpec):
        # "scalar" on the command line has the type of no file.
        kind = one.dtype if (given.shape, given.dtype) == ((), "float32") else given.dtype
        return replace(given, dtype=kind, whole=given.whole or one.batch_axis is None, batch_axis=axis)
    if given is not None:
        return given
    open_or_fixed = (None,) if one.sizes is None else one.sizes
    sizes = tuple(names.get(size) if isinstance(size, str) else size for size in open_or_fixed)
    shape = tuple(size for size in sizes if size is not None)
    if len(shape) < len(sizes):
        return None
    return SampleSpec(shape, one.dtype, whole=one.batch_axis is None, batch_axis=axis)
