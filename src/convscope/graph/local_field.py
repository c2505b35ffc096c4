"""The field apart from gates and normalization: which ways of an operation are left out of it.

By definition every position behind a squeeze-and-excitation gate, or a group normalization, depends on the whole image:
on one number per channel that was taken over all of it. What the windows before it see is then lost from sight. The
local field leaves out two ways, and nothing else:

- the statistics over positions by which a normalization divides (batch norm in training, group, instance, layer and RMS
  norm, where they are taken over positions); channels that are normalized together stay together;
- a value of which no position is left, since the whole axis was read, where it is broadcast over positions again: by
  arithmetic with a map (squeeze-and-excitation, global context, a mean that is subtracted) or by enlarging a map of
  one position (image-level pooling). Where nothing else arrives, the value keeps the whole axis.

Attention is none of these: each position there weighs the others for itself.
"""

from __future__ import annotations

from convscope.geometry.relation import Expand, Mix, ReachStatus, RelationStep, Taps, shape_after
from convscope.graph.reach import AxisReach


def without_statistics(
    field: AxisReach, steps: tuple[RelationStep, ...], shape: tuple[int, ...]
) -> tuple[RelationStep, ...]:
    """Return the steps of a normalization without those over axes that the source is laid out along."""
    along = field.axes_along
    return tuple(s for s in steps if not (isinstance(s, Mix) and s.axis in along and s.size == shape[s.axis]))


def broadcasts(field: AxisReach, steps: tuple[RelationStep, ...], shape: tuple[int, ...]) -> bool:
    """Return whether these steps broadcast a value of which no position is left; `field` is its reach after them."""
    if field.status in (ReachStatus.EXACT, ReachStatus.UNKNOWN) or any(map(field.varies, range(field.clipped[0].ndim))):
        return False
    for step in steps:
        after = shape_after(step, shape)
        if isinstance(step, Expand) and any(a == 1 < b for a, b in zip(reversed(shape), reversed(after), strict=False)):
            return True
        if isinstance(step, Taps) and step.table.input_size == 1 < step.table.output_size:
            return True
        shape = after
    return False
