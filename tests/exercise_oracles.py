"""The answer of each exercise computed another way: by torch where it has the operation, else by counting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from convscope.exercises.draw import Drawn

Numbers = Mapping[str, Any]


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def linear(inputs: int, outputs: int, *, bias: bool = True) -> int:
    return parameters(nn.Linear(inputs, outputs, bias=bias, device="meta"))


def conv(inputs: int, filters: int, kernel: int, *, bias: bool = True) -> int:
    return parameters(nn.Conv2d(inputs, filters, kernel, bias=bias, device="meta"))


def macs(inputs: int, filters: int, kernel: int, side: int, stride: int = 1, padding: int = 0) -> int:
    layer = nn.Conv2d(inputs, filters, kernel, stride, padding, bias=False, device="meta")
    with FlopCounterMode(display=False) as counter:
        layer(torch.empty(1, inputs, side, side, device="meta"))
    return counter.get_total_flops() // 2


def size(side: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    layer = nn.Conv1d(1, 1, kernel, stride, padding, dilation, device="meta")
    return layer(torch.empty(1, 1, side, device="meta")).shape[-1]


def reads(side: int, kernel: int, stride: int, padding: int) -> torch.Tensor:
    """In how many windows each position of an axis lies: the gradient of a sum of ones."""
    x = torch.zeros(1, 1, side, requires_grad=True)
    F.conv1d(x, torch.ones(1, 1, kernel), stride=stride, padding=padding).sum().backward()
    assert x.grad is not None
    return x.grad[0, 0]


def _window(name: str) -> tuple[int, int]:
    kernel, _, stride = name.partition("/")
    return int(kernel), int(stride or 1)


def support(names: list[str]) -> int:
    """The receptive field by the support of a gradient, without padding."""
    least, steps = 1, [(2, 2) if name == "p" else _window(name) for name in names]
    for kernel, stride in reversed(steps):
        least = (least - 1) * stride + kernel
    x = torch.ones(1, 1, least + 7, dtype=torch.float64, requires_grad=True)
    y = x
    for kernel, stride in steps:
        y = F.conv1d(y, torch.full((1, 1, kernel), 1 / kernel, dtype=torch.float64), stride=stride)
    y[0, 0, 0].backward()
    assert x.grad is not None
    read = torch.nonzero(x.grad[0, 0])
    return int(read.max() - read.min()) + 1


def tensor(rows: Any) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)[None, None]


def whole(rows: torch.Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in rows)


def cell(n: Numbers) -> int:
    return int(F.conv2d(tensor(n["image"]), tensor(n["kernel"]))[0, 0, n["row"] - 1, n["column"] - 1])


def which_kernel(n: Numbers) -> str:
    from convscope.reference.edges import HORIZONTAL, VERTICAL

    middle = torch.zeros(3, 3)
    middle[1, 1] = 1
    kernels = {"vertical": VERTICAL, "horizontal": HORIZONTAL, "blur": torch.ones(3, 3), "identity": middle}
    weights = {name: torch.as_tensor(kernel, dtype=torch.float64)[None, None] for name, kernel in kernels.items()}
    same = [name for name, w in weights.items() if torch.equal(F.conv2d(tensor(n["image"]), w), tensor(n["map"]))]
    assert len(same) == 1
    return same[0]


def sign(n: Numbers) -> tuple[int, int]:
    value = F.conv2d(tensor(n["other"]), tensor(n["kernel"]))[0, 0, 1, 1]
    assert F.conv2d(tensor(n["image"]), tensor(n["kernel"]))[0, 0, 1, 1] == n["given"]
    return int(value), int(F.relu(value))


def same_padding(n: Numbers) -> int:
    return next(p for p in range(200) if n["side"] + 2 * p >= n["span"]
                and size(n["side"], n["K"], 1, p, n["d"]) == n["side"])  # fmt: skip


def never_read(n: Numbers) -> int:
    return int((reads(n["H"], n["K"], n["S"], n["P"]) == 0).sum())


def windows_on_a_pixel(n: Numbers) -> tuple[int, int, int]:
    x = torch.zeros(1, 1, n["H"], n["H"], requires_grad=True)
    F.conv2d(x, torch.ones(1, 1, n["K"], n["K"]), padding=n["P"]).sum().backward()
    assert x.grad is not None
    grad, middle = x.grad[0, 0], n["H"] // 2
    return int(grad[0, 0]), int(grad[0, middle]), int(grad[middle, middle])


def shape(n: Numbers) -> tuple[int, ...]:
    layer = nn.Conv2d(n["C"], n["Cout"], n["K"], n["S"], n["P"], device="meta")
    return tuple(layer(torch.empty(n["N"], n["C"], n["H"], n["H"], device="meta")).shape)


def pooled(drawn: Drawn) -> tuple[tuple[float, ...], ...]:
    average = drawn.texts["statement"] == "statement-average"
    return whole((F.avg_pool2d if average else F.max_pool2d)(tensor(drawn.numbers["values"]), 2)[0, 0])


def pool_shape(n: Numbers) -> tuple[int, ...]:
    pool = nn.MaxPool2d(n["K"], n["S"])
    return (*pool(torch.empty(n["C"], n["H"], n["H"], device="meta")).shape, parameters(pool))


def shift(n: Numbers) -> str:
    x = torch.rand(1, 1, 24 * n["s"], generator=torch.Generator().manual_seed(n["d"]))
    before, after = (F.max_pool1d(image, n["s"]) for image in (x, x.roll(n["d"], -1)))
    moved = [cells for cells in range(24) if torch.equal(before.roll(cells, -1), after)]
    return "exact" if moved == [n["d"] // n["s"]] else "changes" if not moved else "other"


def layers_needed(n: Numbers) -> int:
    return next(count for count in range(1, 200) if support([str(n["K"])] * count) >= n["n"])


def small_against_large(n: Numbers) -> tuple[int, int]:
    large = support([str(n["K"])] * n["L"])
    return n["L"] * conv(n["C"], n["C"], n["K"], bias=False), conv(n["C"], n["C"], large, bias=False)


def lenet_row(n: Numbers) -> int:
    rows: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(n["image"], n["C"], n["F"], device="meta"), "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(n["C"], n["K"], n["F"], device="meta"), "pool2": nn.MaxPool2d(2),
    }  # fmt: skip
    x = torch.empty(1, n["image"], n["side"], n["side"], device="meta")
    for row in rows.values():
        x = row(x)
    rows["fc3"] = nn.Linear(x[0].numel(), n["N"], device="meta")
    return parameters(rows[n["missing"]])


def slope(drawn: Drawn) -> float:
    asked, n = drawn.texts["statement"].removeprefix("statement-"), drawn.numbers
    x = torch.tensor(n.get("x", 0.0), dtype=torch.float64, requires_grad=True)
    {"tanh": torch.tanh, "relu": torch.relu}.get(asked, torch.sigmoid)(x).backward()
    assert x.grad is not None
    found = float(x.grad)
    return float(found ** int(str(n["n"]))) if asked == "sigmoids" else found


def first_dense(n: Numbers) -> tuple[int, int]:
    x = torch.empty(1, n["C"], n["H"], n["W"], device="meta")
    flat, averaged = nn.Flatten()(x), nn.Flatten()(nn.AdaptiveAvgPool2d(1)(x))
    return linear(flat.shape[1], n["N"]), linear(averaged.shape[1], n["N"])


def sgd(n: Numbers) -> float:
    w = torch.tensor([n["w"]], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=n["lr"], momentum=n["m"], weight_decay=n["wd"])
    for batch in (n["batch1"], n["batch2"]):
        optimizer.zero_grad()
        (w * torch.tensor(batch, dtype=torch.float64)).mean().backward()
        optimizer.step()
    return float(w.detach())


def cross_entropy(n: Numbers) -> float:
    scores = torch.tensor([n.get("scores", (0,) * n.get("C", 0))], dtype=torch.float64)
    return float(F.cross_entropy(scores, torch.tensor([n.get("right", 1) - 1])))


def steps(drawn: Drawn) -> int:
    n, drops = drawn.numbers, drawn.texts["steps"] == "steps-drops"
    images: Any = range(int(str(n["N"])))
    return int(str(n["E"])) * len(DataLoader(images, batch_size=int(str(n["B"])), drop_last=drops))


def crops(n: Numbers) -> int:
    return 2 * torch.arange(n["image"]).unfold(0, n["crop"], 1).shape[0] ** 2


def growth(n: Numbers) -> tuple[int, int]:
    dense = [linear(n["C"] * at * at, n["N"], bias=False) for at in (n["side"], n["larger"])]
    return dense[1] // dense[0], 1


OF_NUMBERS: Mapping[str, Callable[[Numbers], Any]] = {
    "1a": lambda n: linear(n["H"] * n["W"] * n["C"], 1, bias=False),
    "1b": lambda n: (linear(n["H"] * n["W"] * n["C"], n["N"]), conv(n["C"], n["K"], n["F"])),
    "1c": growth,
    "2a": cell,
    "2b": which_kernel,
    "2c": sign,
    "3a": lambda n: size(n["H"], n["K"], n["S"], n["P"]),
    "3b": same_padding,
    "3c": never_read,
    "3d": windows_on_a_pixel,
    "4a": lambda n: conv(n["C"], n["K"], n["F"]),
    "4b": shape,
    "4c": lambda n: macs(n["C"], n["K"], n["F"], n["H"], n["S"], n["P"]),
    "5b": pool_shape,
    "5c": shift,
    "6a": lambda n: support([str(n["K"])] * n["L"]),
    "6b": lambda n: support(n["names"].split()),
    "6c": layers_needed,
    "6d": small_against_large,
    "7a": lenet_row,
    "7c": first_dense,
    "8a": sgd,
    "8b": cross_entropy,
    "quiz-stride-padding": lambda n: (size(n["H"], n["K"], n["S"]), size(n["H"], n["K"], 1, n["P"])),
    "quiz-wider-kernel": lambda n: conv(n["C"], n["K"], n["large"]) - conv(n["C"], n["K"], n["small"]),
    "quiz-pool-work": lambda n: (
        macs(n["C"], n["C"], n["K"], n["H"], 1, n["K"] // 2)
        // macs(n["C"], n["C"], n["K"], n["H"] // n["pool"], 1, n["K"] // 2)
    ),
    "quiz-crops": crops,
}
OF_DRAWN: Mapping[str, Callable[[Drawn], Any]] = {"5a": pooled, "7b": slope, "8c": steps}


def oracle(name: str, drawn: Drawn) -> Any:
    """Return the right answer computed independently; None for a choice whose answer is words."""
    if name in OF_DRAWN:
        return OF_DRAWN[name](drawn)
    return OF_NUMBERS[name](drawn.numbers) if name in OF_NUMBERS else None


def pooled_size(side: int, kernel: int, stride: int) -> int:
    return F.max_pool1d(torch.zeros(1, 1, side), kernel, stride).shape[-1]


def first_output(n: Numbers) -> int:
    """A response that begins before time 0, by its definition: y[t] is the sum over k of h[k] x[t - k]."""
    response = torch.zeros(5)
    response[2 - n["r"] :] = 1  # h[k] stands at k + 2
    output = {t: sum(float(response[k + 2]) for k in range(-2, 3) if t - k == n["t"]) for t in range(30)}
    return min(t for t, value in output.items() if value)


def responses_to_edges(n: Numbers) -> list[int]:
    image = torch.full((1, 1, 6, 6), float(n["dark"]))
    image[..., :3] = n["bright"]
    kernel = torch.tensor([[[[1.0, 0, -1]] * 3]])
    return [int(F.conv2d(one, kernel).max()) for one in (image, image.mT)]


def responses_to_spots(n: Numbers) -> list[int]:
    detector = torch.full((1, 1, 3, 3), -1.0)
    detector[..., 1, 1] = 8
    spot = torch.zeros(1, 1, 7, 7)
    spot[..., 3, 3] = n["bright"]
    larger = F.interpolate(spot, scale_factor=3)
    return [int(F.max_pool2d(F.conv2d(one, detector).relu(), 2).max()) for one in (spot, larger)]


def shift_in_cells(n: Numbers) -> int | str:
    found = shift(n)
    return n["d"] // n["s"] if found == "exact" else "no whole number"


def corner(n: Numbers) -> int:
    return windows_on_a_pixel({**n, "P": n["F"] // 2, "K": n["F"]})[0]


def slice_of_depth(n: Numbers) -> tuple[int, ...]:
    layer = nn.Conv2d(1, n["K"], n["F"], padding="same", device="meta")
    return tuple(layer(torch.empty(1, 1, n["H"], n["H"], device="meta"))[0, 0].shape)


def axes_without_a_batch(n: Numbers) -> int:
    layer = nn.Conv2d(n["C"], n["K"], n["F"], device="meta")
    return layer(torch.empty(n["C"], n["H"], n["H"], device="meta")).dim()


def crop_positions(n: Numbers) -> int:
    return crops(n) // 2


def _conv_of(n: Numbers) -> int:
    return conv(n["C"], n["K"], n["F"])


def _filter_of(n: Numbers) -> int:
    return conv(n["C"], 1, n["F"], bias=False)


def _field_of(n: Numbers) -> int:
    return support(n["names"].split())


# Of the statements with other numbers: the right value of each.
STATED: Mapping[str, Callable[[Numbers], Any]] = {
    "equivariance-stride-2": shift_in_cells,
    "fc-growth": lambda n: linear(10 * 10 * n["m"] ** 2, 7, bias=False) // linear(10 * 10, 7, bias=False),
    "first-window-column": lambda n: F.unfold(tensor(n["rows"]), 3)[0, 1::3, 0].int().tolist(),
    "stride-parameters": lambda n: parameters(nn.Conv2d(n["C"], n["K"], n["F"], n["s"], device="meta")),
    "flip-and-causality": first_output,
    "rotation": responses_to_edges,
    "pool-height-formula": lambda n: pooled_size(n["n"], n["F"], n["s"]),
    "filter-depth": _filter_of,
    "conv-156": _conv_of,
    "dot-product-15": _filter_of,
    "size-with-exponent": lambda n: size(n["H"], n["F"], n["s"], n["P"]),
    "weights-f-times-d": _filter_of,
    "weights-ffk-k": lambda n: conv(n["C"], n["K"], n["F"], bias=False),
    "n-channels": lambda n: nn.Conv2d(n["C"], n["K"], n["F"], device="meta").out_channels,
    "depth-slice": slice_of_depth,
    "tensor-of-four-sizes": axes_without_a_batch,
    "bias-a-number": lambda n: _conv_of(n) - conv(n["C"], n["K"], n["F"], bias=False),
    "pool-hyperparameters": lambda n: nn.MaxPool2d(n["F"], n["s"])(torch.empty(n["C"], 8, 8)).shape[0],
    "pool-summary-heading": _conv_of,
    "six-fields": lambda n: len({support([str(n["F"])]) for _ in range(n["K"])}),
    "growth-of-fields": lambda n: support([str(n["F"])] * n["L"]),
    "field-47": _field_of,
    "crops-of-256": crop_positions,
    "crops-and-flips": crops,
    "fundus-field-2": _field_of,
    "fundus-field-3": _field_of,
    "fundus-field-4": _field_of,
    "corners-equal": corner,
    "pooling-doubles": lambda n: support([str(n["F"])] * n["L"] + ["p"]),
    "invariance-baked-in": lambda n: shift_in_cells({**n, "s": 1}),
    "pooling-shift-1": shift_in_cells,
    "scale-invariance": responses_to_spots,
}
