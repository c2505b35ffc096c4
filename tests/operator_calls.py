"""Calls of torch's operators at random: tensors with axes of 0 and 1 among others, settings that mostly fit."""

import random
from collections.abc import Callable, Iterator
from math import prod

import torch
from torch._ops import OpOverload

from convscope.capture.operators import RULES

_SIZES = (0, 1, 1, 2, 3, 4, 5)
_TORCH_WORDS = {"generator", "dtype", "layout", "device", "pin_memory", "memory_format"}
_INDEX_NAMES = {"index", "indices"}


def overloads() -> Iterator[tuple[str, OpOverload]]:
    """Every overload of an operator with a rule, that makes tensors; one that writes into `out` makes none itself."""
    for name in RULES:
        base, _, only = name.partition(".")
        namespace, _, base = base.rpartition("::")
        packet = getattr(getattr(torch.ops, namespace or "aten"), base, None)
        for overload in () if packet is None else (only,) if only else packet.overloads():
            function = getattr(packet, overload)
            schema = function._schema
            tensors = any("Tensor" in str(a.type) for a in schema.arguments)
            makes = any("Tensor" in str(r.type) for r in schema.returns)
            prim = overload.startswith("prim_")  # TorchScript's own
            if tensors and makes and not prim and not any(a.is_out for a in schema.arguments):
                yield name, function


def leaves(values: object) -> list[torch.Tensor]:
    if isinstance(values, torch.Tensor):
        return [values]
    return [t for value in values for t in leaves(value)] if isinstance(values, list | tuple) else []


def _is_mask(setting: object) -> bool:
    return isinstance(setting, torch.Tensor) and setting.dtype is torch.bool


