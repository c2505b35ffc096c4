"""The processes that train one network together, seen from one of them.

A global batch is cut into contiguous parts, one a process. Gradients of the parts are added up after each backward
pass in one exchange, together with the losses and whether anybody wants to stop, so that all processes take the same
step, see the same loss and stop at the same place. A team of one does nothing of this.
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

from convscope.data.augmentation.batch_rng import BatchPart
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
    """A team of one, and what any team can be asked."""

    def __init__(self, place: Rank | None = None) -> None:
        self.place = place or Rank()

    @property
    def size(self) -> int:
        """How many processes train."""
        return self.place.size

    @property
    def rank(self) -> int:
        """This process's number, from 0."""
        return self.place.rank

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.place.first

    def part(self, total: int) -> BatchPart:
        """This process's rows of a global batch of `total` images: contiguous, and nearly as many as the others'."""
        return BatchPart(start=self.rows(total).start, total=total)

    def rows(self, total: int) -> slice:
        """The same rows as a slice of the global batch."""
        start, stop = (total * rank // self.size for rank in (self.rank, self.rank + 1))
        if total >= 2 * self.size:
            # Images are mixed in pairs, which no cut may part.
            start, stop = start // 2 * 2, stop if stop == total else stop // 2 * 2
        return slice(start, stop)

    def heeding(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """A stop that all processes agree on: whether anybody wanted to at the last step."""
        return stop

    def add_up(self, network: nn.Module, sums: Sequence[Tensor | float]) -> list[float]:
        """Let every parameter's gradient and every one of the sums be that of all processes together."""
        # All at once: a GPU is asked once.
        found: list[float] = torch.stack([torch.as_tensor(value).float() for value in sums]).tolist()
        return found

    def average_buffers(self, network: nn.Module) -> None:
        """Let running statistics be the mean of all processes'."""

    def copy_from_first(self, network: nn.Module) -> None:
        """Let every process have the first one's weights."""

    def in_turn(self, make: Callable[[], Made]) -> Made:
        """Each process makes it: one on each machine first, then the others, who find on the disk what it left."""
        return make()

    def decided(self, make: Callable[[], Made]) -> Made:
        """What the first process makes, in every process."""
        return make()

    def agree(self, what: str, value: str) -> None:
        """Raise RunError unless every process has the same value."""

    def answers(
        self, images: ImageSet, answer: Callable[[ImageSet], npt.NDArray[np.float64]], batch_size: int
    ) -> npt.NDArray[np.float64]:
        """`answer` of all images, float64 (N, ...), each process giving some of it."""
        return answer(images)

    def gather_each(self, values: Tensor) -> Tensor:
        """Every process's values (n,), as (size, n)."""
        return values[None]

    def total(self, values: Tensor) -> Tensor:
        """The values of all processes added up."""
        return values

    def remember(self, name: str, value: str) -> None:
        """Keep a word beyond a restart of the processes."""

    def remembered(self, name: str) -> str | None:
        """What was kept before the processes were started again."""
        return None


class SpawnedGroup(ProcessGroup):
    """A team of several processes; `store` is this attempt's, `lasting` outlives a restart."""

    def __init__(self, place: Rank, store: Store, lasting: Store) -> None:
        super().__init__(place)
        self._store = store
        self._lasting = lasting
        self._turns = 0
        self._wants_to_stop: Callable[[], bool] = bool
        self._stopping: Tensor | None = None
        self._flat: Tensor | None = None

    def heeding(self, stop: Callable[[], bool]) -> Callable[[], bool]:
        """Whether anybody wanted to stop when gradients were last exchanged."""
        self._wants_to_stop = stop
        self._stopping = None
        return lambda: self._stopping is not None and bool(self._stopping.item())

    def add_up(self, network: nn.Module, sums: Sequence[Tensor | float]) -> list[float]:
        """One exchange of all gradients, laid one after another, and the sums behind them."""
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        flat, views = self._laid_out(learning, len(sums) + 1)
        gradients = [parameter.grad for parameter in learning]
        there = [(view, gradient) for view, gradient in zip(views, gradients, strict=True) if gradient is not None]
        torch._foreach_copy_([view for view, _ in there], [gradient for _, gradient in there])
        extras = [float(self._wants_to_stop()), *sums]
        tail = flat[-len(extras) :]
        # Tensors travel as they are: a number of each would make a GPU wait.
        for place, value in enumerate(extras):
            tail[place] = value
        if missing := [
            (view, place)
            for place, (view, gradient) in enumerate(zip(views, gradients, strict=True))
            if gradient is None
        ]:
            for view, _ in missing:
                view.zero_()
        presence = flat[-len(extras) - len(learning) : -len(extras)]
        presence.fill_(1.0)
        for _, place in missing:
            presence[place] = 0.0
        with _together(self):
            dist.all_reduce(flat)
        used = presence.tolist() if missing else [1.0] * len(learning)
        for parameter, view, users in zip(learning, views, used, strict=True):
            # What no process used has no gradient, as in one process.
            parameter.grad = view if users else None
        self._stopping = tail[0]
        return [float(value) for value in tail[1:].tolist()]

    def _laid_out(self, learning: list[nn.Parameter], extras: int) -> tuple[Tensor, list[Tensor]]:
        """The exchange's memory, and each parameter's place in it with the parameter's own strides.

        Behind the gradients: for each parameter whether it has one, then `extras` numbers.
        """
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
        """Float buffers become the mean of all processes'; counts are the same everywhere already."""
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
        """The first of each machine makes it while the others wait."""
        key = f"turn/{self._next_turn()}/{self.place.machine}"
        if self.place.local_rank:
            self._await(key)
            return make()
        return self._make(key, make)

    def decided(self, make: Callable[[], Made]) -> Made:
        """The first process makes it and sends it."""
        key = f"turn/{self._next_turn()}"
        if not self.first:
            self._await(key)
        sent: list[Made | None] = [self._make(key, make) if self.first else None]
        with _together(self):
            dist.broadcast_object_list(sent, src=0, device=torch.device("cpu"))
        made: Made = sent[0]  # type: ignore[assignment]
        return made

    def agree(self, what: str, value: str) -> None:
        """Compare with the first process's."""
        theirs = self.decided(lambda: value)
        alike = self.total(torch.tensor([float(theirs == value)]))
        if int(alike.item()) != self.size:
            raise RunError(f"the processes do not have the same {what}: give every machine the same files")

    def answers(
        self, images: ImageSet, answer: Callable[[ImageSet], npt.NDArray[np.float64]], batch_size: int
    ) -> npt.NDArray[np.float64]:
        """Each process answers a range of whole batches, which are those of one process alone: so are the answers."""
        batches = -(-len(images) // batch_size)
        start, stop = (batches * rank // self.size * batch_size for rank in (self.rank, self.rank + 1))
        mine = images.part(slice(start, min(stop, len(images))))
        # Who has nothing to answer must still know an answer's shape.
        rows = answer(mine) if len(mine) else answer(images.part(slice(0, 1)))[:0]
        return self._gather(rows)

    def _gather(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Every process's rows, one after another; their numbers may differ."""
        counts = self.gather_each(torch.tensor([len(rows)]))[:, 0].tolist()
        padded = torch.zeros((max(counts), *rows.shape[1:]), dtype=torch.float64)
        padded[: len(rows)] = torch.from_numpy(rows)
        found = [torch.empty_like(padded) for _ in counts]
        with _together(self):
            dist.all_gather(found, padded)
        return np.concatenate([part[:count].numpy() for part, count in zip(found, counts, strict=True)])

    def gather_each(self, values: Tensor) -> Tensor:
        """One exchange of equally long vectors."""
        found = [torch.empty_like(values) for _ in range(self.size)]
        with _together(self):
            dist.all_gather(found, values.contiguous())
        return torch.stack(found)

    def total(self, values: Tensor) -> Tensor:
        """One exchange; a new tensor."""
        added = values.clone()
        with _together(self):
            dist.all_reduce(added)
        return added

    def remember(self, name: str, value: str) -> None:
        """Put a word where torchrun keeps it until it ends itself."""
        self._lasting.set(f"convscope/{name}", value)

    def remembered(self, name: str) -> str | None:
        """The word of an earlier attempt; the same in every process."""
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
    """Say in one line that the others are gone; torch's errors are of many classes, all RuntimeErrors."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise PeersLostError(
            f"process {group.rank} has lost the other {group.size - 1} of this training ({reason})"
        ) from error
