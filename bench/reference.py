"""The NumPy reference beside torch and beside a plain loop: a convolution forward and backward, and LeNet-5 on digits.

Prints medians of interleaved runs. The bounds: at most 6 times torch's channels-last fp32 time, at most half of the
plain im2col loop's; LeNet-5 at least 97.5 % in under a minute on two cores.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from convscope.arrays import Array
from convscope.reference.convolution import convolve, convolve_backward

RUNS = 15
BATCH, SIZE, IN_CHANNELS, OUT_CHANNELS, KERNEL = 128, 16, 32, 64, 3

LENET = """
import sys, time
import numpy as np
from sklearn.datasets import load_digits
from convscope.reference.network import lenet5, train
from convscope.reference.optimizer import SGD

digits = load_digits()
large = np.pad(np.kron(digits.images / 16, np.ones((3, 3))), ((0, 0), (4, 4), (4, 4)))
order = np.random.default_rng(0).permutation(len(large))
images, labels = large[order, None].astype(np.float32), digits.target[order]
cut = len(images) * 4 // 5
start, network = time.perf_counter(), lenet5()
train(network, images[:cut], labels[:cut], optimizer=SGD(learning_rate=0.05, momentum=0.9), epochs=10)
seconds, accuracy = time.perf_counter() - start, network.accuracy(images[cut:], labels[cut:])
assert "torch" not in sys.modules
print(f"LeNet-5 on digits in NumPy: {accuracy:.2%} of {len(labels) - cut} test images in {seconds:.1f} s, 10 epochs")
assert accuracy >= 0.975 and seconds < 60
"""


def plain_loop(x: Array, weight: Array, bias: Array, grad_output: Array) -> tuple[Array, Array, Array, Array]:
    """Run the textbook form: a loop over the windows fills the columns, another one scatters the gradient."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    samples, filters = x.shape[0], weight.reshape(weight.shape[0], -1)
    columns = np.empty((samples, SIZE * SIZE, filters.shape[1]), x.dtype)
    for i in range(SIZE):
        for j in range(SIZE):
            columns[:, i * SIZE + j] = padded[:, :, i : i + KERNEL, j : j + KERNEL].reshape(samples, -1)
    output = (columns @ filters.T + bias).transpose(0, 2, 1).reshape(grad_output.shape)

    grad_rows = grad_output.reshape(samples, weight.shape[0], -1).transpose(0, 2, 1)
    grad_weight = np.tensordot(grad_rows, columns, axes=((0, 1), (0, 1))).reshape(weight.shape)
    grad_columns = grad_rows @ filters
    grad_padded = np.zeros_like(padded)
    for i in range(SIZE):
        for j in range(SIZE):
            window = grad_columns[:, i * SIZE + j].reshape(samples, IN_CHANNELS, KERNEL, KERNEL)
            grad_padded[:, :, i : i + KERNEL, j : j + KERNEL] += window
    return output, grad_padded[:, :, 1:-1, 1:-1], grad_weight, grad_output.sum((0, 2, 3))


def ours(x: Array, weight: Array, bias: Array, grad_output: Array) -> tuple[Array, Array, Array, Array]:
    output = convolve(x, weight, bias, padding=1)
    return output, *convolve_backward(grad_output, x, weight, padding=1)


def channels_last_array(generator: np.random.Generator, channels: int) -> Array:
    """Return a (N, C, H, W) view of channels-last memory: what torch's channels-last tensors are."""
    return np.moveaxis(generator.standard_normal((BATCH, SIZE, SIZE, channels), dtype=np.float32), -1, 1)


def main() -> None:
    import torch

    generator = np.random.default_rng(0)
    x, grad_output = channels_last_array(generator, IN_CHANNELS), channels_last_array(generator, OUT_CHANNELS)
    weight = generator.standard_normal((OUT_CHANNELS, IN_CHANNELS, KERNEL, KERNEL), dtype=np.float32)
    bias = generator.standard_normal(OUT_CHANNELS, dtype=np.float32)
    contiguous = [np.ascontiguousarray(a) for a in (x, grad_output)]
    tensors = [torch.from_numpy(a).contiguous(memory_format=torch.channels_last).requires_grad_() for a in (x, weight)]
    torch_bias = torch.from_numpy(bias).requires_grad_()
    torch_grad = torch.from_numpy(grad_output).contiguous(memory_format=torch.channels_last)

    def in_torch() -> tuple[Array, ...]:
        output = torch.nn.functional.conv2d(*tensors, torch_bias, padding=1)
        gradients = torch.autograd.grad(output, [*tensors, torch_bias], torch_grad)
        return output.detach().numpy(), *(g.numpy() for g in gradients)

    contenders: dict[str, Callable[[], tuple[Array, ...]]] = {
        "convscope.reference": lambda: ours(x, weight, bias, grad_output),
        "torch, channels-last": in_torch,
        "plain im2col loop": lambda: plain_loop(contiguous[0], weight, bias, contiguous[1]),
    }
    expected = in_torch()
    for name, run in contenders.items():
        for got, wanted in zip(run(), expected, strict=True):
            assert np.abs(got - wanted).max() <= 1e-4 * np.abs(wanted).max(), name
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(RUNS):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    print(f"3x3 convolution, {IN_CHANNELS}->{OUT_CHANNELS} on {BATCH}x{SIZE}x{SIZE}, forward + backward, fp32")
    own = statistics.median(times["convscope.reference"])
    for name, runs in times.items():
        median = statistics.median(runs)
        print(f"{name:22} {median * 1e3:7.1f} ms (best {min(runs) * 1e3:6.1f})   ours is {own / median:5.2f} of it")
    subprocess.run([sys.executable, "-c", LENET], check=True)


if __name__ == "__main__":
    main()