class CallDraw:
    """One call of an operator, drawn from a seed.

    Args:
        function: the operator's overload.
        seed: of every draw.
    """

    def __init__(self, function: OpOverload, seed: int) -> None:
        self.name = function._schema.name.split("::")[1].removeprefix("_")
        self.function = function
        self.overload = function._overloadname
        self.rng = random.Random(f"{function} {seed}")
        self.generator = torch.Generator().manual_seed(seed)
        digit = next((c for c in self.name if c in "123"), "")
        self.dimensions = int(digit) if digit and f"{digit}d" in self.name else 2
        self.x = self._shape()
        schema = function._schema
        given = _BUILDERS.get(self.name) or next((b for p, b in _PREFIXES.items() if self.name.startswith(p)), None)
        self.given = given(self) if given is not None else {}
        self.arguments = {
            a.name: self.given[a.name] if a.name in self.given else self._setting(a.name, str(a.type), a)
            for a in schema.arguments
            if a.name not in _TORCH_WORDS
        }

    # What a law asks for.

    @property
    def floats(self) -> list[torch.Tensor]:
        """The tensors that a network would compute; indices and masks are constants."""
        return [t for t in leaves(list(self.arguments.values())) if t.is_floating_point()]

    def forward(self, *floats: torch.Tensor) -> object:
        """Call the operator with other tensors in place of its floating-point ones."""
        by_id = {id(own): other for own, other in zip(self.floats, floats, strict=True)}
        return self._call(lambda t: by_id.get(id(t), t))

    def shapes(self) -> list[tuple[int, ...]] | None:
        """Return the shapes of torch's results for tensors without numbers; None where torch takes no such call."""
        try:
            return [tuple(t.shape) for t in leaves([self._call(lambda t: t.to("meta"), masks=False)])]
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError, ZeroDivisionError):
            return None

    def _call(self, change: Callable[[torch.Tensor], torch.Tensor], *, masks: bool = True) -> object:
        def changed(setting: object) -> object:
            if isinstance(setting, torch.Tensor):
                return change(setting)
            if not isinstance(setting, list):
                return setting
            # How many elements a mask picks is in its numbers, which a tensor without numbers does not have.
            parts = [
                p for item in setting for p in ([item] if masks or not _is_mask(item) else item.nonzero(as_tuple=True))
            ]
            return [changed(part) for part in parts]

        return self.function(**{name: changed(setting) for name, setting in self.arguments.items()})

    # What the builders draw with.

    def size(self) -> int:
        return self.rng.choice(_SIZES)

    def shape(self, rank: int) -> tuple[int, ...]:
        return tuple(self.size() for _ in range(rank))

    def tensor(self, *shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=self.generator) + 0.5

    def maybe(self, value: object) -> object:
        return value if self.rng.random() < 0.7 else None

    def index(self, *shape: int, below: int) -> torch.Tensor:
        return torch.randint(max(1, below), shape, generator=self.generator)

    def per_axis(self, least: int, most: int) -> list[int]:
        return [self.rng.randint(least, most) for _ in range(self.dimensions)]

    def axis(self) -> int:
        return self.rng.randrange(-len(self.x), len(self.x)) if self.x else self.rng.choice((0, -1))

    # The rest, by name and type.

    def _shape(self) -> tuple[int, ...]:
        windowed = any(word in self.name for word in ("pool", "pad", "upsample", "conv", "grid"))
        rank = self.dimensions + self.rng.choice((1, 2, 2, 2)) if windowed and "constant" not in self.name else None
        rank = 4 if rank is None and ("pixel" in self.name or "shuffle" in self.name) else rank
        return self.shape(self.rng.randint(0, 4) if rank is None else rank)

    def _setting(self, name: str, kind: str, argument: object) -> object:
        optional = kind.startswith("Optional")
        if optional and self.rng.random() < 0.4:
            return None
        kind = kind.removeprefix("Optional[").removesuffix("]") if optional else kind
        if kind == "Tensor":
            return self._tensor(name)
        if kind == "List[Tensor]":
            return [self.tensor(*self.x) for _ in range(self.rng.randint(1, 3))]
        if kind == "List[int":
            kind = "List[int]"
        if kind == "List[int]":
            return self._ints(name)
        if kind == "int":
            return self._int(name)
        if kind == "bool":
            return self.rng.random() < 0.5
        if kind in ("float", "number"):
            return self.rng.choice((0.5, 1.0, 2.0))
        return argument.default_value

    def _tensor(self, name: str) -> torch.Tensor:
        if name in _INDEX_NAMES:
            return self.index(self.size(), below=max(self.x, default=1))
        if name in ("self", "input", "x", "tensor"):
            made = self.tensor(*self.x)
            return made > 1 if "bitwise" in self.name or self.name.strip("_") in ("and", "or", "xor") else made
        if name in ("mask", "condition"):
            return self.tensor(*self._broadcastable()) > 1
        made = self.tensor(*self._broadcastable())
        return made > 1 if "bitwise" in self.name or self.name.strip("_") in ("and", "or", "xor") else made

    def _broadcastable(self) -> tuple[int, ...]:
        shape = tuple(self.rng.choice((n, n, 1)) for n in self.x)
        return shape[self.rng.choice((0, 0, 1)) :]

    def _ints(self, name: str) -> list[int]:
        rank = len(self.x)
        if name in ("dim", "dims", "axes") and "permute" in self.name:
            return self.rng.sample(range(rank), rank)
        if name in ("dim", "dims"):
            some = self.rng.sample(range(rank), self.rng.randint(0, rank))
            return [d - rank if self.rng.random() < 0.3 else d for d in some]
        if name in ("size", "shape") and ("view" in self.name or "reshape" in self.name):
            return self._reshaped()
        if name == "size" and "expand" in self.name:
            front = list(self.shape(self.rng.randint(0, 1)))
            return front + [self.rng.choice((n, -1)) if n != 1 else self.size() for n in self.x]
        if name in ("padding", "pad"):
            axes = self.rng.randint(0, rank) if name == "pad" else self.dimensions
            return [self.rng.randint(-1, 3) for _ in range(2 * axes)]
        if name in ("split_sizes",):
            return []
        if name in ("repeats", "reps"):
            return list(self.shape(rank + self.rng.randint(0, 1)))
        return self.per_axis(0, 5)

    def _reshaped(self) -> list[int]:
        """Neighbouring axes merged or an axis parted, sometimes with a -1 for one of them."""
        sizes = list(self.x)
        if len(sizes) > 1 and self.rng.random() < 0.6:
            i = self.rng.randrange(len(sizes) - 1)
            sizes[i : i + 2] = [sizes[i] * sizes[i + 1]]
        if self.rng.random() < 0.4:
            sizes.insert(self.rng.randint(0, len(sizes)), 1)
        if 4 in sizes and self.rng.random() < 0.5:
            i = sizes.index(4)
            sizes[i : i + 1] = [2, 2]
        if sizes and self.rng.random() < 0.3:
            sizes[self.rng.randrange(len(sizes))] = -1
        return sizes

    def _int(self, name: str) -> int:
        if name.startswith(("dim", "axis")):
            return self.axis()
        largest = max(self.x, default=0)
        ranges = {"index": (-largest, max(0, largest - 1)), "diagonal": (-2, 2), "offset": (-2, 2), "k": (1, 2),
                  "start": (-largest, largest), "end": (-largest, largest + 1), "length": (0, largest)}  # fmt: skip
        return self.rng.randint(*ranges.get(name, (1, 4)))


