"""The rank of this process in a distributed training, from torchrun's environment. No torch is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from convscope.errors import RunError

# What torchrun sets, and what anything else that starts processes has to set as well.
NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, kw_only=True)
class Rank:
    """`rank` of `size` processes in all; `local_rank` of `local_size` on this machine, which is number `machine`.

    `attempt` counts torchrun's restarts. With `launched`, torchrun is the parent.

    >>> Rank.of({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}).rank
    1
    >>> Rank.of({}).size
    1
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    machine: int = 0
    attempt: int = 0
    launched: bool = False

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Rank:
        """Return the rank given by torchrun's environment variables; without them, the only rank.

        Raises:
            RunError: some of the variables are missing, or are not numbers that go together.
        """
        if "RANK" not in environment or "WORLD_SIZE" not in environment:
            return cls()
        if missing := [name for name in NEEDED if name not in environment]:
            raise RunError(
                f"RANK and WORLD_SIZE are set, but not {' and '.join(missing)}: start the processes with "
                "torchrun --nproc-per-node N -m convscope train DATA"
            )
        try:
            rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
            place = cls(
                rank=rank,
                size=size,
                local_rank=int(environment.get("LOCAL_RANK", rank)),
                local_size=int(environment.get("LOCAL_WORLD_SIZE", size)),
                machine=int(environment.get("GROUP_RANK", 0)),
                attempt=int(environment.get("TORCHELASTIC_RESTART_COUNT", 0)),
                launched="TORCHELASTIC_RUN_ID" in environment,
            )
        except ValueError as error:
            raise RunError(f"torchrun's variables can't be read: {error}") from None
        if not (0 <= place.rank < place.size and 0 <= place.local_rank < place.local_size <= place.size):
            raise RunError(f"process {place.rank} of {place.size} can't be: RANK must be below WORLD_SIZE")
        return place


def threads_for(place: Rank, torch_threads: int, *, cores: int) -> int:
    """Return the default number of threads of a process: its share of the machine's cores.

    torchrun limits each of several processes to one thread, whatever the cores; another number is the user's.
    """
    if place.local_size == 1 or torch_threads > 1:
        return torch_threads
    return max(1, cores // place.local_size)
