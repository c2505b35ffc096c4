"""How processes that torchrun started become a team: the store, the group, and the end of all when the parent ends.

    torchrun --nproc-per-node 2 -m convscope train DATA

Exchanges of tensors go through NCCL between CUDA devices and through gloo between CPUs.
"""

from __future__ import annotations

import ctypes
import datetime
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from convscope.errors import ConvscopeError, PeerError, RunError
from convscope.hardware.rank import Rank
from convscope.training.distributed.process_group import PeersLostError, ProcessGroup, SpawnedGroup

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

# A process that has not come to the others' exchange within this time hangs, or is gone.
PATIENCE = datetime.timedelta(minutes=10)
# So long a process that failed waits to hear whether the first one failed too, and has said why.
MOMENT = datetime.timedelta(seconds=5)
TOLD = "told"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


@contextmanager
def joined(place: Rank | None = None) -> Iterator[ProcessGroup]:
    """The team of the processes that were started together; a team of one where this one was started alone.

    An error of the first process is raised there alone: the others raise PeerError, which has nothing to add.

    Raises:
        RunError: torchrun's variables don't fit, or the other processes can't be reached.
    """
    place = place or Rank.of()
    if place.launched:
        _end_with_parent()
    if place.size == 1:
        yield ProcessGroup(place)
        return
    if not dist.is_available():
        raise RunError(
            f"this is process {place.rank} of {place.size}, and this torch ({torch.__version__}) was built without "
            "torch.distributed: start one process, or install a torch that has it"
        )
    # Not every torch has these.
    from torch._C._distributed_c10d import PrefixStore

    # "cuda" is this process's own device from here on.
    if torch.cuda.is_available() and place.local_rank < torch.cuda.device_count():
        torch.cuda.set_device(place.local_rank)
    lasting = _lasting_store(place)
    # A restarted process must not meet the addresses of those that are dead: every attempt has names of its own.
    calls = lasting.add(f"attempt_{place.attempt}/calls_of_{place.rank}", 1)
    store = PrefixStore(f"attempt_{place.attempt}/call_{calls}", lasting)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.size, timeout=PATIENCE)
    except RuntimeError as error:
        raise RunError(
            f"process {place.rank} of {place.size} can't join the others: {str(error).splitlines()[0]}"
        ) from error
    try:
        yield SpawnedGroup(place, store, lasting)
    except ConvscopeError as error:
        if not place.first and not isinstance(error, PeerError) and _first_has_told(store, error):
            raise PeerError(str(error)) from error
        raise
    finally:
        if place.first and sys.exc_info()[0] is not None:
            with suppress(RuntimeError):
                store.set(TOLD, "")
        with suppress(RuntimeError):
            dist.destroy_process_group()


def _first_has_told(store: Store, error: ConvscopeError) -> bool:
    """Whether the first process has failed as well; to have lost the others is told by the first alone."""
    try:
        store.wait([TOLD], MOMENT)
    except RuntimeError:
        return isinstance(error, PeersLostError)
    return True


def _lasting_store(place: Rank) -> Store:
    """The store at MASTER_ADDR: torchrun's own, which outlives its workers, or the first process's."""
    from torch._C._distributed_c10d import TCPStore

    of_torchrun = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == str(True)
    address, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    try:
        return TCPStore(
            address,
            int(port),
            place.size,
            is_master=place.first and not of_torchrun,
            timeout=PATIENCE,
            multi_tenant=True,
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"process {place.rank} can't reach the others at {address}:{port}: {reason}") from error


def _end_with_parent() -> None:
    """Have Linux send SIGTERM when torchrun is gone, however it went: nobody would end the workers otherwise."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
