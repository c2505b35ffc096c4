"""airbench94_muon.py (Keller Jordan, github.com/KellerJordan/cifar10-airbench), as fast as it goes on a CPU.

Its file is read where `--airbench` says (the file, or a git directory that holds it); none of it is kept here. Its
network, recipe and order of work stay as they are. Changed for a CPU, each place once and checked: no device "cuda",
fp32 weights under bf16 autocast in place of half, no compilation (slower on a CPU), images from JPEG files in place of
torchvision's download. It has the allocator and the huge pages that make the largest difference on Linux.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
import types
from pathlib import Path

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read when torch is imported

FILE = "airbench94_muon.py"
BATCH = 2000


def keep_memory() -> None:
    """Have the C allocator keep freed memory: pages of large tensors are then faulted in once, not in every step."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((-4, 0), (-1, 2**31 - 1), (-2, 2**28)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
            mallopt(parameter, value)


keep_memory()

import numpy as np  # noqa: E402
import simplejpeg  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from peers.common import Clock, options, write_result  # noqa: E402


def source(path: Path) -> str:
    """Return the peer's text, from the file itself or from a git directory."""
    if path.is_file():
        return path.read_text(encoding="utf-8")
    show = ["git", f"--git-dir={path}", "show", f"HEAD:{FILE}"]
    return subprocess.run(show, check=True, capture_output=True, text=True).stdout


def for_a_cpu(text: str, *, epochs: int, batch: int) -> str:
    """Return the text with the places changed that need a GPU or a download."""
    changes = (
        ("@torch.compile\n", "", 1),
        ("if not os.path.exists(data_path):", "if False:", 1),
        ('torch.load(data_path, map_location=torch.device("cuda"))', "decoded(train)", 1),
        ("self.images.half()", "self.images.float()", 1),
        ("mod.half()", "mod.float()", 1),
        ("torch.cuda.Event(enable_timing=True)", "Event()", 2),
        ("torch.cuda.synchronize()", "None", 1),
        ("ceil(8 * len(train_loader))", f"ceil({epochs} * len(train_loader))", 1),
        ("batch_size = 2000\n", f"batch_size = {batch}\n", 1),
    )
    for old, new, times in changes:
        assert text.count(old) == times, f"{FILE} has {old!r} {text.count(old)} times, not {times}: another version?"
        text = text.replace(old, new)
    return text


class Event:
    """Stands in for a CUDA event."""

    def record(self) -> None:
        """Note the time."""
        self.at = time.perf_counter()

    def elapsed_time(self, other: Event) -> float:
        """Milliseconds until the other."""
        return (other.at - self.at) * 1000


def normalize(mean: torch.Tensor, std: torch.Tensor):
    """Stands in for torchvision's Normalize."""
    return lambda images: (images - mean[:, None, None]) / std[:, None, None]


def decode(folder: Path, seed: int) -> dict[str, object]:
    """uint8 images (N, 32, 32, 3), labels and class names; shuffled, as CIFAR-10's own files are."""
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    found = [(file, label) for label, name in enumerate(classes) for file in sorted((folder / name).iterdir())]
    found = [found[i] for i in np.random.default_rng(seed).permutation(len(found))]
    images = np.stack([simplejpeg.decode_jpeg(file.read_bytes()) for file, _ in found])
    labels = torch.tensor([label for _, label in found])
    return {"images": torch.from_numpy(images), "labels": labels, "classes": classes}


def main() -> None:
    given = options(__doc__, airbench=f"{FILE}, or a git directory that holds it")
    clock = Clock()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(given.seed)
    epochs = given.epochs or 8
    splits = {True: decode(given.data / "train", given.seed), False: decode(given.data / "test", given.seed)}
    images = len(splits[True]["labels"])
    batch = min(BATCH, max(2, images // 4))

    peer = types.ModuleType("airbench")
    sys.modules["torchvision"] = types.ModuleType("torchvision")
    sys.modules["torchvision.transforms"] = types.ModuleType("torchvision.transforms")
    sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]
    sys.modules["torchvision.transforms"].Normalize = normalize
    peer.__dict__.update(decoded=splits.__getitem__, Event=Event)
    exec(compile(for_a_cpu(source(Path(given.airbench)), epochs=epochs, batch=batch), FILE, "exec"), peer.__dict__)

    measure, curve, trained, saved = peer.evaluate, [], [], []

    def evaluate(model: torch.nn.Module, loader: object, tta_level: int = 0) -> float:
        """Return its own measuring; after an epoch it is for the curve, at the end it is part of the work."""
        if tta_level:
            save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, given.out / "weights")
            saved.append(clock.seconds())
            return measure(model, loader, tta_level)
        trained.append(clock.seconds())
        with clock.stopped():
            curve.append((clock.seconds(), measure(model, loader)))
        return curve[-1][1]

    peer.evaluate = evaluate
    model = peer.CifarNet().to(memory_format=torch.channels_last)
    forward = model.forward

    def in_bf16(x: torch.Tensor, whiten_bias_grad: bool = True) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return forward(x.contiguous(memory_format=torch.channels_last), whiten_bias_grad).float()

    model.forward = in_bf16
    began = clock.seconds()
    views = peer.main(given.seed, model)
    write_result(
        given.out,
        seconds=clock.seconds(),
        to_weights=saved[-1],
        epochs=epochs,
        images_per_second=epochs * (images // batch) * batch / (trained[-1] - began),
        accuracy=curve[-1][1],
        accuracy_views=views,
        curve=curve,
    )


if __name__ == "__main__":
    main()
