"""Arrays with a tensor's rank and size 1 along every axis where nothing varies."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from convscope.geometry.relation import reshape_blocks

Number = TypeVar("Number", bound=np.generic)


def spread_reshape(array: npt.NDArray[Number], old: tuple[int, ...], new: tuple[int, ...]) -> npt.NDArray[Number]:
    """Reshape from shape `old` to shape `new`; only blocks of axes in which something varies are written out.

    >>> spread_reshape(np.arange(3).reshape(1, 3, 1), (2, 3, 4), (2, 12)).shape
    (1, 12)
    >>> spread_reshape(np.ones((1, 1, 4)), (2, 3, 4), (6, 4)).shape
    (1, 4)
    """
    full, target = list(array.shape), list[int]()
    for before, after in reshape_blocks(old, new):
        if all(array.shape[axis] == 1 for axis in before):
            target += [1] * len(after)
        else:
            for axis in before:
                full[axis] = old[axis]
            target += [new[axis] for axis in after]
    return np.broadcast_to(array, full).reshape(target)
