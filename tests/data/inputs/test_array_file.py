"""Array files: any numbers come back as they were saved, nothing is unpickled, and no header decides over memory."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from convscope.data.inputs.array_file import read_array
from convscope.errors import DataError


def saved(array: np.ndarray, *, compressed: bool | None = None) -> bytes:
    file = io.BytesIO()
    if compressed is None:
        np.save(file, array, allow_pickle=True)
    else:
        (np.savez_compressed if compressed else np.savez)(file, only=array)
    return file.getvalue()


NUMBERS = arrays.arrays(
    dtype=st.sampled_from(["<f4", ">f8", "<f2", "|u1", ">i2", "<i8"]),
    shape=arrays.array_shapes(max_dims=5, max_side=4),
    elements=st.integers(0, 100),
)


@settings(max_examples=60, deadline=None)
@given(array=NUMBERS, by_columns=st.booleans(), compressed=st.sampled_from([None, False, True]))
def test_numbers_come_back(array: np.ndarray, by_columns: bool, compressed: bool | None) -> None:
    array = np.asfortranarray(array) if by_columns else array
    found = read_array(saved(array, compressed=compressed))
    assert found.shape == array.shape and found.dtype.isnative and np.array_equal(found, array)
    assert found.dtype.name == array.dtype.name


class Canary:
    """An object that writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)


def claimed(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(12)


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name, data in members.items():
            written.writestr(zipfile.ZipInfo(name), data)  # of one date: a test is named by its bytes
    return file.getvalue()


def torch_file() -> bytes:
    file = io.BytesIO()
    torch.save(torch.zeros(3), file)
    return file.getvalue()


ONE = saved(np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an array file (.npy, .npz) but empty"),
        (b"1,2,3", "not an array file (.npy, .npz) but text"),
        (ONE[:-1], "an array of 2×3 float32 has 24 bytes, not 23: the file is damaged"),
        (ONE + b"!", "not 25: the file is damaged"),
        (claimed("(1000000, 1000000)"), "an array of 1000000×1000000: the limit is 256 MiB"),
        (claimed("(-3, -1)"), "the limit is 256 MiB"),
        (claimed("3"), "header is damaged"),
        (claimed("(" * 300), "header is damaged"),
        (ONE[:6] + bytes([9, 1]) + ONE[8:], "an array file of version 9.1, which is not known"),
        (saved(np.array([np.inf, 1])), "1 of its numbers is not finite, the first at (0)"),
        (saved(np.zeros((0, 4))), "it holds no numbers"),
        (saved(np.array(["a"])), "an array of <U1: save it as numbers"),
        (saved(np.array([True])), "an array of bool: save it as numbers"),
        (saved(np.array([1j])), "an array of complex128: save it as numbers"),
        (saved(np.array([[1.0, np.nan], [np.inf, 0]])), "2 of its numbers are not finite, the first at (0, 1)"),
        (torch_file(), "a PyTorch file (.pt), which is a pickle and is not loaded"),
        (archive(readme=b"text"), "a zip archive that is no array file (.npz): it holds readme"),
        (archive(**{"a.npy": ONE, "b.npy": ONE}), "2 arrays, a, b: save the input alone"),
        (archive(**{"a.npy": ONE})[:60], "damaged or encrypted"),
    ],
)
def test_what_holds_no_one_array_is_named(data: bytes, words: str) -> None:
    with pytest.raises(DataError) as caught:
        read_array(data)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_an_array_of_several_is_read_by_its_name() -> None:
    several = archive(**{"a.npy": ONE, "b.npy": saved(np.arange(3))})
    assert read_array(several, name="b").tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="no array 'c', but a, b"):
        read_array(several, name="c")


@pytest.mark.parametrize("shape", ["(2 * 3,)", "(2, len)", "3"])
def test_a_damaged_header_is_named_without_its_syntax_tree(shape: str) -> None:
    with pytest.raises(DataError) as caught:
        read_array(claimed(shape))
    assert str(caught.value) == "an array file whose header is damaged"


def test_no_object_is_unpickled(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    objects = np.array([Canary(canary)], dtype=object)
    for data in (saved(objects), saved(objects, compressed=True), pickle.dumps(Canary(canary))):
        with pytest.raises(DataError):
            read_array(data)
    assert not canary.exists()


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 400), byte=st.integers(0, 255), packed=st.booleans())
def test_a_changed_file_is_read_or_refused(place: int, byte: int, packed: bool) -> None:
    data = bytearray(saved(np.ones((2, 3), np.float32), compressed=True if packed else None))
    data[place % len(data)] = byte
    try:
        found = read_array(bytes(data))
    except DataError:
        return
    assert np.isfinite(found).all()
