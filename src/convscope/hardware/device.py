"""The device that trains: which one there is, what it computes in hardware, and whether every process has one."""

from __future__ import annotations

import torch

from convscope.errors import RunError
from convscope.hardware.machine import processor_quota, processors
from convscope.hardware.rank import Rank
from convscope.recipe.recipe import choices
from convscope.recipe.setting import AUTO, Auto
from convscope.report.units import plural
from convscope.report.usage import settings_text


def usable_device(name: str) -> str:
    """Return the device of that name, or the best there is for "auto"; raises RunError where it is not there."""
    if name == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in (known := choices("device")):
        raise RunError(f"device is {name!r}: it must be one of {', '.join(known)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise RunError("device cuda: torch finds no CUDA device here; take cpu, or auto")
    if name == "mps" and not torch.backends.mps.is_available():
        raise RunError("device mps: torch finds no Apple GPU here; take cpu, or auto")
    return name


def has_tf32(device: str) -> bool:
    """Return whether a device computes tf32: NVIDIA's GPUs from Ampere on do."""
    return device == "cuda" and torch.cuda.get_device_capability() >= (8, 0)


def has_bf16(device: str) -> bool:
    """Return whether the device multiplies bf16 in hardware; False if torch does not report it."""
    if device == "cuda":
        # GPUs before Ampere, such as a T4, emulate it, and are slower in it than in fp32.
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    read = getattr(torch.cpu, "get_capabilities", None)
    capabilities: dict[str, object] = read() if device == "cpu" and read else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def most_threads() -> int:
    """Return how many threads torch is set to use, or fewer where a CPU quota leaves time for fewer cores.

    Torch counts the processors alone: in a container with the time of 2 of 64 cores it takes 64 threads, which the
    system stops for most of the time.
    """
    return min(torch.get_num_threads(), processor_quota() or torch.get_num_threads())


def require_threads(threads: int | Auto) -> None:
    """Raise RunError where more threads are asked for than there are processors, or than torch is set to use."""
    most = max(processors(), torch.get_num_threads())
    if threads != AUTO and threads > most:
        raise RunError(f"threads is {threads}, and this machine has {plural(most, 'processor')}: take {most} or fewer")


def require_one_each(place: Rank, device: str) -> None:
    """Raise RunError where the processes of this machine can't each have a device."""
    if place.size == 1:
        return
    if device == "mps":
        raise RunError(
            f"device mps: several processes train on cuda or cpu; start one, or take {settings_text(device='cpu')}"
        )
    if device == "cuda" and place.local_size > (devices := torch.cuda.device_count()):
        raise RunError(
            f"{place.local_size} processes on a machine with {devices} CUDA devices: start {devices}, "
            f"or take {settings_text(device='cpu')}"
        )