# --- tensors and settings that fit each other, by family ----------------------------------------------------------

Builder = Callable[[CallDraw], dict[str, object]]


def _convolution(d: CallDraw) -> dict[str, object]:
    depthwise = "depthwise" in d.name
    n = d.dimensions = (
        int(d.name[-2]) if depthwise else 2 if "2d" in d.name else 3 if "3d" in d.name else d.rng.randint(1, 3)
    )
    transposed = d.name in ("convolution", "convolution_backward") and d.rng.random() < 0.4
    groups, per, made = d.rng.choice((1, 1, 2)), d.rng.randint(0, 3), d.rng.randint(1, 2)
    channels = groups * per
    if depthwise:
        channels, groups, per = 3, 3, 1
    kernel = d.per_axis(1, 3)
    x = d.tensor(d.size(), channels, *d.shape(n))
    weight = d.tensor(channels, made, *kernel) if transposed else d.tensor(groups * made, per, *kernel)
    return {"input": x, "self": x, "weight": weight, "bias": d.maybe(d.tensor(groups * made)), "kernel_size": kernel,
            "stride": d.per_axis(1, 3), "padding": d.per_axis(0, 2), "dilation": d.per_axis(1, 2),
            "transposed": transposed, "output_padding": [0] * n, "groups": groups}  # fmt: skip


