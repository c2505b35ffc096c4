"""What a device or a torch may lack: float64 on Apple's GPUs, and torch.distributed in some builds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from convscope.scoring.ensemble import Averaged
from convscope.scoring.objective import Objective
from convscope.scoring.test_time_augmentation import ONE, scores_of_views

SOURCE = Path(__file__).parents[2] / "src"


class NoFloat64(TorchDispatchMode):
    """Apple's GPU as far as it refuses float64."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **(kwargs or {}))
        for value in tree_leaves(answer):
            if isinstance(value, torch.Tensor) and value.device.type == "mps" and value.dtype == torch.float64:
                raise TypeError(f"MPS doesn't support float64: {func}")
        return answer


def test_what_measures_needs_no_float64_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    # A fake tensor of a device that this torch was not built for has no memory to lay out.
    monkeypatch.setattr(torch.Tensor, "contiguous", lambda self, **layout: self)

    def network() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Softmax(1))

    with FakeTensorMode(), torch.no_grad(), NoFloat64():
        pixels = torch.rand(6, 3, 8, 8, device="mps")
        with pytest.raises(TypeError, match="doesn't support float64"):
            pixels.double()
        for independent in (False, True):
            averaged = Averaged([network(), network()], independent=independent)
            for member in (network(), averaged):
                for views in (ONE, "flip"):
                    plain, seen = scores_of_views(member, pixels, views)
                    assert plain.dtype == seen.dtype == torch.float64 and seen.shape == (6, 192)
                    Objective().probabilities(seen)


WITHOUT_DISTRIBUTED = """
import os, sys, types, tempfile
import torch
class Lacking(types.ModuleType):
    def is_available(self):
        return False
class Stub:
    pass
stub = Lacking("torch.distributed")
stub.GroupName = stub.ProcessGroup = Stub  # as torch's own __init__ has them then
for name in list(sys.modules):
    if name.startswith("torch.distributed") and name != "torch.distributed":
        del sys.modules[name]
sys.modules["torch.distributed"] = torch.distributed = stub
sys.modules["torch._C._distributed_c10d"] = None
import convscope.cli.main
import convscope.experiments.ablation.ablate
from convscope.recipe.recipe import Recipe
recipe = Recipe(model="lenet5", epochs=1, threads=1, autotune="rules", validation_fraction=0.2, test_fraction=0.7)
print(convscope.train("digits", recipe, runs_directory=tempfile.mkdtemp()).ending)
os.environ.update(RANK="1", WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT="1")
convscope.train("digits", recipe, runs_directory=tempfile.mkdtemp())
"""


def test_a_torch_without_distributed_trains_alone() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_DISTRIBUTED],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.stdout == "done\n", run.stderr
    assert "was built without torch.distributed: start one process" in run.stderr
