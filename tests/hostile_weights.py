"""Weights files that attack whoever reads them: code, endless structures, sizes that are not there, torn archives."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from convscope.nets.weights.fit import Fit, fit_weights
from convscope.nets.weights.match import match_weights
from convscope.nets.weights.read import read_weights

PROTO = b"\x80\x02"
TENSOR = torch.ones(3)


class Called:
    """An object whose pickle calls a function with an argument."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def saved(value: object, *, older: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=not older)
    return stream.getvalue()


def archive(records: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, record in records.items():
            file.writestr(name, record)
    return stream.getvalue()


def zipped(body: bytes, storage: bytes = bytes(12)) -> bytes:
    """An archive whose data.pkl has this body after its protocol, with one storage of 12 bytes."""
    return archive({"a/data.pkl": PROTO + body + b".", "a/data/0": storage, "a/version": b"3\n"})


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def whole(number: int) -> bytes:
    return pickle.dumps(number, 2)[2:-1]


def storage(count: int, kind: str = "FloatStorage") -> bytes:
    return b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text("0") + text("cpu") + whole(count) + b"tQ"


def tensor(count: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    sizes = b"".join(b"(" + b"".join(map(whole, axes)) + b"t" for axes in (shape, strides))
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n("
    return rebuild + storage(count) + whole(offset) + sizes + b"\x89}tR"


def table(value: bytes) -> bytes:
    return b"}" + text("weight") + value + b"s"


def safetensors(header: object, numbers: bytes = b"", *, length: int | None = None) -> bytes:
    written = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(written) if length is None else length) + written + numbers


def entry(begin: int, end: int, *, shape: tuple[int, ...] = (1,), dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def with_code(canary: str) -> Iterator[tuple[str, bytes]]:
    """Files that would make the folder `canary` if anything in them were run."""
    import os
    import subprocess

    make = Called(os.mkdir, canary)
    source = f"__import__('os').mkdir({canary!r})"
    yield "a call in a table", saved({"state_dict": make})
    yield "a call beside weights", saved({"weight": TENSOR, "extra": make})
    yield "a call as a key", saved({"weight": TENSOR, "extra": {"a": [make]}})
    yield "a call in an older file", saved({"weight": TENSOR, "extra": make}, older=True)
    yield "eval", saved({"weight": TENSOR, "extra": Called(eval, source)})
    yield "exec", saved({"weight": TENSOR, "extra": Called(exec, source)})
    yield "a process", saved({"weight": TENSOR, "extra": Called(subprocess.check_output, ["mkdir", canary])})
    yield "getattr", saved({"weight": TENSOR, "extra": Called(getattr, TENSOR, "numpy")})
    for protocol in range(6):
        yield f"a plain pickle of protocol {protocol}", pickle.dumps({"weight": make}, protocol)
    inner = Called(torch.storage._load_from_bytes, pickle.dumps(make))
    yield "a pickle within a pickle", saved({"weight": TENSOR, "extra": inner})
    yield "the magic number's place", pickle.dumps(make, 2) + saved({"weight": TENSOR}, older=True)
    mkdir, argument = b"cposix\nmkdir\n", text(canary)
    from_type = b"ctorch._tensor\n_rebuild_from_type_v2\n("
    yield "a function for a type", zipped(table(from_type + mkdir + b"N(" + argument + b"t}tR"))
    yield "INST", zipped(table(b"(" + argument + b"iposix\nmkdir\n"))
    yield "OBJ", zipped(table(b"(" + mkdir + argument + b"o"))
    yield "NEWOBJ", zipped(table(mkdir + b"(" + argument + b"t\x81"))
    yield "STACK_GLOBAL", zipped(table(text("posix") + text("mkdir") + b"\x93(" + argument + b"tR"))
    yield "a reconstructor", zipped(table(b"ccopyreg\n_reconstructor\n(" + mkdir + b"cbuiltins\nobject\nNtR"))
    yield "__setstate__", zipped(table(b"cbuiltins\nobject\n)\x81}" + text("__setstate__") + mkdir + b"sb"))
    yield (
        "a parameter of a call",
        zipped(table(b"ctorch._utils\n_rebuild_parameter\n(" + mkdir + b"(" + argument + b"tR\x88}tR")),
    )
    yield "an extension", zipped(table(b"\x82\x01"))
    yield "a persistent name", zipped(table(b"Pposix.mkdir\n"))
    yield "a module's source", zipped(table(b"(" + text("module") + mkdir + text(source) + text(source) + b"tQ"))
    yield (
        "a TorchScript program",
        archive(
            {"a/data.pkl": PROTO + b"}.", "a/constants.pkl": PROTO + b").", "a/code/__torch__.py": source.encode()}
        ),
    )


def without_end_or_measure() -> Iterator[tuple[str, bytes]]:
    """Files that hang a reader, take its memory, or make it read what is not theirs."""
    loop = b"}q\x00" + text("state_dict") + b"h\x00s"
    yield "a table that holds itself", zipped(loop)
    yield "an older table that holds itself", _older(loop)
    deep = b"}" + text("a") + b"}" + text("a")
    yield "tables too deep", zipped(deep * 20_000 + b"}" + b"s" * 40_000)
    both = (b"h%c" % n for n in range(60))
    twice = b"".join(b"}q%c" % (n + 1) + text("a") + it + b"s" + text("b") + it + b"s" for n, it in enumerate(both))
    yield "2^60 ways to one table", zipped(b"}q\x00" + twice)
    yield "a place in the memo of 2^31", PROTO + b"}r\xff\xff\xff\x7f."
    yield "bytes that are not there", PROTO + b"\x8e" + struct.pack("<Q", 2**40) + b"."
    yield "text that is not there", PROTO + b"\x8d" + struct.pack("<Q", 2**62) + b"."
    yield "a bytearray of 2 GB", PROTO + b"cbuiltins\nbytearray\n(J\x00\x00\x00\x7ftR."
    yield "an older storage of 8 GB", _older(table(tensor(2**31, 0, (1,), (1,))))
    yield "a storage of 8 GB", zipped(table(tensor(2**31, 0, (1,), (1,))))
    yield "a view of 8 GB", zipped(table(tensor(3, 0, (2**31,), (0,))))
    yield "a view beyond its storage", zipped(table(tensor(3, 2, (2,), (1,))))
    yield "strides beyond the storage", zipped(table(tensor(3, 0, (2, 2), (2**40, 1))))
    yield "a negative stride", zipped(table(tensor(3, 0, (3,), (-1,))))
    yield "a negative offset", zipped(table(tensor(3, -1, (3,), (1,))))
    yield "a size of 4,000 bits", zipped(table(tensor(3, 0, (2**2000, 2**2000), (1, 1))))
    yield "a negative storage", zipped(table(tensor(-3, 0, (3,), (1,))))
    yield "a tuple of itself as a key", zipped(b")" + b"2\x86" * 50 + b"}")
    yield "too few values for a step", zipped(b"sss")
    yield "no stop", archive({"a/data.pkl": PROTO + b"}"})
    sparse = saved({"weight": torch.eye(3).to_sparse()})
    yield "a sparse tensor", sparse
    yield "a deflated record", archive({"a/data.pkl": PROTO + table(tensor(10**6, 0, (10**6,), (1,))) + b".",
                                        "a/data/0": bytes(4 * 10**6)}, zipfile.ZIP_DEFLATED)  # fmt: skip
    good = saved({"weight": torch.arange(300.0)})
    yield "a flipped number", good.replace(struct.pack("<f", 7), struct.pack("<f", 8))
    yield "a torn archive", good[: len(good) // 2]
    yield "an end that points elsewhere", good.replace(b"PK\x06\x06", b"PK\x06\x07")
    yield "two values", archive({"a/data.pkl": PROTO + b"}.", "data.pkl": PROTO + b"}."})
    yield "the other order of bytes", archive({"a/data.pkl": PROTO + b"}.", "a/byteorder": b"big"})
    yield "a million tensors", safetensors({f"t{n}": entry(0, 0, shape=(0,)) for n in range(110_000)})
    yield "a header of 2^32", safetensors({"a": entry(0, 4)}, bytes(4), length=2**32 - 1)
    yield "a header longer than its file", safetensors({"a": entry(0, 4)}, bytes(4), length=4096)
    yield "overlapping tensors", safetensors({"a": entry(0, 4), "b": entry(0, 4)}, bytes(4))
    yield "a gap", safetensors({"a": entry(0, 4), "b": entry(8, 12)}, bytes(12))
    yield "too many bytes", safetensors({"a": entry(0, 4)}, bytes(8))
    yield "a place beyond the file", safetensors({"a": entry(0, 4000, shape=(1000,))}, bytes(4))
    yield "a negative place", safetensors({"a": entry(-4, 0)}, bytes(4))
    yield "a shape that is not its bytes'", safetensors({"a": entry(0, 4, shape=(2**40,))}, bytes(4))
    yield "a negative shape", safetensors({"a": entry(0, 4, shape=(-1, -1))}, bytes(4))
    yield "an unknown type", safetensors({"a": entry(0, 4, dtype="Q4")}, bytes(4))
    yield "a name twice", safetensors(b'{"a":1,"a":2}')
    yield "JSON too deep", safetensors(b'{"a":' + b"[" * 100_000)
    yield "a number of 10,000 digits", safetensors(b'{"a":{"dtype":"F32","shape":[' + b"9" * 10_000 + b"]}}")
    yield "metadata that is no text", safetensors({"__metadata__": {"a": 1}, "a": entry(0, 4)}, bytes(4))


def _older(body: bytes) -> bytes:
    """A file of torch before 1.6 with this body as its value and no storage."""
    magic = saved({}, older=True)
    start = magic[: magic.rindex(PROTO + b"}q\x00.")] if magic.count(PROTO + b"}q\x00.") else magic
    return start + PROTO + body + b"." + PROTO + b"]q\x00."


def load_weights_file(network: nn.Module, path: str | Path) -> Fit:
    """Read a file and put its weights into a network, as a training does that starts from it."""
    matched = match_weights(read_weights(path), network.state_dict())
    return fit_weights(network, matched.weights, where=str(path))
