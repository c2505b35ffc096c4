"""The processes that train one network together, seen from one of them.

A batch is cut into contiguous parts, one a process. Gradients of the parts are added up after each backward pass in
one exchange, together with the losses and whether any process is to stop, so that all processes take the same step,
see the same loss and stop at the same step. A group of one process exchanges nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn

from convscope.data.records import ImageSet
from convscope.errors import PeerError, RunError
from convscope.hardware.rank import Rank

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

Made = TypeVar("Made")

# One process decodes a large data set while the others wait.
LONGEST_TURN = datetime.timedelta(days=2)
DONE, FAILED = "done", "failed"


class PeersLostError(RunError):
    """The other processes can't be reached any more."""


class ProcessGroup:
    """A group of one process, and the interface of any group."""

    def __init__(self, place: Rank | None = None) -> None:
        self.place = place or Rank()

    @property
    def size(self) -> int:
        """Return the number of processes that train."""
        return self.place.size

    @property
    def rank(self) -> int:
        """Return this process's number, from 0."""
        return self.place.rank

    @property
    def first(self) -> bool:
        """Return whether this is the process that writes files and shows progress."""
        return self.place.first

    def rows(self, total: int, *, least: int = 1) -> slice:
        """Return this process's rows of a batch of `total` images: contiguous, and nearly as many as the others'.

        Where there are fewer than `least` for each process, the first ones have `least`, and the last ones none.

        >>> [ProcessGroup(Rank(rank=rank, size=4)).rows(5, least=2) for rank in range(4)]
        [slice(0, 2, None), slice(2, 5, None), slice(5, 5, None), slice(5, 5, None)]
        """
        parts = min(self.size, max(1, total // least))
        start, stop = (total * min(rank, parts) // parts for rank in (self.rank, self.rank + 1))
        if total >= 2 * parts:
            # Rows 0 and 1, 2 and 3, ... are mixed with each other: a part begins and ends between pairs.
            start, stop = (place if place == total else place // 2 * 2 for place in (start, stop))
        return slice(start, stop)

    def stopping_together(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """Return a `stop` on which all processes agree: whether any of them was to stop at the last step."""
        return stop

    def add_up(self, network: nn.Module, sums: Sequence[Tensor | float]) -> list[float]:
        """Add up gradients, in place, and numbers over all processes; return the numbers' sums."""
        # Stacked, so that the device is waited for once.
        found: list[float] = torch.stack([torch.as_tensor(value).float() for value in sums]).tolist()
        return found

    def average_buffers(self, network: nn.Module) -> None:
        """Set running statistics to the mean over all processes."""

    def copy_from_first(self, network: nn.Module) -> None:
        """Copy the first process's weights to every process."""

    def in_turn(self, make: Callable[[], Made]) -> Made:
        """Call `make` in each process: in one on each machine first, then in the others, which find its files."""
        return make()

    def decided(self, make: Callable[[], Made]) -> Made:
        """Return in every process what `make` returned in the first one."""
        return make()

    def agree(self, what: str, value: str) -> None:
        """Raise RunError unless every process has the same value."""

    def each_part(
        self, images: ImageSet, compute: Callable[[ImageSet], npt.NDArray[np.float64]], batch_size: int
    ) -> npt.NDArray[np.float64]:
        """Return `compute` of all images, float64 (N, ...), each process computing some rows of it."""
        return compute(images)

    def gather_each(self, values: Tensor) -> Tensor:
        """Return every process's values (n,), as (size, n)."""
        return values[None]

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of the values over all processes."""
        return values

    def remember(self, name: str, value: str) -> None:
        """Store a value that outlives a restart of the processes."""

    def remembered(self, name: str) -> str | None:
        """Return what was stored before the processes were restarted, or None."""
        return None


class SpawnedGroup(ProcessGroup):
    """A group of several processes; `store` is this attempt's, `lasting` outlives a restart."""

    def __init__(self, place: Rank, store: Store, lasting: Store) -> None:
        super().__init__(place)
        self._store = store
        self._lasting = lasting
        self._turns = 0
        self._stop: Callable[[], bool] = bool
        self._stopping: Tensor | None = None
        self._flat: Tensor | None = None

    def stopping_together(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """Return whether any process was to stop when gradients were last exchanged."""
        self._stop = stop
        self._stopping = None
        return lambda: self._stopping is not None and bool(self._stopping.item())

    def add_up(self, network: nn.Module, sums: Sequence[Tensor | float]) -> list[float]:
        """Add up in one exchange of one flat buffer, float32.

        Its layout, for parameters p0, p1, ... that are trained:

            | gradient of p0 | gradient of p1 | ... | p0 has one | p1 has one | ... | stop | sums[0] | sums[1] | ... |

        Each gradient lies there with its parameter's own strides, so that afterwards it is a view of the buffer.
        """
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        gradients = [parameter.grad for parameter in learning]
        flat, views = self._flat_buffer(learning, len(sums) + 1)
        used = [(view, gradient) for view, gradient in zip(views, gradients, strict=True) if gradient is not None]
        if used:  # a process without a share of the batch has none
            torch._foreach_copy_([view for view, _ in used], [gradient for _, gradient in used])
        extras = [float(self._stop()), *sums]
        tail = flat[-len(extras) :]
        # One by one, tensors as tensors: to make a list of numbers of them would wait for the device.
        for place, value in enumerate(extras):
            tail[place] = value
        missing = [place for place, gradient in enumerate(gradients) if gradient is None]
        presence = flat[-len(extras) - len(learning) : -len(extras)]
        presence.fill_(1.0)
        for place in missing:
            views[place].zero_()
            presence[place] = 0.0
        with _together(self):
            dist.all_reduce(flat)
        # A parameter that every process used needs no look at the device.
        users = presence.tolist() if missing else [1.0] * len(learning)
        for parameter, view, count in zip(learning, views, users, strict=True):
            # One that no process used has no gradient, as with one process.
            parameter.grad = view if count else None
        self._stopping = tail[0]
        return [float(value) for value in tail[1:].tolist()]

    def _flat_buffer(self, learning: list[nn.Parameter], extras: int) -> tuple[Tensor, list[Tensor]]:
        """Return the buffer of the exchange, kept between steps, and the view of each parameter's gradient in it."""
        weights = sum(parameter.numel() for parameter in learning)
        length = weights + len(learning) + extras
        if self._flat is None or len(self._flat) != length:
            self._flat = torch.empty(length, dtype=torch.float32, device=learning[0].device)
        start, views = 0, []
        for parameter in learning:
            views.append(self._flat.as_strided(parameter.shape, parameter.stride(), start))
            start += parameter.numel()
        return self._flat, views

    def average_buffers(self, network: nn.Module) -> None:
        """Average the buffers of floats; counts are the same everywhere already."""
        buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        if not buffers:
            return
        flat = torch.cat([buffer.reshape(-1) for buffer in buffers])
        with _together(self), torch.no_grad():
            dist.all_reduce(flat)
            flat /= self.size
            parts = torch.split(flat, [buffer.numel() for buffer in buffers])
            for buffer, part in zip(buffers, parts, strict=True):
                buffer.copy_(part.view_as(buffer))

    def copy_from_first(self, network: nn.Module) -> None:
        """Broadcast parameters and buffers."""
        with _together(self), torch.no_grad():
            for tensor in (*network.parameters(), *network.buffers()):
                whole = tensor.detach().contiguous()
                dist.broadcast(whole, src=0)
                tensor.copy_(whole)

    def in_turn(self, make: Callable[[], Made]) -> Made:
        """Let the first process of each machine go first while the others wait."""
        key = f"turn/{self._next_turn()}/{self.place.machine}"
        if self.place.local_rank:
            self._await(key)
            return make()
        return self._make(key, make)

    def decided(self, make: Callable[[], Made]) -> Made:
        """Call `make` in the first process and broadcast what it returns."""
        key = f"turn/{self._next_turn()}"
        if not self.first:
            self._await(key)
        sent: list[Made | None] = [self._make(key, make) if self.first else None]
        with _together(self):
            dist.broadcast_object_list(sent, src=0, device=torch.device("cpu"))
        made: Made = sent[0]  # type: ignore[assignment]
        return made

    def agree(self, what: str, value: str) -> None:
        """Compare with the first process's value."""
        theirs = self.decided(lambda: value)
        alike = self.total(torch.tensor([float(theirs == value)]))
        if int(alike.item()) != self.size:
            raise RunError(f"the processes do not have the same {what}: give every machine the same files")

    def each_part(
        self, images: ImageSet, compute: Callable[[ImageSet], npt.NDArray[np.float64]], batch_size: int
    ) -> npt.NDArray[np.float64]:
        """Compute a range of whole batches in each process: so the results are those of one process alone."""
        batches = -(-len(images) // batch_size)
        start, stop = (batches * rank // self.size * batch_size for rank in (self.rank, self.rank + 1))
        mine = images.part(slice(start, min(stop, len(images))))
        # A process without images still needs the shape of a row.
        rows = compute(mine) if len(mine) else compute(images.part(slice(0, 1)))[:0]
        return self._gather(rows)

    def _gather(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return every process's rows, one after another; processes may have different numbers of them."""
        counts = self.gather_each(torch.tensor([len(rows)]))[:, 0].tolist()
        padded = torch.zeros((max(counts), *rows.shape[1:]), dtype=torch.float64)
        padded[: len(rows)] = torch.from_numpy(rows)
        found = [torch.empty_like(padded) for _ in counts]
        with _together(self):
            dist.all_gather(found, padded)
        return np.concatenate([part[:count].numpy() for part, count in zip(found, counts, strict=True)])

    def gather_each(self, values: Tensor) -> Tensor:
        """Exchange vectors of equal length."""
        found = [torch.empty_like(values) for _ in range(self.size)]
        with _together(self):
            dist.all_gather(found, values.contiguous())
        return torch.stack(found)

    def total(self, values: Tensor) -> Tensor:
        """Return the sum as a new tensor."""
        added = values.clone()
        with _together(self):
            dist.all_reduce(added)
        return added

    def remember(self, name: str, value: str) -> None:
        """Put a value into torchrun's store, which lasts until torchrun ends."""
        self._lasting.set(f"convscope/{name}", value)

    def remembered(self, name: str) -> str | None:
        """Return the value of an earlier attempt; the same in every process."""
        key = f"convscope/{name}"

        def look() -> str | None:
            there = self.place.attempt and self._lasting.check([key])
            return self._lasting.get(key).decode() if there else None

        return self.decided(look)

    def _next_turn(self) -> int:
        self._turns += 1
        return self._turns

    def _make(self, key: str, make: Callable[[], Made]) -> Made:
        try:
            made = make()
        except BaseException:
            self._store.set(key, FAILED)
            raise
        self._store.set(key, DONE)
        return made

    def _await(self, key: str) -> None:
        with _together(self):
            self._store.wait([key], LONGEST_TURN)
            outcome = self._store.get(key).decode()
        if outcome == FAILED:
            raise PeerError("another process of this training has failed")


@contextmanager
def _together(group: ProcessGroup) -> Iterator[None]:
    """Raise PeersLostError where an exchange fails; torch's errors are of many classes, all RuntimeErrors."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise PeersLostError(
            f"process {group.rank} has lost the other {group.size - 1} of this training ({reason})"
        ) from error
