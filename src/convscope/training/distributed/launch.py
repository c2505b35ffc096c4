"""Joining the processes that torchrun started into a group, and ending them when the parent ends.

    torchrun --nproc-per-node 2 -m convscope train DATA

Exchanges of tensors go through NCCL between CUDA devices and through gloo between CPUs.
"""

from __future__ import annotations

import ctypes
import datetime
import os
import signal
import sys
import threading
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

# A process that has not joined an exchange within this time hangs, or has ended.
PATIENCE = datetime.timedelta(minutes=10)
# How long a process that failed waits for the first one to report a failure of its own.
REPORT_WAIT = datetime.timedelta(seconds=5)
REPORTED, REPORTING = "reported", "reporting"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


@contextmanager
def joined(place: Rank | None = None) -> Iterator[ProcessGroup]:
    """Join the processes that were started together; the group is of one process where this was started alone.

    An error of the first process is raised there alone: the others raise PeerError, which has no message to show.

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
    # A restarted process must not find the addresses of processes that have ended: each attempt has its own prefix.
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
        if not isinstance(error, PeerError) and _is_reported_elsewhere(place, store, error):
            raise PeerError(str(error)) from error
        raise
    finally:
        if place.first and sys.exc_info()[0] is not None:
            with suppress(RuntimeError):
                store.set(REPORTED, "")
        with suppress(RuntimeError):
            dist.destroy_process_group()


def _is_reported_elsewhere(place: Rank, store: Store, error: ConvscopeError) -> bool:
    """Return whether another process reports a failure that explains this one, so that the user reads one line.

    The first process reports its own. Where the failure is another's, such as data that it alone can't read, the first
    process has only lost it, and the first of those that failed reports; losing others is reported by the first alone.
    """
    lost = isinstance(error, PeersLostError)
    try:
        if place.first:
            return lost and store.check([REPORTING])
        _wait(store, REPORTED)
    except RuntimeError:
        return lost or not _reports_first(store)
    return True


def _wait(store: Store, key: str) -> None:
    """Wait for a key; raises RuntimeError where it does not come in time.

    A store whose process is stopped answers nothing, and a wait then outlasts its own timeout: torch asks the store to
    forget the wait, and waits for the answer. So a thread waits, and is left behind.
    """
    failed: list[RuntimeError] = []

    def wait() -> None:
        try:
            store.wait([key], REPORT_WAIT)
        except RuntimeError as error:
            failed.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(2 * REPORT_WAIT.total_seconds())
    if waiting.is_alive():
        raise RuntimeError("the store does not answer")
    if failed:
        raise failed[0]


def _reports_first(store: Store) -> bool:
    """Return whether no other process but the first one reports yet; this one does from here on."""
    try:
        return store.add(REPORTING, 1) == 1
    except RuntimeError:
        return True  # the store has gone with the process that held it


def _lasting_store(place: Rank) -> Store:
    """Return the store at MASTER_ADDR: torchrun's own, which outlives its workers, or the first process's."""
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
    """Have Linux send SIGTERM when torchrun ends, in whatever way: otherwise the workers would go on."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
