"""What an ONNX file says of the inputs of its network: name, element type, sizes, and which axis is the batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from convscope.nets.onnx.plan import Declared
from convscope.nets.onnx.tensors import TORCH_TYPES


@dataclass(frozen=True, slots=True)
class DeclaredInput:
    """One input, as a file declares it.

    Args:
        name: the file's.
        dtype: element type, as torch calls it.
        sizes: of one sample; a name or None where the file leaves a size open; None where it says no shape.
        batch_axis: where the axis of samples is put; None where there is none.
    """

    name: str
    dtype: str
    sizes: tuple[int | str | None, ...] | None
    batch_axis: int | None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of one sample; None where a size is open."""
        fixed = tuple(size for size in self.sizes or () if isinstance(size, int))
        return None if self.sizes is None or len(fixed) < len(self.sizes) else fixed

    @property
    def described(self) -> str:
        """Name and sizes in words: "images of 3×height×?"."""
        if self.sizes is None:
            return f"{self.name[:80]} of any shape"
        return f"{self.name[:80]} of {'×'.join(str(size or '?')[:40] for size in self.sizes) or 'one number'}"


def declared_inputs(inputs: Mapping[str, Declared], channels_last: Collection[str] = ()) -> tuple[DeclaredInput, ...]:
    """Return the inputs of a plan, channels before positions.

    The first axis is that of samples where its size is 1 or open, unless it is the only one; and so is every axis of
    the same name.

    >>> state, rate = declared_inputs({"state": Declared(1, (2, "batch", 128)), "rate": Declared(7, ())})
    >>> state.batch_axis, rate.batch_axis, rate.dtype
    (None, None, 'int64')
    >>> x, state = declared_inputs({"x": Declared(1, ("batch", 512)), "state": Declared(1, (2, "batch", 128))})
    >>> x.described, state.batch_axis, state.shape
    ('x of 512', 1, (2, 128))
    """
    shapes = [declared.shape or () for declared in inputs.values()]
    batch = next((shape[0] for shape in shapes if len(shape) > 1 and isinstance(shape[0], str)), None)
    made = []
    for name, declared in inputs.items():
        sizes, axis = declared.shape, None
        if sizes is None or (len(sizes) > 1 and sizes[0] in (1, None, batch)):
            axis = 0
        elif batch is not None and batch in sizes:
            axis = sizes.index(batch)
        rest = sizes if sizes is None or axis is None else (*sizes[:axis], *sizes[axis + 1 :])
        if name in channels_last and rest:
            rest = (rest[-1], *rest[:-1])
        kind = TORCH_TYPES.get(declared.kind)
        dtype = "float32" if kind is None else str(kind).removeprefix("torch.")
        made.append(DeclaredInput(name, dtype, rest, axis))
    return tuple(made)
