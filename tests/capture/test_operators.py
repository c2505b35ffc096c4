"""Every operator's recorded paths against its Jacobian: position by position, on small tensors."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope.capture.capture import capture
from convscope.graph.records import TensorSpec
from dependence import Function, measured, recorded

torch.manual_seed(0)


def positive(module):
    """A module whose weights are all positive, so that no gradient cancels."""
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.rand(parameter.shape, dtype=torch.float64) + 0.1)
    return module.eval()


def in_place(x):
    y = x * 1
    z = y[:, :2]
    z.mul_(z.flip(-1))
    return y


def through_views(x):
    y = (x * 1).view(2, -1)
    rows = y.t()
    rows[1:5] = rows[1:5].flip(0)
    y.view(x.shape)[:, 1] += 1.5 * x[:, 0]
    return rows * 1


def two_views(x):
    base = x.clone()
    left, right = base[..., :2], base[..., 2:]
    left.add_(right.flip(-1) * 1)
    right.add_(left)
    return base


def filled(x):
    out = torch.zeros(x.shape[0], 4, *x.shape[2:], dtype=x.dtype)
    out[:, 1] = x[:, 0]
    out[:, 2:].copy_(x[:, 1:3])
    return out


def written_at(places, part):
    """A copy of a tensor of which `part` of it is written to places."""

    def write(x):
        y = x * 1
        y[places] = part(x)
        return y

    return write


def along(places, others):
    """Places along the third axis, the same at all positions of the last."""
    return torch.tensor(places).view(1, 1, -1, 1).expand(1, 2, -1, others)


def fixed_index(x):
    rows = torch.tensor([2, 0, -1])
    columns = torch.arange(3) * 2 % 5
    return x[:, :, rows, columns]


def gradients(grad, x, shape, *, stride=2, padding=1, dilation=1, transposed=False, groups=1):
    """The gradients of a convolution by its input, its weight and its bias, all weights positive."""
    weight = torch.ones(shape, dtype=grad.dtype)
    return torch.ops.aten.convolution_backward(
        grad, x.to(grad.dtype), weight, [grad.shape[1]], [stride] * 2, [padding] * 2, [dilation] * 2, transposed,
        [int(transposed)] * 2, groups, [True] * 3,
    )  # fmt: skip


EXACT = {
    "conv": (positive(nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2)), (1, 4, 7, 6)),
    "conv dilated": (positive(nn.Conv2d(2, 3, (3, 2), dilation=(2, 1), padding=(0, 1))), (1, 2, 8, 5)),
    "conv same": (positive(nn.Conv2d(2, 2, 4, padding="same")), (1, 2, 6, 5)),
    "conv circular": (positive(nn.Conv1d(2, 2, 3, padding=1, padding_mode="circular")), (1, 2, 6)),
    "conv reflect": (positive(nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect")), (1, 1, 5, 6)),
    "conv replicate": (positive(nn.Conv1d(1, 2, 5, padding=2, padding_mode="replicate")), (1, 1, 6)),
    "conv1d": (positive(nn.Conv1d(2, 4, 3, stride=2)), (2, 2, 9)),
    "conv3d": (positive(nn.Conv3d(1, 2, 2, stride=(1, 2, 1))), (1, 1, 3, 4, 3)),
    "depthwise": (positive(nn.Conv2d(3, 6, 3, groups=3, padding=1)), (1, 3, 5, 5)),
    "transposed": (positive(nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1)), (1, 2, 3, 4)),
    "transposed groups": (positive(nn.ConvTranspose2d(4, 6, 2, stride=3, groups=2)), (1, 4, 3, 2)),
    "transposed 1d": (positive(nn.ConvTranspose1d(2, 2, 3, stride=2, dilation=2)), (1, 2, 4)),
    "transposed 3d": (positive(nn.ConvTranspose3d(1, 2, 2, stride=2)), (1, 1, 2, 2, 2)),
    "gradient of conv": (
        Function(lambda g: gradients(g, torch.ones(1, 4, 7, 6), (6, 2, 3, 3), groups=2)[0]), (1, 6, 4, 3)),
    "gradient of dilated": (
        Function(lambda g: gradients(g, torch.ones(1, 2, 8, 7), (3, 2, 3, 3), dilation=2, padding=0)[0]), (1, 3, 2, 2)),
    "gradient of transposed": (
        Function(lambda g: gradients(g, torch.ones(1, 4, 4, 3), (4, 1, 3, 3), transposed=True)[0]), (1, 1, 8, 6)),
    "gradient of bias": (Function(lambda g: gradients(g, torch.ones(1, 2, 5, 5), (3, 2, 3, 3))[2]), (1, 3, 3, 3)),
    "unbatched conv": (Function(lambda x: positive(nn.Conv2d(3, 2, 3))(x)), (3, 5, 5)),
    "avg pool": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (1, 2, 7, 8)),
    "avg pool hanging over": (nn.AvgPool2d(3, 2, ceil_mode=True), (1, 2, 2, 5)),
    "avg pool 1d": (nn.AvgPool1d(2), (1, 2, 7)),
    "avg pool 3d": (nn.AvgPool3d(2, padding=1), (1, 1, 4, 4, 3)),
    "adaptive": (nn.AdaptiveAvgPool2d((3, None)), (1, 2, 7, 4)),
    "adaptive 1": (nn.AdaptiveAvgPool2d(1), (1, 2, 7, 4)),
    "adaptive 1d": (nn.AdaptiveAvgPool1d(4), (1, 2, 7)),
    "adaptive 3d": (nn.AdaptiveAvgPool3d(2), (1, 1, 3, 4, 5)),
    "lp pool": (nn.LPPool2d(2, 3, 2), (1, 2, 7, 7)),
    "batch norm": (positive(nn.BatchNorm2d(3)), (2, 3, 4, 4)),
    "group norm": (positive(nn.GroupNorm(2, 4)), (2, 4, 3, 3)),
    "instance norm": (positive(nn.InstanceNorm2d(3, affine=True)), (2, 3, 3, 3)),
    "layer norm": (positive(nn.LayerNorm([3, 4])), (2, 2, 3, 4)),
    "rms norm": (positive(nn.RMSNorm(4)), (2, 3, 4)),
    "local response": (nn.LocalResponseNorm(3), (1, 6, 3, 3)),
    "softmax": (nn.Softmax(dim=1), (2, 4, 3)),
    "softmax2d": (nn.Softmax2d(), (2, 3, 2, 2)),
    "log softmax": (nn.LogSoftmax(dim=-1), (2, 4)),
    "linear": (positive(nn.Linear(4, 3)), (2, 3, 4)),
    "flatten linear": (nn.Sequential(nn.Flatten(), positive(nn.Linear(18, 3))), (2, 2, 3, 3)),
    "bilinear layer": (Function(lambda x: positive(nn.Bilinear(3, 3, 2))(x, x)), (2, 3)),
    "prelu": (nn.PReLU(3).double(), (1, 3, 4)),
    "glu": (nn.GLU(dim=1), (1, 4, 3)),
    "channel shuffle": (nn.ChannelShuffle(2), (1, 6, 2, 2)),
    "pixel shuffle": (nn.PixelShuffle(2), (1, 8, 2, 3)),
    "pixel unshuffle": (nn.PixelUnshuffle(2), (1, 2, 4, 6)),
    "nearest": (nn.Upsample(scale_factor=2), (1, 2, 3, 4)),
    "nearest down": (Function(lambda x: F.interpolate(x, size=(3, 5))), (1, 1, 7, 8)),
    "nearest exact": (Function(lambda x: F.interpolate(x, size=(3, 5), mode="nearest-exact")), (1, 1, 7, 8)),
    "nearest 1d": (nn.Upsample(scale_factor=1.5), (1, 2, 5)),
    "nearest 3d": (nn.Upsample(scale_factor=2), (1, 1, 2, 2, 2)),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 2, 3, 4)),
    "bilinear corners": (nn.Upsample(size=(5, 7), mode="bilinear", align_corners=True), (1, 1, 3, 4)),
    "bilinear scale": (nn.Upsample(scale_factor=1.7, mode="bilinear"), (1, 1, 4, 5)),
    "bilinear given scale": (
        Function(lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=False)),
        (1, 1, 4, 5),
    ),
    "linear resize": (nn.Upsample(scale_factor=3, mode="linear"), (1, 2, 4)),
    "trilinear": (nn.Upsample(scale_factor=2, mode="trilinear"), (1, 1, 2, 3, 2)),
    "bicubic": (nn.Upsample(scale_factor=2, mode="bicubic"), (1, 1, 6, 5)),
    "antialias": (Function(lambda x: F.interpolate(x, size=(3, 2), mode="bilinear", antialias=True)), (1, 1, 9, 8)),
    "antialias up": (Function(lambda x: F.interpolate(x, size=(7, 9), mode="bilinear", antialias=True)), (1, 1, 4, 5)),
    "add broadcast": (Function(lambda x: x + x.mean((2, 3), keepdim=True)), (1, 2, 3, 3)),
    "squeeze excite": (Function(lambda x: x * x.mean((2, 3), keepdim=True).sigmoid()), (1, 2, 2, 3)),
    "lerp": (Function(lambda x: torch.lerp(x, x.flip(1), 0.3)), (1, 3, 2)),
    "concat": (Function(lambda x: torch.cat([x, x.flip(-1), x[:, :1]], dim=1)), (1, 2, 3)),
    "stack": (Function(lambda x: torch.stack([x, x * 2], dim=-1)), (1, 2, 3)),
    "split": (Function(lambda x: torch.split(x, [1, 2], dim=1)[1] * 1), (1, 3, 3)),
    "chunk": (Function(lambda x: torch.chunk(x, 2, dim=2)[1] * 1), (1, 2, 5)),
    "unbind": (Function(lambda x: x.unbind(1)[2] * 1), (1, 3, 4)),
    "tensor split": (Function(lambda x: torch.tensor_split(x, 3, dim=2)[1] * 1), (1, 2, 7)),
    "strided slice": (Function(lambda x: x[:, :, 1::2, -3:-1] * 1), (1, 2, 6, 5)),
    "ellipsis": (Function(lambda x: x[..., None, 0] * 1), (1, 2, 3)),
    "select": (Function(lambda x: x[:, -1] * 1), (1, 3, 4)),
    "narrow": (Function(lambda x: x.narrow(2, 1, 2) * 1), (1, 2, 4)),
    "permute": (Function(lambda x: x.permute(0, 2, 3, 1) * 1), (1, 2, 3, 4)),
    "transpose": (Function(lambda x: x.transpose(1, -1).contiguous()), (1, 2, 3)),
    "movedim": (Function(lambda x: x.movedim(1, 3).reshape(2, -1)), (1, 2, 3, 2)),
    "reshape": (Function(lambda x: x.permute(0, 2, 1).reshape(3, 4)), (1, 4, 3)),
    "squeeze": (Function(lambda x: x.squeeze(1).unsqueeze(-1) * 1), (2, 1, 3)),
    "expand": (Function(lambda x: x.expand(2, 3, 4) * 1), (1, 3, 1)),
    "repeat": (Function(lambda x: x.repeat(2, 1, 3)), (2, 3)),
    "tile": (Function(lambda x: x.tile(2, 2)), (2, 3)),
    "repeat interleave": (Function(lambda x: x.repeat_interleave(2, dim=1)), (2, 3)),
    "roll": (Function(lambda x: torch.roll(x, (1, -2), (2, 3))), (1, 2, 3, 4)),
    "roll flat": (Function(lambda x: torch.roll(x, 3)), (2, 4)),
    "flip": (Function(lambda x: x.flip((1, 2))), (1, 2, 3)),
    "rot90": (Function(lambda x: torch.rot90(x, 1, (2, 3))), (1, 1, 2, 3)),
    "rot270": (Function(lambda x: torch.rot90(x, 3, (2, 3))), (1, 1, 2, 3)),
    "pad": (nn.ZeroPad2d((1, 2, 0, 3)), (1, 1, 3, 2)),
    "crop": (Function(lambda x: F.pad(x, (-1, 1))), (1, 2, 4)),
    "reflect": (nn.ReflectionPad2d((1, 2, 2, 0)), (1, 1, 4, 4)),
    "reflect 3d": (nn.ReflectionPad3d(1), (1, 1, 2, 3, 3)),
    "replicate": (nn.ReplicationPad2d((2, 1, 0, 1)), (1, 1, 3, 3)),
    "circular": (nn.CircularPad2d((1, 2, 0, 1)), (1, 1, 3, 3)),
    "unfold": (nn.Unfold((2, 3), dilation=(2, 1), padding=1, stride=(1, 2)), (1, 2, 4, 5)),
    "fold": (nn.Fold((4, 5), (2, 3), padding=1, stride=2), (1, 12, 9)),
    "windows": (Function(lambda x: x.unfold(2, 3, 2) * 1), (1, 2, 7)),
    "diagonal": (Function(lambda x: x.diagonal(1, 1, 2) * 1), (2, 3, 4)),
    "as strided": (Function(lambda x: x.as_strided((2, 2), (3, 2), 1) * 1), (2, 4)),
    "mean": (Function(lambda x: x.mean(1)), (2, 3, 4)),
    "sum all": (Function(lambda x: x.sum()), (2, 3)),
    "variance": (Function(lambda x: x.var((1, 2), keepdim=True)), (2, 3, 4)),
    "std mean": (Function(lambda x: torch.std_mean(x, 1)), (2, 3, 4)),
    "norm": (Function(lambda x: F.normalize(x, dim=1)), (2, 3, 4)),
    "largest length": (Function(lambda x: torch.renorm(x, 2, 1, 0.1)), (2, 3, 2)),
    "logsumexp": (Function(lambda x: x.logsumexp(1)), (2, 3, 4)),
    "cumsum": (Function(lambda x: x.cumsum(1)), (2, 4)),
    "prod": (Function(lambda x: x.prod(1)), (2, 4)),
    "matmul": (Function(lambda x: x @ x.transpose(1, 2)), (2, 3, 2)),
    "mv": (Function(lambda x: x @ x[0]), (3, 3)),
    "dot": (Function(lambda x: x @ x), (3,)),
    "einsum": (Function(lambda x: torch.einsum("bchw,bdhw->bcd", x, x)), (2, 2, 2, 3)),
    "complex": (Function(lambda x: torch.view_as_real(torch.complex(x, x * 2))), (2, 3)),
    "polar": (Function(lambda x: torch.polar(x, x * 2).real), (2, 3)),
    "inverse": (Function(torch.linalg.inv), (2, 3, 3)),
    "exponential of a matrix": (Function(torch.matrix_exp), (2, 3, 3)),
    "log determinant": (Function(lambda x: torch.linalg.slogdet(x).logabsdet), (2, 3, 3)),
    "solution": (Function(lambda x: torch.linalg.solve(x[:, :3], x[:, 3:].mT)), (2, 4, 3)),
    "distances": (Function(lambda x: torch.cdist(x, x[:, 1:] * 2)), (2, 3, 4)),
    "distances within": (Function(F.pdist), (4, 3)),
    "trace": (Function(torch.trace), (3, 4)),
    "diagonal of a new matrix": (Function(lambda x: torch.diag_embed(x, 1, 0, 2)), (2, 3)),
    "blocks": (Function(lambda x: torch.block_diag(x, x[0], x[:, :1] * 2)), (2, 3)),
    "time first": (Function(lambda x: torch.conv_tbc(x, torch.ones(3, 2, 4).double(), torch.ones(4).double(), 1)),
                   (5, 2, 2)),
    "gradient of windows": (Function(lambda x: torch.ops.aten.unfold_backward(x, [2, 9, 2], 1, 3, 2)), (2, 4, 2, 3)),
    "sparse product": (Function(lambda x: torch.sparse.mm(torch.ones(4, 3).double().to_sparse(), x)), (3, 2)),
    "distances of another power": (Function(lambda x: torch.cdist(x[:, :1], x[:, 1:], p=3.0)), (2, 3, 4)),
    "grid of a map": (Function(lambda x: F.affine_grid(x, (2, 1, 2, 4), align_corners=False) + 2.0), (2, 2, 3)),
    "cross": (Function(lambda x: torch.linalg.cross(x, x.flip(0) * 2, dim=1)), (2, 3, 2)),
    "huber": (Function(lambda x: F.huber_loss(x, x.flip(0) * 2, reduction="none")), (2, 3)),
    "huber, mean": (Function(lambda x: F.huber_loss(x, x.flip(0) * 2)), (2, 3)),
    "attention": (Function(lambda x: F.scaled_dot_product_attention(x, x.flip(1), x * 2)), (2, 3, 4)),
    "fixed index": (Function(fixed_index), (1, 2, 4, 5)),
    "fixed index apart": (Function(lambda x: x[:, torch.tensor([1, 0, 1]), :, torch.tensor([0, 3, 2])]), (2, 2, 3, 4)),
    "fixed rows": (Function(lambda x: x[:, torch.tensor([[0, 2], [1, 1]])]), (2, 3, 2)),
    "list of places": (Function(lambda x: x[:, [2, 1, 0]]), (1, 3, 2)),
    "tuple of places": (Function(lambda x: x[:, (2, 0)]), (1, 3, 2)),
    "array of places": (Function(lambda x: x[..., np.array([[2, 0], [1, 1]])]), (1, 2, 3)),
    "list of truths": (Function(lambda x: x[:, [True, False, True]]), (1, 3, 2)),
    "places on the input's device": (Function(lambda x: x[:, torch.tensor([2, 0], device=x.device)]), (1, 3, 2)),
    "gathered at places": (Function(lambda x: x.gather(2, along([3, 0, 0], 3))), (1, 2, 4, 5)),
    "zeros at places": (Function(written_at((slice(None), [0, 2]), lambda x: 0.0)), (2, 3, 2)),
    "written at places": (Function(written_at((slice(None), [2, 0]), lambda x: x[:, 1:])), (2, 3, 2)),
    "written at a mask": (
        Function(written_at((slice(None), torch.eye(3, dtype=torch.bool)), lambda x: x[:, 0])), (2, 3, 3)),
    "written at places apart": (
        Function(written_at((slice(None), [0, 1], slice(None), [2, 0]), lambda x: x[:, 0, :, :1])), (2, 2, 2, 3)),
    "written at places, one for all": (Function(written_at(([1, 0],), lambda x: x[0, :1])), (3, 2)),
    "added at places": (
        Function(lambda x: (x * 1).index_put((torch.tensor([1, 1, 0]),), x * 2, accumulate=True)), (3, 2)),
    "filled at places": (Function(lambda x: x.index_fill(1, torch.tensor([0, 2]), 0.0)), (2, 3)),
    "filled by a number of its own": (Function(lambda x: x.index_fill(1, torch.tensor([0, 2]), x.sum())), (2, 3)),
    "copied to places": (Function(lambda x: (x * 1).index_copy(1, torch.tensor([2, 0]), x[:, :2])), (2, 3)),
    "added along an axis": (Function(lambda x: (x * 1).index_add(1, torch.tensor([2, 2]), x[:, :2])), (2, 3)),
    "mean at places": (
        Function(lambda x: (x * 1).index_reduce(1, torch.tensor([2, 2]), x[:, :2], "mean")), (2, 3)),
    "scattered": (Function(lambda x: (x * 1).scatter(2, along([3, 1], 5), x.flip(2)[:, :, :2])), (1, 2, 4, 5)),
    "scattered numbers": (Function(lambda x: x.scatter(2, along([3, 1], 5), 2.0)), (1, 2, 4, 5)),
    "scattered and added": (Function(lambda x: (x * 1).scatter_add(2, along([3, 3], 5), x[:, :, :2])), (1, 2, 4, 5)),
    "sum at places, without what was there": (
        Function(lambda x: (x * 1).scatter_reduce(2, along([3, 3], 5), x[:, :, :2], "sum", include_self=False)),
        (1, 2, 4, 5)),
    "index select": (Function(lambda x: x.index_select(2, torch.tensor([3, 1]))), (1, 2, 4)),
    "in place": (Function(in_place), (1, 3, 4)),
    "through views": (Function(through_views), (2, 3, 2, 2)),
    "two views": (Function(two_views), (1, 1, 2, 4)),
    "filled": (Function(filled), (1, 3, 2, 2)),
    "diagonal written": (Function(lambda x: (y := x * 1, y.diagonal(0, 1, 2).add_(y[:, 0] * 1))[0] * 1), (2, 3, 3)),
    "strided written": (Function(lambda x: (y := x * 1, y.as_strided((2,), (3,)).add_(y[0, 1] * 1))[0]), (2, 3)),
    "select written": (Function(lambda x: (y := x * 1, y[:, 1].add_(y[:, 0] * 1))[0]), (2, 3, 3)),
    "unsqueezed": (Function(lambda x: (y := x * 1, y.unsqueeze_(1).mul_(2))[0]), (2, 3)),
    "reshaped in place, then written": (Function(lambda x: (y := x * 1, y[0], y.t_().add_(y * 1))[1] * 2), (3, 3)),
    "view of before, written": (Function(lambda x: (y := x * 1, v := y[0], y.t_(), v.add_(v * 1))[0] * 2), (3, 3)),
    "detached and reshaped, then written": (
        Function(lambda x: (y := x * 1, z := y.detach(), z.unsqueeze_(0), y[0].add_(y[1] * 1))[0] * 2), (3, 3)),
    "view of a view of before": (Function(lambda x: (y := (x * 1)[:], y[0], y.t_().add_(y * 1))[1] * 2), (3, 3)),
}  # fmt: skip


# Operations whose zeros are in the numbers rather than in the shapes: the paths are a bound.
BOUND = {
    "Fourier filter": (
        Function(lambda x: torch.fft.irfft2(torch.fft.rfft2(x) * torch.linspace(1, 2, 3))), (1, 1, 3, 4)),
    "gradient of weight": (Function(lambda g: gradients(g, torch.ones(1, 2, 5, 5), (3, 2, 3, 3))[1]), (1, 3, 3, 3)),
    "max pool": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (1, 2, 6, 7)),
    "max pool hanging over": (nn.MaxPool2d((5, 3), 3, ceil_mode=True), (1, 2, 3, 2)),
    "max pool dilated": (nn.MaxPool2d(2, 1, dilation=2), (1, 2, 6, 7)),
    "max pool 1d": (nn.MaxPool1d(2), (1, 2, 7)),
    "max pool 3d": (nn.MaxPool3d(2), (1, 1, 4, 4, 3)),
    "adaptive max": (nn.AdaptiveMaxPool2d((2, 3)), (1, 1, 5, 5)),
    "fractional": (nn.FractionalMaxPool2d(2, output_size=3), (1, 1, 7, 7)),
    "max": (Function(lambda x: x.max(1).values), (2, 3, 4)),
    "where": (Function(lambda x: torch.where(torch.arange(5) > 1, x * 2, x.flip(-1))), (1, 2, 5)),
    "max of two": (Function(lambda x: torch.max(x, x.flip(0))), (2, 3)),
    "amax": (Function(lambda x: x.amax((1, 2))), (2, 3, 4)),
    "top": (Function(lambda x: x.topk(2, dim=1).values), (2, 4, 2)),
    "singular values": (Function(lambda x: torch.linalg.svd(x).S), (2, 3, 2)),
    "orthogonal": (Function(lambda x: torch.linalg.qr(x).Q), (2, 3, 2)),
    "eigenvalues": (Function(lambda x: torch.linalg.eigvalsh(x @ x.mT)), (2, 3, 3)),
    "masked scatter": (Function(lambda x: x.masked_scatter(x > 1, x * 2)), (2, 3)),
    "take": (Function(lambda x: x.take(torch.tensor([1, 4]))), (2, 3)),
    "likelihood": (Function(lambda x: F.nll_loss(x, torch.tensor([[0, 1], [1, 0]]), reduction="mean")), (2, 2, 2)),
    "likelihood of each": (
        Function(lambda x: F.nll_loss(x, torch.tensor([[0, 1], [1, 0]]), reduction="none")), (2, 2, 2)),
    "packed": (
        Function(lambda x: nn.utils.rnn.pack_padded_sequence(x, torch.tensor([3, 2]), batch_first=True).data),
        (2, 3, 2)),
    "sort": (Function(lambda x: x.sort(dim=1).values), (2, 4, 2)),
    "gather": (Function(lambda x: x.gather(1, x.argsort(1)[:, :2])), (2, 4, 2)),
    "computed index": (Function(lambda x: x[:, x[0].argsort()]), (2, 4)),
    "index put": (Function(lambda x: (x * 1).index_put((x[0].argsort()[:1] % 2,), x[1:] * 2)), (2, 4)),
    "index put of a mask": (Function(lambda x: (x * 1).index_put((x > 1,), x[0, 0])), (2, 4)),
    "two to one place": (Function(lambda x: (x * 1).index_put((torch.tensor([1, 1]),), x[1:])), (3, 4)),
    "one truth": (Function(lambda x: x[torch.tensor(True)]), (2, 3)),
    "one truth written": (Function(written_at(torch.tensor(True), lambda x: x * 2)), (2, 3)),
    "scatter": (Function(lambda x: torch.zeros_like(x).scatter(1, x.argsort(1), x)), (2, 4)),
    "grid sample": (
        Function(lambda x: F.grid_sample(x, x.mean(1)[..., None].expand(-1, -1, -1, 2) - 1, align_corners=False)),
        (1, 2, 3, 4)),
    "relu6": (nn.ReLU6(), (2, 3)),
    "masked": (Function(lambda x: x.masked_fill(x > 1, 0.0)), (2, 3)),
}  # fmt: skip


# An even kernel with "same" makes torch copy the input, and say so.
@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.filterwarnings("ignore:index_reduce.. is in beta")
@pytest.mark.parametrize("case", EXACT)
def test_paths_equal_the_jacobian(case):
    module, shape = EXACT[case]
    graph = capture(module, TensorSpec(shape, "float64"), mode="as is")
    assert graph.error is None
    expected = measured(module, [torch.rand(shape, dtype=torch.float64)])
    np.testing.assert_array_equal(recorded(graph, graph.outputs[0], graph.inputs[0]), expected)


@pytest.mark.parametrize("case", BOUND)
def test_paths_contain_the_jacobian(case):
    module, shape = BOUND[case]
    graph = capture(module, TensorSpec(shape, "float64"), mode="as is")
    assert graph.error is None
    support = measured(module, [torch.rand(shape, dtype=torch.float64)])
    paths = recorded(graph, graph.outputs[0], graph.inputs[0])
    assert not (support & ~paths).any()


def test_torch_warnings_are_kept_for_real_runs():
    assert capture(nn.Conv2d(2, 2, 4, padding="same"), (2, 6, 5)).error is None


DRAWN = {
    "by a mean": lambda x: torch.normal(x, 1.0),
    "by a deviation": lambda x: torch.normal(2.0, x),
    "by both": lambda x: torch.normal(x[0], x),
    "ones": lambda x: torch.bernoulli(x),
    "ones, in place": lambda x: torch.zeros(2, 3).bernoulli_(x),
}


@pytest.mark.parametrize("case", DRAWN)
def test_a_number_drawn_by_a_computed_parameter_depends_on_it(case):
    graph = capture(Function(DRAWN[case]), TensorSpec((2, 3), "float32"))
    depends = recorded(graph, graph.outputs[0], graph.inputs[0])
    assert (depends == (np.tile(np.eye(3), (2, 2)) * [1, 1, 1, 0, 0, 0] > 0) | np.eye(6, dtype=bool)
            if case == "by both" else depends == np.eye(6, dtype=bool)).all()  # fmt: skip


def test_a_normalization_by_computed_statistics_depends_on_them():
    model = Function(lambda x: F.batch_norm(x[:1], x[1, :, 0], x[1, :, 1]))
    graph = capture(model, TensorSpec((2, 3, 2), "float32"))
    depends = recorded(graph, graph.outputs[0], graph.inputs[0]).reshape(3, 2, 2, 3, 2)
    own = np.eye(3, dtype=bool)
    assert (depends[:, :, 1] == own[:, None, :, None]).all()
    assert (depends[:, :, 0] == own[:, None, :, None] & np.eye(2, dtype=bool)[None, :, None]).all()


def test_a_number_drawn_by_constants_depends_on_nothing():
    graph = capture(Function(lambda x: x.new_empty(2, 3).normal_(0, 1) + x.new_empty(2, 3).bernoulli_(0.5)), (2, 3))
    assert not recorded(graph, graph.outputs[0], graph.inputs[0]).any()


TAKING = {
    "sum": (lambda x, **out: torch.add(x, x.flip(1), **out), (2, 3)),
    "product": (lambda x, **out: torch.mm(x, torch.ones(3, 4), **out), (2, 4)),
    "concatenation": (lambda x, **out: torch.cat((x, x[:, :1] * 2), 1, **out), (2, 4)),
}


@pytest.mark.parametrize("size", ["its own", "none"])
@pytest.mark.parametrize("case", TAKING)
def test_a_tensor_that_takes_a_result_is_not_read(case, size):
    function, shape = TAKING[case]
    taking = Function(lambda x, y: function(x, out=(y if size == "its own" else torch.empty(0))) * 1)
    graph, plain = capture(taking, [TensorSpec((2, 3), "float32"), TensorSpec(shape, "float32")]), capture(
        Function(function), TensorSpec((2, 3), "float32"))  # fmt: skip
    assert graph.error is None and graph.shape(graph.outputs[0]) == shape
    assert not recorded(graph, graph.outputs[0], graph.inputs[1]).any()
    expected = recorded(plain, plain.outputs[0], plain.inputs[0])
    np.testing.assert_array_equal(recorded(graph, graph.outputs[0], graph.inputs[0]), expected)


ELSEWHERE_IN_MEMORY = {
    "transposed": lambda x: x.t().as_strided((3, 2), (2, 1)),
    "every second column": lambda x: x[:, ::2].as_strided((2,), (1,)),
    "from the start of another": lambda x: x[1:].as_strided((3,), (1,), 0),
    "repeated": lambda x: x[:1].expand(2, 3).as_strided((4,), (1,)),
    "written where it is repeated": lambda x: (y := torch.zeros(1, 3), y.expand(2, 3)[0].copy_(x[0]))[0] * 1,
}


@pytest.mark.parametrize("case", ELSEWHERE_IN_MEMORY)
def test_what_shapes_do_not_say_of_memory_is_unknown(case):
    graph = capture(Function(ELSEWHERE_IN_MEMORY[case]), TensorSpec((2, 3), "float32"))
    assert graph.error is None
    assert [node.op for node in graph.nodes if node.paths is None][:1] in (["as_strided"], ["as_strided_scatter"])