def _pool(d: CallDraw) -> dict[str, object]:
    kernel = d.per_axis(1, 4)
    return {"kernel_size": kernel, "stride": d.rng.choice(([], d.per_axis(1, 3))),
            "padding": [d.rng.randint(0, k // 2) for k in kernel], "dilation": d.per_axis(1, 2),
            "output_size": d.per_axis(0, 4), "divisor_override": d.rng.choice((None, 3))}  # fmt: skip


def _fractional(d: CallDraw) -> dict[str, object]:
    batch = (d.size(), d.rng.randint(1, 2))
    x = d.tensor(*batch, *(d.rng.randint(1, 6) for _ in range(d.dimensions)))
    return {"self": x, "kernel_size": d.per_axis(1, 2), "output_size": d.per_axis(1, 3),
            "random_samples": torch.rand(*batch, d.dimensions)}  # fmt: skip


def _unpool(d: CallDraw) -> dict[str, object]:
    return {"self": d.tensor(*d.x), "indices": d.index(*d.x, below=4), "output_size": d.per_axis(1, 6),
            "stride": d.per_axis(1, 3), "padding": d.per_axis(0, 1)}  # fmt: skip


def _norm(d: CallDraw) -> dict[str, object]:
    d.x = d.shape(d.rng.randint(2, 5))
    c = d.x[1]
    vectors = {name: d.maybe(d.tensor(c)) for name in ("weight", "bias")}
    stats = {name: d.tensor(c) for name in ("running_mean", "running_var")}
    return {"input": d.tensor(*d.x), **vectors, **stats, "eps": 1e-5, "epsilon": 1e-5}


def _group_norm(d: CallDraw) -> dict[str, object]:
    groups = d.rng.choice((1, 2))
    n, c, *rest = d.size(), groups * d.size(), *d.shape(d.rng.randint(1, 3))
    return {"input": d.tensor(n, c, *rest), "weight": d.maybe(d.tensor(c)), "bias": d.maybe(d.tensor(c)), "N": n,
            "C": c, "HxW": prod(rest), "group": groups, "eps": 1e-5}  # fmt: skip


def _layer_norm(d: CallDraw) -> dict[str, object]:
    d.x = d.shape(d.rng.randint(1, 4))
    last = d.x[-d.rng.randint(1, len(d.x)) :]
    return {"input": d.tensor(*d.x), "normalized_shape": list(last), "weight": d.maybe(d.tensor(*last)),
            "bias": d.maybe(d.tensor(*last)), "eps": 1e-5}  # fmt: skip


def _weight_norm(d: CallDraw) -> dict[str, object]:
    d.x, dim = d.shape(3), d.rng.choice((0, 2))
    g = [1, 1, 1]
    g[dim] = d.x[dim]
    return {"v": d.tensor(*d.x), "g": d.tensor(*g), "dim": dim}


def _products(d: CallDraw) -> dict[str, object]:
    b, n, k, m = d.size(), d.size(), d.size(), d.size()
    if d.name in ("bmm", "baddbmm"):
        left, right, out = (b, n, k), (b, k, m), (b, n, m)
    else:
        left, right, out = (n, k), (k, m), (n, m)
    first, second = d.tensor(*left), d.tensor(*right)
    added = d.tensor(*out[d.rng.choice((0, len(out) - 1)) :])
    if d.name in ("mm", "bmm"):
        return {"self": first, "mat2": second}
    return {"self": added, "mat1": first, "mat2": second, "batch1": first, "batch2": second}


def _linear(d: CallDraw) -> dict[str, object]:
    k, m = d.size(), d.size()
    x = d.tensor(*d.shape(d.rng.randint(0, 3)), k)
    return {"input": x, "weight": d.tensor(m, k), "bias": d.maybe(d.tensor(m))}


def _vectors(d: CallDraw) -> dict[str, object]:
    n, k = d.size(), d.size()
    if d.name in ("dot", "vdot"):
        return {"self": d.tensor(k), "tensor": d.tensor(k), "other": d.tensor(k)}
    added = {"self": d.tensor(d.rng.choice((n, 1))), "mat": d.tensor(n, k)}
    return {**(added if d.name == "addmv" else {"self": d.tensor(n, k)}), "vec": d.tensor(k)}


def _trilinear(d: CallDraw) -> dict[str, object]:
    n, i, o, j = d.size(), d.size(), d.size(), d.size()
    return {"i1": d.tensor(n, i), "i2": d.tensor(o, i, j), "i3": d.tensor(n, j), "expand1": [1, 3], "expand2": [0],
            "expand3": [1, 2], "sumdim": [2, 3], "unroll_dim": 1}  # fmt: skip


def _attention(d: CallDraw) -> dict[str, object]:
    batch, rows, columns, e, v = d.shape(2), d.size(), d.size(), d.rng.randint(1, 3), d.rng.randint(0, 3)
    mask = d.maybe(d.tensor(rows, columns))
    return {"query": d.tensor(*batch, rows, e), "key": d.tensor(*batch, columns, e),
            "value": d.tensor(*batch, columns, v if d.name == "scaled_dot_product_attention" else e),
            "attn_mask": mask, "attn_bias": mask, "dropout_p": 0.0, "is_causal": mask is None and d.rng.random() < 0.5,
            "scale": None, "enable_gqa": False}  # fmt: skip


def _resize(d: CallDraw) -> dict[str, object]:
    x = d.tensor(*d.shape(2), *(d.rng.randint(1, 5) for _ in range(d.dimensions)))
    scales = dict.fromkeys(("scales", "scales_d", "scales_h", "scales_w"))
    if d.rng.random() < 0.5:
        return {"self": x, "input": x, "output_size": d.per_axis(1, 6), "scale_factors": None, **scales}
    factors = [d.rng.choice((0.5, 1.0, 1.7, 2.0)) for _ in range(d.dimensions)]
    sizes = [int(n * f) for n, f in zip(x.shape[2:], factors, strict=True)]
    names = ("scales",) if d.dimensions == 1 else ("scales_d", "scales_h", "scales_w")[-d.dimensions :]
    listed = d.overload == "vec"
    scales |= dict(zip(names, factors, strict=True))
    return {"self": x, "input": x, "output_size": None if listed else sizes,
            "scale_factors": factors if listed else None, **scales}  # fmt: skip


def _grid_sample(d: CallDraw) -> dict[str, object]:
    d.dimensions = 3 if "3d" in d.name else 2
    n = d.size()
    x = d.tensor(n, d.size(), *(d.rng.randint(1, 4) for _ in range(d.dimensions)))
    grid = d.tensor(n, *d.shape(d.dimensions), d.dimensions) - 1
    return {"input": x, "grid": grid, "interpolation_mode": d.rng.randint(0, 1), "padding_mode": d.rng.randint(0, 2)}


def _index(d: CallDraw) -> dict[str, object]:
    indices: list[object] = []
    shape = d.shape(d.rng.randint(0, 2))
    for size in d.x[: d.rng.randint(0, len(d.x))]:
        draw = d.rng.random()
        if draw < 0.3 and "hacked" not in d.name:
            indices.append(None)
        elif draw < 0.6 and not d.name.startswith("unsafe"):
            indices.append(d.tensor(size) > d.rng.choice((0.0, 1.0, 2.0)))
        else:
            indices.append(d.index(*shape, below=size))
    return {"self": d.tensor(*d.x), "indices": indices, "values": d.tensor(1), "unsafe": False}


def _along(d: CallDraw) -> dict[str, object]:
    dim = d.axis()
    sizes = list(d.x)
    picked = d.size()
    below = sizes[dim] if sizes else 1
    if sizes:
        sizes[dim] = picked
    one_by_one = d.name in ("index_select", "index_add", "index_copy", "index_fill", "index_reduce")
    index = d.index(picked, below=below) if one_by_one else d.index(*sizes, below=below)
    source = d.tensor(*(sizes if one_by_one else [n + d.rng.randint(0, 1) for n in sizes]))
    return {"self": d.tensor(*d.x), "dim": dim, "index": index, "indices": index, "src": source, "source": source,
            "value": d.tensor() if d.overload == "int_Tensor" else 0.5,
            "reduce": d.rng.choice(("amax", "sum", "add", "multiply"))}  # fmt: skip


def _embedding(d: CallDraw) -> dict[str, object]:
    rows = d.rng.randint(1, 4)
    return {"weight": d.tensor(rows, d.size()), "indices": d.index(*d.shape(d.rng.randint(0, 2)), below=rows),
            "padding_idx": -1, "sparse": False, "scale_grad_by_freq": False}  # fmt: skip


def _concat(d: CallDraw) -> dict[str, object]:
    dim = d.axis()
    shapes = [list(d.x) for _ in range(d.rng.randint(1, 3))]
    for shape in shapes if d.name == "cat" else ():
        if shape:
            shape[dim] = d.size()
    tensors = [d.tensor(*shape) for shape in shapes]
    if d.name == "cat" and d.rng.random() < 0.2:
        tensors.append(d.tensor(0))
    return {"tensors": tensors, "dim": dim}


def _split(d: CallDraw) -> dict[str, object]:
    dim = d.axis()
    size = d.x[dim] if d.x else 0
    cut = sorted(d.rng.randint(0, size) for _ in range(d.rng.randint(0, 2)))
    sizes = [b - a for a, b in zip([0, *cut], [*cut, size], strict=True)]
    many = d.rng.randint(1, 3)
    listed = d.name.startswith(("split_with_sizes", "unsafe_split_with_sizes"))
    return {"dim": dim, "split_sizes": sizes, "split_size": sizes if listed else many, "chunks": many, "sections": many,
            "indices": cut}  # fmt: skip


def _written(d: CallDraw) -> dict[str, object]:
    """Parts written back: the part has the shape of the view that it overwrites."""
    d.x = d.shape(d.rng.randint(1, 4))
    x = d.tensor(*d.x)
    if d.name == "slice_scatter":
        dim, start, end, step = d.axis(), d.rng.choice((None, 1, -2)), d.rng.choice((None, 3, -1)), d.rng.randint(1, 2)
        part = torch.ops.aten.slice(x, dim, start, end, step)
        return {"self": x, "src": torch.rand_like(part), "dim": dim, "start": start, "end": end, "step": step}
    if d.name == "select_scatter":
        x = d.tensor(*(n or 1 for n in d.x))
        dim = d.axis()
        index = d.rng.randrange(-x.shape[dim], x.shape[dim])
        part = x.select(dim, index)
        return {"self": x, "src": torch.rand_like(part), "dim": dim, "index": index}
    d.x = d.shape(d.rng.randint(2, 4))
    x = d.tensor(*d.x)
    offset, (first, second) = d.rng.randint(-2, 2), d.rng.sample(range(max(2, len(d.x))), 2)
    part = x.diagonal(offset, first, second)
    return {"self": x, "src": torch.rand_like(part), "offset": offset, "dim1": first, "dim2": second}


def _strided(d: CallDraw) -> dict[str, object]:
    size = d.shape(d.rng.randint(0, 3))
    stride = [d.rng.randint(0, 2) for _ in size]
    offset = d.rng.choice((None, 0, 1))
    needed = sum(max(0, n - 1) * s for n, s in zip(size, stride, strict=True)) + (offset or 0) + 1
    return {"self": d.tensor(needed), "src": d.tensor(*size), "size": list(size), "stride": stride,
            "storage_offset": offset}  # fmt: skip


def _columns(d: CallDraw) -> dict[str, object]:
    kernel, dilation, padding, stride = d.per_axis(1, 3), d.per_axis(1, 2), d.per_axis(0, 1), d.per_axis(1, 2)
    sizes = [d.rng.randint(1, 6) for _ in range(2)]
    places = [
        (n + 2 * p - dl * (k - 1) - 1) // s + 1
        for n, k, dl, p, s in zip(sizes, kernel, dilation, padding, stride, strict=True)
    ]
    batch, channels = d.maybe(d.size()), d.rng.randint(1, 2)
    lead = () if batch is None else (batch,)
    columns = (*lead, channels * prod(kernel), max(0, prod(places))) if min(places) > 0 else (*lead, channels, 1)
    x = d.tensor(*columns) if d.name == "col2im" else d.tensor(*lead, d.size(), *sizes)
    return {"self": x, "output_size": sizes, "kernel_size": kernel, "dilation": dilation, "padding": padding,
            "stride": stride}  # fmt: skip


def _shuffle(d: CallDraw) -> dict[str, object]:
    r = d.rng.randint(1, 2)
    if d.name == "pixel_unshuffle":
        x = d.tensor(*d.shape(2), r * d.size(), r * d.size())
    else:
        x = d.tensor(d.size(), r * r * d.size(), *d.shape(2))
    return {"self": x, "upscale_factor": r, "downscale_factor": r, "groups": r}


def _roll(d: CallDraw) -> dict[str, object]:
    dims = d.rng.sample(range(len(d.x)), d.rng.randint(0, len(d.x)))
    return {"shifts": [d.rng.randint(-3, 3) for _ in dims or [0]], "dims": dims}


def _fourier(d: CallDraw) -> dict[str, object]:
    d.x = tuple(max(1, n) for n in d.shape(d.rng.randint(1, 3)))
    real = d.tensor(*d.x)
    return {"self": real if d.name == "fft_r2c" else real + 0j, "dim": d.rng.sample(range(len(d.x)), 1),
            "normalization": 0, "last_dim_size": max(1, 2 * (d.x[-1] - 1))}  # fmt: skip


def _window_views(d: CallDraw) -> dict[str, object]:
    size = d.rng.randint(0, max(d.x, default=1))
    return {"size": size, "step": d.rng.randint(1, 2)}


def _window_gradients(d: CallDraw) -> dict[str, object]:
    d.x = d.x or (2,)
    axis, size, step = d.axis(), d.rng.randint(1, 3), d.rng.randint(1, 2)
    shape = [n + size for n in d.x]
    windows = torch.empty(shape, device="meta").unfold(axis, size, step)
    return {"grad_in": d.tensor(*windows.shape), "input_sizes": shape, "dim": axis, "size": size, "step": step}


def _points(d: CallDraw) -> dict[str, object]:
    return {"self": d.tensor(d.size(), d.size())}  # of other ranks torch's kernel ends the process


def _time_first(d: CallDraw) -> dict[str, object]:
    kernel, made, pad = d.rng.randint(1, 3), d.size(), d.rng.randint(0, 1)
    x = d.tensor(d.size() + kernel, d.size(), d.size())
    return {"self": x, "weight": d.tensor(kernel, x.shape[2], made), "bias": d.tensor(made), "pad": pad}


def _alignment(d: CallDraw) -> dict[str, object]:
    steps, samples, classes, length = d.rng.randint(3, 5), d.size(), d.rng.randint(2, 4), d.rng.randint(0, 2)
    lengths = [[n] * samples for n in (steps, length)]
    given = [torch.tensor(n) for n in lengths] if d.overload == "Tensor" else lengths
    return {"log_probs": d.tensor(steps, samples, classes), "targets": d.index(samples, length, below=classes),
            "input_lengths": given[0], "target_lengths": given[1], "blank": 0, "zero_infinity": False}  # fmt: skip


def _two_axes(d: CallDraw) -> dict[str, object]:
    first, second = d.rng.sample(range(max(2, len(d.x))), 2)
    return {"dim1": first, "dim2": second, "dims": [first, second], "k": d.rng.randint(-1, 4)}


def _complex(d: CallDraw) -> dict[str, object]:
    return {"self": d.tensor(*d.x) + 0j if d.name == "view_as_real" else d.tensor(*d.x, 2)}


def _ranked(d: CallDraw) -> dict[str, object]:
    size = d.x[-1] if d.x else 1
    return {"k": d.rng.randint(0, size), "dim": -1}


def _prelu(d: CallDraw) -> dict[str, object]:
    return {"self": d.tensor(*d.x), "weight": d.tensor(*(1 if i != 1 else n for i, n in enumerate(d.x)))}


def _noise(d: CallDraw) -> dict[str, object]:
    return {"self": d.tensor(*d.x), "noise": d.tensor(*d.x), "lower": 0.1, "upper": 0.3}


def _repeats(d: CallDraw) -> dict[str, object]:
    d.x = d.x or (2,)
    repeats = d.index(d.x[0], below=3)
    return {"repeats": d.rng.randint(0, 3) if d.overload == "self_int" else repeats, "dim": 0, "output_size": None}


def _softmax(d: CallDraw) -> dict[str, object]:
    return {"other": d.tensor(*d.x), "dim": d.axis(), "half_to_float": False}


def _gradients(d: CallDraw) -> dict[str, object]:
    """The gradient has the shape of the convolution's output."""
    plain = ("input", "weight", "stride", "padding", "dilation", "transposed", "output_padding", "groups")
    while True:
        made = _convolution(d)
        try:
            out = torch.ops.aten.convolution(bias=None, **{name: made[name] for name in plain})
            break
        except RuntimeError:
            pass  # a kernel that does not fit
    mask = [d.rng.random() < 0.7 for _ in range(3)]
    return {**made, "grad_output": torch.rand_like(out), "bias_sizes": list(out.shape[1:2]), "output_mask": mask}


_BUILDERS: dict[str, Builder] = {
    "convolution_backward": _gradients,
    "conv_depthwise2d": _convolution, "conv_depthwise3d": _convolution, "slow_conv2d_forward": _convolution,
    "thnn_conv2d": _convolution, "slow_conv3d_forward": _convolution, "mkldnn_convolution": _convolution,
    "native_group_norm": _group_norm, "native_layer_norm": _layer_norm, "fused_rms_norm": _layer_norm,
    "weight_norm_interface": _weight_norm, "cudnn_batch_norm": _norm, "miopen_batch_norm": _norm,
    **dict.fromkeys(("mm", "bmm", "addmm", "baddbmm"), _products), "linear": _linear,
    **dict.fromkeys(("dot", "vdot", "mv", "addmv"), _vectors), "trilinear": _trilinear,
    "index": _index, "unsafe_index": _index, "index_put": _index, "index_put_impl": _index,
    **dict.fromkeys(("index_select", "index_add", "index_copy", "index_fill", "index_reduce", "gather",
                     "take_along_dim"), _along),
    "embedding": _embedding, "cat": _concat, "stack": _concat,
    **dict.fromkeys(("unbind", "chunk", "tensor_split"), _split),
    **dict.fromkeys(("slice_scatter", "select_scatter", "diagonal_scatter"), _written),
    "as_strided": _strided, "as_strided_scatter": _strided, "im2col": _columns, "col2im": _columns,
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle"), _shuffle),
    "unfold_backward": _window_gradients, "conv_tbc": _time_first, "pdist_forward": _points, "ctc_loss": _alignment,
    "roll": _roll, "unfold": _window_views, "diagonal": _two_axes, "rot90": _two_axes, "view_as_real": _complex,
    "view_as_complex": _complex, "topk": _ranked, "prelu_kernel": _prelu,
    "rrelu_with_noise": _noise, "repeat_interleave": _repeats,
    **dict.fromkeys(("softmax", "log_softmax", "safe_softmax"), _softmax),
}  # fmt: skip
_PREFIXES: dict[str, Builder] = {
    "convolution": _convolution, "native_batch_norm": _norm, "batch_norm": _norm, "scaled_dot": _attention,
    "fractional": _fractional, "max_unpool": _unpool, "max_pool": _pool, "avg_pool": _pool, "adaptive": _pool,
    "mkldnn_max_pool": _pool, "upsample": _resize, "grid_sampler": _grid_sample, "scatter": _along, "split": _split,
    "unsafe_split": _split, "unsafe_chunk": _split, "fft": _fourier,
}  # fmt: skip
