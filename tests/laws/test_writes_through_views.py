"""Random programs of views and of writes through them: the captured graph, run again, gives torch's numbers."""

from collections.abc import Callable
from random import Random

import pytest
import torch
from torch import Tensor, nn

from convscope.capture.capture import capture
from convscope.graph.records import TensorSpec
from convscope.interpret.execution.torch_executor import TorchExecutor

SHAPE = (2, 3, 4)


def axis(random: Random, x: Tensor) -> int:
    return random.randrange(x.ndim)


VIEWS: dict[str, Callable[[Random, Tensor], Tensor]] = {
    "slice": lambda r, x: x.narrow(a := axis(r, x), s := r.randrange(x.shape[a]), r.randint(1, x.shape[a] - s)),
    "every second": lambda r, x: x[(slice(None),) * axis(r, x) + (slice(0, None, 2),)],
    "select": lambda r, x: x.select(a := axis(r, x), r.randrange(-x.shape[a], x.shape[a])),
    "transpose": lambda r, x: x.transpose(axis(r, x), axis(r, x)),
    "permute": lambda r, x: x.permute(*reversed(range(x.ndim))),
    "reshape": lambda r, x: x.reshape(r.choice([n for n in range(1, 7) if x.numel() % n == 0]), -1),
    "flatten": lambda r, x: x.flatten(),
    "unsqueeze": lambda r, x: x.unsqueeze(axis(r, x)),
    "squeeze": lambda r, x: x.squeeze(),
    "chunk": lambda r, x: r.choice(x.chunk(2, axis(r, x))),
    "unbind": lambda r, x: r.choice(x.unbind(axis(r, x))),
    "diagonal": lambda r, x: x.diagonal(0, 0, 1) if x.ndim > 1 else x.view(-1),
    "detach": lambda r, x: x.detach(),
    "contiguous": lambda r, x: x.contiguous(),
    "squeeze in place": lambda r, x: x.squeeze_(),
    "unsqueeze in place": lambda r, x: x.unsqueeze_(0),
    "transpose in place": lambda r, x: x.transpose_(0, -1),
}
WRITES: dict[str, Callable[[Random, Tensor, Tensor], object]] = {
    "add": lambda r, x, y: x.add_(y),
    "multiply": lambda r, x, y: x.mul_(y),
    "copy": lambda r, x, y: x.copy_(y),
    "fill": lambda r, x, y: x.fill_(0.5),
    "clamp": lambda r, x, y: x.clamp_(-1, 1),
    "result": lambda r, x, y: torch.mul(y, torch.ones_like(x), out=x),
    "first": lambda r, x, y: x[0].add_(y.mean()),
    "part": lambda r, x, y: x[..., :1].copy_(1.5 * y[..., :1]),
    "listed": lambda r, x, y: x.index_put_((torch.tensor([0]),), y.mean()),
    "running sum": lambda r, x, y: x.cumsum_(0),
}


class Program(nn.Module):
    """Views of tensors, writes into any of them, new tensors; all that were made are returned."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def forward(self, x: Tensor) -> list[Tensor]:
        random = Random(self.seed)
        made = [x * 1.0]
        for _ in range(random.randint(3, 9)):
            one, other = random.choice(made), random.choice(made)
            if not one.ndim or random.random() < 0.1:
                made.append(one * 1.5)
            elif random.random() < 0.55:
                made.append(random.choice([*VIEWS.values()])(random, one))
            else:
                fits = tuple(one.shape) == tuple(other.shape)
                value = other * 1.25 if fits else (other.mean() + 0.25).expand(one.shape)
                random.choice([*WRITES.values()])(random, one, value)
        return [one * 1.0 for one in made]


def check(seed: int) -> None:
    program = Program(seed)
    x = torch.rand(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.2
    expected = program(x.clone())
    graph = capture(program, TensorSpec(SHAPE, "float64"))
    assert graph.error is None, seed
    executor = TorchExecutor(graph, program, [x])
    for output, wanted in zip(graph.outputs, expected, strict=True):
        assert torch.allclose(executor.tensor(output), wanted, equal_nan=True), seed


def test_a_few_programs() -> None:
    for seed in range(100):
        check(seed)


@pytest.mark.long
def test_thousands_of_programs() -> None:
    for seed in range(100, 6000):
        check(seed)
