"""The whole analysis of a network beside torchinfo, fvcore, FlopCounterMode and TorchLens, on the same models.

    python bench/inspect_models.py [--runs N]

Ours is `convscope.inspect`: shapes, costs, the receptive field of every value, design warnings. torchinfo and
FlopCounterMode run on meta tensors, which is their fastest way; fvcore and TorchLens run the model on numbers. Beside
torchinfo, ResNet-152 and timm's ConvNeXt-Base are timed on numbers too, on one thread.
What is not installed is left out. Prints medians of interleaved runs in one process, then fresh processes.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convscope.capture.build import build_without_memory
from convscope.interpret.inspection.record import inspect
from convscope.nets.build import build

Tool = Callable[[nn.Module, tuple[int, ...]], object]

FIRST_CALL = """
import time
start = time.perf_counter()
from convscope.interpret.inspection.record import inspect
from convscope.nets.build import build
inspection = inspect(lambda: build("resnet152"), (3, 224, 224))
print(f"{time.perf_counter() - start:.2f} {inspection.parameters} {inspection.macs}")
"""

# Linux: the process's memory now, and at most since it started (getrusage would count the parent's).
PEAK = """
import re
from pathlib import Path
import torch

def memory(which):
    return int(re.search(which + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

before = memory("VmRSS")
from convscope.nets.build import build
from convscope.interpret.inspection.record import inspect
inspection = inspect(lambda: build("vgg19"), (3, 224, 224))
print((memory("VmHWM") - before) / 1e6, inspection.parameters)
"""


class Chain(nn.Module):
    """A thousand layers, alternating convolution and ReLU."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        pairs = [(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()) for _ in range(layers // 2)]
        self.layers = nn.Sequential(*(layer for pair in pairs for layer in pair))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the chain."""
        result: torch.Tensor = self.layers(x)
        return result


def ours(model: nn.Module, shape: tuple[int, ...]) -> object:
    return inspect(model, shape)


def flop_counter(model: nn.Module, shape: tuple[int, ...]) -> object:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, *shape, device="meta"))
    return counter.get_total_flops()


def others() -> dict[str, tuple[Tool, bool]]:
    """Tools that are installed: (function, whether it needs numbers)."""
    found: dict[str, tuple[Tool, bool]] = {"FlopCounterMode": (flop_counter, False)}
    try:
        import torchinfo

        found["torchinfo"] = (
            lambda model, shape: torchinfo.summary(model, input_size=(1, *shape), verbose=0, device="meta"),
            False,
        )
    except ImportError:
        print("torchinfo is not installed", file=sys.stderr)
    try:
        from fvcore.nn import FlopCountAnalysis

        def fvcore(model: nn.Module, shape: tuple[int, ...]) -> object:
            analysis = FlopCountAnalysis(model, torch.zeros(1, *shape))
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            return analysis.total()

        found["fvcore"] = (fvcore, True)
    except ImportError:
        print("fvcore is not installed", file=sys.stderr)
    try:
        import torchlens

        found["TorchLens"] = (
            lambda model, shape: torchlens.trace(model, torch.zeros(1, *shape)),
            True,
        )
    except Exception as error:  # a broken torchvision behind it raises anything
        print(f"TorchLens does not import here ({type(error).__name__})", file=sys.stderr)
    return found


def milliseconds(tool: Tool, model: nn.Module, shape: tuple[int, ...]) -> float:
    start = time.perf_counter()
    tool(model, shape)
    return (time.perf_counter() - start) * 1000


def compare(title: str, factory: Callable[[], nn.Module], shape: tuple[int, ...], runs: int, *, numbers: bool) -> None:
    """Medians of interleaved runs; tools that compute on numbers run once, where they run at all."""
    without = build_without_memory(factory).to("meta").eval()
    tools = others()
    times: dict[str, list[float]] = {}
    for turn in range(runs + 1):
        for name, tool in {"convscope": (ours, False), **tools}.items():
            if not tool[1]:
                taken = milliseconds(tool[0], without, shape)
                if turn:  # the first turn warms every tool up
                    times.setdefault(name, []).append(taken)
    print(f"\n{title}")
    for name, taken in times.items():
        print(f"  {name:16} {statistics.median(taken):9.1f} ms   (from {min(taken):.1f} to {max(taken):.1f})")
    if numbers:
        model = factory().eval()
        for name, (tool, needs_numbers) in tools.items():
            if needs_numbers:
                try:
                    print(f"  {name:16} {milliseconds(tool, model, shape):9.1f} ms   (once, on numbers)")
                except Exception as error:  # another tool's failure is a finding, not ours to handle
                    print(f"  {name:16} failed: {type(error).__name__}: {str(error).splitlines()[0][:80]}")


def convnext_base() -> nn.Module:
    """ConvNeXt-Base of timm, where that is installed."""
    from kit.torchvision_networks import import_torchvision

    import_torchvision()  # which timm imports
    return importlib.import_module("timm").create_model("convnext_base")


def beside_torchinfo(title: str, factory: Callable[[], nn.Module], runs: int) -> None:
    """Print medians of interleaved runs on one thread, with numbers and on meta tensors, and our ratio to torchinfo."""
    try:
        torchinfo = importlib.import_module("torchinfo")
        model = factory().eval()
    except ImportError as error:
        print(f"\n{title}: left out ({error})")
        return
    without = build_without_memory(factory).to("meta").eval()

    def summary(device: str) -> Tool:
        return lambda model, shape: torchinfo.summary(model, input_size=(1, *shape), verbose=0, device=device)

    tools = {
        "convscope": (ours, model),
        "torchinfo": (summary("cpu"), model),
        "convscope, meta": (ours, without),
        "torchinfo, meta": (summary("meta"), without),
    }
    times: dict[str, list[float]] = {name: [] for name in tools}
    torch.set_num_threads(1)
    for turn in range(runs + 1):
        for name, (tool, on) in tools.items():
            taken = milliseconds(tool, on, (3, 224, 224))
            if turn:
                times[name].append(taken)
    print(f"\n{title} beside torchinfo")
    for name, taken in times.items():
        print(f"  {name:16} {statistics.median(taken):9.1f} ms   (from {min(taken):.1f} to {max(taken):.1f})")
    for name in ("torchinfo", "torchinfo, meta"):
        mine = times[name.replace("torchinfo", "convscope")]
        print(f"  ratio to {name}: {statistics.median(mine) / statistics.median(times[name]):.2f}")


def fresh(script: str) -> list[str]:
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return result.stdout.split()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="runs per tool")
    runs = parser.parse_args().runs
    warnings.simplefilter("ignore")
    compare("ResNet-152 at 224x224", lambda: build("resnet152"), (3, 224, 224), runs, numbers=True)
    for title, factory in {"ResNet-152": lambda: build("resnet152"), "ConvNeXt-Base": convnext_base}.items():
        beside_torchinfo(f"{title} at 224x224", factory, runs)
    compare("ResNet-152 at 1024x1024", lambda: build("resnet152"), (3, 1024, 1024), runs, numbers=False)
    for layers in (250, 500, 1000, 2000):
        compare(f"A chain of {layers} layers", lambda n=layers: Chain(n), (16, 64, 64), runs, numbers=False)
    seconds = sorted(float(fresh(FIRST_CALL)[0]) for _ in range(3))
    print(f"\nFirst call in a fresh process, imports of torch included: {seconds[1]:.2f} s (ResNet-152)")
    megabytes, parameters = fresh(PEAK)
    print(f"Peak memory above `import torch` for VGG-19: {float(megabytes):.0f} MB ({int(parameters):,} parameters)")


if __name__ == "__main__":
    main()
