"""How a training step is computed: arithmetic, layout in memory, compiled or not, threads.

The weights are float32 in every mode, and so is what the optimizer does with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from convscope.api.float32_arithmetic import tf32_of_cuda
from convscope.api.thread_count import threads_of_this_thread
from convscope.errors import RunError
from convscope.hardware.memory_errors import is_out_of_memory
from convscope.report.usage import settings_text

Precision = Literal["fp32", "tf32", "bf16"]
MemoryFormat = Literal["channels-last", "contiguous"]
Compile = Literal["no", "yes", "graphs"]

# What a network answers with: scores, or scores and those of its auxiliary heads.
ForwardPass = Callable[[Tensor], Any]


@dataclass(frozen=True, kw_only=True)
class ComputeMode:
    """One way to compute a training step.

    Args:
        precision: fp32; tf32, which is float32 whose products keep 10 bits (NVIDIA's GPUs); or bf16, autocast.
        memory_format: whether the channels of a pixel lie together, or the pixels of a channel.
        compile: no; yes: by torch.compile; graphs: and replayed as CUDA graphs.
        threads: of the CPU.
    """

    precision: Precision
    memory_format: MemoryFormat
    compile: Compile
    threads: int

    def __str__(self) -> str:
        parts: list[str] = [self.precision, self.memory_format]
        parts += {"no": [], "yes": ["compiled"], "graphs": ["compiled", "CUDA graphs"]}[self.compile]
        return ", ".join([*parts, f"{self.threads} thread{'s' * (self.threads != 1)}"])

    @property
    def layout(self) -> torch.memory_format:
        """torch's name for the memory format."""
        return torch.channels_last if self.memory_format == "channels-last" else torch.contiguous_format

    def lay_out(self, network: nn.Module) -> None:
        """Put the weights of two-dimensional convolutions into this memory format, in place."""
        for filters in (*network.parameters(), *network.buffers()):
            if filters.ndim == 4:
                filters.data = filters.data.contiguous(memory_format=self.layout)

    def forward_of(self, network: nn.Module) -> ForwardPass:
        """Return the network's forward pass in this mode, on a batch of any layout, with the network's own weights.

        The network itself stays as it is, so evaluation and saving do not involve a compiler.
        """
        device_type = next((weight.device.type for weight in network.parameters()), "cpu")
        run: ForwardPass = network
        if self.compile != "no":
            run = torch.compile(network, mode="reduce-overhead" if self.compile == "graphs" else "default")

        def forward(pixels: Tensor) -> Any:
            with torch.autocast(device_type, torch.bfloat16, enabled=self.precision == "bf16"):
                return run(pixels.contiguous(memory_format=self.layout))

        return forward


@contextmanager
def computing(mode: ComputeMode, device: str) -> Iterator[None]:
    """Set the mode's threads and the GPU's float32 arithmetic inside the block, and restore them after."""
    of_gpu = tf32_of_cuda(allowed=mode.precision == "tf32") if device == "cuda" else nullcontext()
    with of_gpu, threads_of_this_thread(mode.threads):
        yield


@contextmanager
def compiler_errors_refused() -> Iterator[None]:
    """Raise RunError in place of an error of torch's compiler, such as that there is no C++ compiler here.

    Out of memory stays what it is: the batch may be halved then.

    >>> with compiler_errors_refused():
    ...     raise RuntimeError("an error of another kind is left as it is")
    Traceback (most recent call last):
    ...
    RuntimeError: an error of another kind is left as it is
    """
    try:
        yield
    except RuntimeError as error:
        modules = [kind.__module__ for kind in type(error).__mro__]
        of_compiler = any(name.startswith(("torch._dynamo", "torch._inductor")) for name in modules)
        if not of_compiler or is_out_of_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0]
        raise RunError(
            f"torch can't compile the network here ({reason}): take {settings_text(compile='no')}"
        ) from error


def require_possible(mode: ComputeMode, device: str) -> None:
    """Raise RunError where a device has no such mode."""
    if mode.precision == "tf32" and device != "cuda":
        raise RunError(f"precision tf32 is arithmetic of NVIDIA's GPUs, and the device is {device}: take fp32 or bf16")
    if mode.compile == "graphs" and device != "cuda":
        raise RunError(f"compile graphs needs CUDA, and the device is {device}: take yes or no")
