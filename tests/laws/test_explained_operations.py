"""Law: a number that an operation of torch made is torch's, worked out; what is not known ends its branch."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope.interpret.execution.numpy_executor import operator_of, run_node
from convscope.interpret.execution.torch_executor import as_array
from convscope.interpret.explanation.lens import Lens
from convscope.interpret.explanation.record import Explanation
from dependence import Function

SHAPE = (1, 4, 6, 5)
ACTIVATIONS = [
    nn.Threshold(0.1, 20), nn.ReLU(), nn.RReLU(), nn.Hardtanh(), nn.ReLU6(), nn.Sigmoid(), nn.Hardsigmoid(), nn.Tanh(),
    nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.ELU(0.7), nn.CELU(2.0), nn.SELU(), nn.GLU(1), nn.GELU(), nn.GELU("tanh"),
    nn.Hardshrink(), nn.LeakyReLU(), nn.LogSigmoid(), nn.Softplus(2.0), nn.Softshrink(), nn.PReLU(4), nn.Softsign(),
    nn.Tanhshrink(), nn.Softmin(1), nn.Softmax(1), nn.Softmax2d(), nn.LogSoftmax(1),
]  # fmt: skip
ELEMENTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "where": lambda x: torch.where(x > 0, x, x.flip(1)),
    "where, a number": lambda x: torch.where(x.flip(2) > 0, x * 2, 0.5),
    "masked": lambda x: x.masked_fill(x.flip(1) > 0, -1.0),
    "waves": lambda x: x.sin() + x.cos() * torch.erf(x) - x.atan() + torch.atan2(x, x.flip(1)),
    "powers": lambda x: x.abs() ** x.flip(1) + 2**x + x**2,
    "logarithms": lambda x: x.abs().log1p() + x.exp2() + x.expm1() + x.abs().log2() + torch.logaddexp(x, x.flip(1)),
    "rounded": lambda x: x.round() + x.floor() + x.ceil() * x.trunc() + x.frac(),
    "divided": lambda x: torch.div(x, 0.3, rounding_mode="floor") + torch.div(x, 0.3, rounding_mode="trunc") + x % 0.7,
    "sums of products": lambda x: torch.addcmul(x, x, x.flip(1), value=2) + torch.addcdiv(x, x, x.exp()),
    "between": lambda x: torch.lerp(x, x.flip(1), 0.3) + x.nan_to_num() + x.clamp(min=x.flip(2)),
    "taken from": lambda x: torch.rsub(x, x.flip(1), alpha=2),
    "compared": lambda x: (x > 0) * x + (x <= x.flip(1)).float() + torch.logical_and(x > 0, x.flip(1) < 1) * 2.0,
}
ROWS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "variance": lambda x: x.var(1, keepdim=True),
    "deviation": lambda x: x.std((2, 3)),
    "deviation, not corrected": lambda x: x.std(1, correction=0),
    "both": lambda x: torch.var_mean(x, (1, 3))[0],
    "both, the mean": lambda x: torch.std_mean(x, 2)[1],
    "top": lambda x: x.topk(3, 1)[0],
    "bottom": lambda x: x.topk(2, -1, largest=False)[0],
    "sorted": lambda x: x.sort(2, descending=True)[0],
    "largest": lambda x: x.max(1)[0],
    "smallest": lambda x: x.amin((2, 3)) + x.min(),
    "running": lambda x: x.cumsum(2),
    "multiplied": lambda x: x.prod(1),
    "norm": lambda x: F.normalize(x, dim=1) + torch.linalg.vector_norm(x, 3, dim=1, keepdim=True),
    "logsumexp": lambda x: x.logsumexp((1, 2)),
    "bilinear form": lambda x: F.bilinear(x, x.flip(1), torch.arange(50.0).reshape(2, 5, 5)),
}
MAPS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "circular": lambda x: F.pad(x, (1, 2, 0, 1), mode="circular"),
    "bicubic": lambda x: F.interpolate(x, scale_factor=1.7, mode="bicubic"),
    "bicubic, corners": lambda x: F.interpolate(x, size=(3, 9), mode="bicubic", align_corners=True),
    "unfold": lambda x: F.unfold(x, (2, 3), padding=1, stride=(1, 2), dilation=(2, 1)),
    "fold": lambda x: F.fold(F.unfold(x, 3, padding=1), (6, 5), 3, padding=1),
    "windows": lambda x: x.unfold(2, 3, 2),
    "repeated": lambda x: x.repeat(1, 2, 1, 3),
    "shuffled": lambda x: F.channel_shuffle(x, 2),
    "turned": lambda x: x.rot90(1, (2, 3)),
    "diagonal": lambda x: x.diagonal(1, 2, 3),
    "triangle": lambda x: x.tril() + x.triu(1),
    "picked": lambda x: x[:, torch.tensor([3, 0])].index_select(2, torch.tensor([1, 1, 0])),
    "gathered": lambda x: x.gather(1, x.argsort(1)),
    "gathered, a part": lambda x: x.gather(1, x.argsort(1)[:, :2, :1]),
    "glu": lambda x: F.glu(x, 2),
    **{
        f"grid, {mode}, {padding}, {aligned}": lambda x, mode=mode, padding=padding, aligned=aligned: F.grid_sample(
            x, 1.5 * x[:, :2].permute(0, 2, 3, 1), mode=mode, padding_mode=padding, align_corners=aligned
        )
        for mode in ("bilinear", "nearest")
        for padding in ("zeros", "border", "reflection")
        for aligned in (True, False)
    },
    "grid of a volume": lambda x: F.grid_sample(
        x[:, :, None].repeat(1, 1, 3, 1, 1), x[:, :3, None].permute(0, 2, 3, 4, 1), align_corners=False
    ),
}
KNOWN = ELEMENTS | ROWS | MAPS
UNKNOWN: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "Fourier": lambda x: torch.fft.irfft2(torch.fft.rfft2(x) * 2, s=(6, 5)) + x,
    "anti-aliased": lambda x: F.interpolate(x, size=(3, 3), mode="bilinear", antialias=True),
    "distances": lambda x: torch.cdist(x, x.flip(2)),
    "running products": lambda x: x.cumprod(2) * 2,
    "largest size": lambda x: torch.linalg.vector_norm(x, float("inf"), dim=1),
    "smallest size": lambda x: torch.linalg.vector_norm(x, float("-inf"), dim=(1, 2), keepdim=True),
    "sizes that are not 0": lambda x: torch.linalg.vector_norm(x.relu(), 0, dim=1),
    "drawn windows": lambda x: F.fractional_max_pool2d(x, 2, output_size=2),
    "places": lambda x: x.argmax(1).float() + x.topk(2, 1)[1][:, 0],
    "bicubic grid": lambda x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), mode="bicubic", align_corners=False),
}


def chain(network: nn.Module) -> list[Explanation]:
    """Explain a cell of the output, and of what counted most in turn; run every operation again in NumPy."""
    generator = torch.Generator().manual_seed(1)
    lens = Lens(network.eval(), [torch.randn(SHAPE, generator=generator)])
    require_equal_in_numpy(lens)
    output = lens.graph.outputs[0]
    position = tuple(int(torch.randint(n, (1,), generator=generator)) for n in lens.graph.shape(output))
    return lens.number(output, position).to_pixels(30)


def require_equal_in_numpy(lens: Lens) -> None:
    for node in lens.graph.nodes:
        if operator_of(node) is None or any("complex" in lens.graph.values[v].spec.dtype for v in node.inputs):
            continue
        arrays = {value: as_array(lens.executor.tensor(value)) for value in node.inputs}
        for value, result in zip(node.outputs, run_node(lens.graph, node, arrays), strict=False):
            expected = lens.executor.array(value)
            assert result.shape == expected.shape, node.target
            assert np.allclose(result, expected, 1e-4, 1e-5, equal_nan=True), node.target


def require_torchs(explained: list[Explanation]) -> None:
    for one in explained:
        assert abs(one.difference) <= 1e-5 * max(1.0, abs(one.torch_value)), (one.node.target, one.value)
        assert str(one) and one.to_dict() and one._repr_html_()


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_an_activation(activation: nn.Module) -> None:
    explained = chain(nn.Sequential(activation))
    assert "given" not in [one.kind for one in explained]
    require_torchs(explained)


@pytest.mark.parametrize("name", KNOWN)
def test_an_operation(name: str) -> None:
    explained = chain(Function(KNOWN[name]))
    assert "given" not in [one.kind for one in explained] or name.startswith("gathered")
    require_torchs(explained)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_ends_its_branch(name: str) -> None:
    explained = chain(Function(UNKNOWN[name]))
    require_torchs(explained)
    *_, last = explained
    assert last.kind == "given" and not last.contributors()


def test_where_goes_on_with_what_it_takes() -> None:
    lens = Lens(Function(ELEMENTS["where"]), [torch.tensor([[[-1.0, 2.0]], [[30.0, 0.5]]]).reshape(1, 2, 1, 2)])
    found = lens.number(lens.graph.outputs[0], (0, 0, 0, 0))
    first, *others = found.contributors()
    assert (found.value, first.number) == (30.0, 30.0) and [one.contribution for one in others] == [0.0, 0.0]
