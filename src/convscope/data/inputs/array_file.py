"""Read a `.npy` file, or an array of a `.npz`. Nothing in it is unpickled.

Source: NumPy's format, numpy.org/doc/stable/reference/generated/numpy.lib.format.html. The header is checked against
the bytes that follow before any memory is taken for them.
"""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from math import prod

import numpy as np

from convscope.arrays import Array
from convscope.errors import DataError
from convscope.report.file_kinds import kind_by_start

BYTE_LIMIT = 256 * 2**20  # of the numbers, unpacked
_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"
_VERSIONS = ((1, 0), (2, 0), (3, 0))  # of the format: the header's length has 2 bytes in the first, and 4 from then on
_SAVE = "save the input alone: numpy.save('input.npy', tensor.numpy())"


def is_array_file(data: bytes) -> bool:
    """Return whether a file's bytes begin as a `.npy` file or a zip archive does."""
    return data.startswith((_NPY, _ZIP))


def read_array(data: bytes, *, name: str = "") -> Array:
    """Return the numbers in the bytes of a `.npy` file, or of a `.npz` that holds one array.

    Args:
        data: the file's bytes.
        name: which array of a `.npz` to read, of several.

    Raises:
        DataError: it is neither, is damaged, is too large, or holds no numbers; the message has no path.

    >>> file = io.BytesIO()
    >>> np.save(file, np.arange(6, dtype=np.int16).reshape(2, 3))
    >>> read_array(file.getvalue()).shape
    (2, 3)
    """
    if data.startswith(_ZIP):
        data = _member(data, name)
    if not data.startswith(_NPY):
        raise DataError(f"not an array file (.npy, .npz) but {kind_by_start(data) or 'of a format that is not known'}")
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _VERSIONS:
            raise DataError(f"an array file of version {version[0]}.{version[1]}, which is not known (1.0 to 3.0 are)")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = read(stream)
    except (
        ValueError,
        TypeError,
        SyntaxError,
        RecursionError,
        MemoryError,
        OverflowError,
        tokenize.TokenError,
    ):
        raise DataError("an array file whose header is damaged") from None
    if dtype.hasobject:
        raise DataError("an array of Python objects, which is a pickle and is not loaded: save numbers")
    if dtype.kind not in "fiu":
        raise DataError(f"an array of {dtype}: save it as numbers, such as float32")
    start, needed = stream.tell(), prod(shape) * dtype.itemsize
    if any(size < 0 for size in shape) or needed > BYTE_LIMIT:
        raise DataError(f"an array of {_sizes(shape)}: the limit is {BYTE_LIMIT // 2**20} MiB")
    if not needed:
        raise DataError(f"an array of {_sizes(shape)}: it holds no numbers")
    held = len(data) - start
    if held != needed:
        raise DataError(f"an array of {_sizes(shape)} {dtype} has {needed:,} bytes, not {held:,}: the file is damaged")
    numbers = np.frombuffer(data, dtype, offset=start).reshape(shape, order="F" if by_columns else "C")
    require_finite(numbers)
    return numbers.astype(dtype.newbyteorder("="))


def require_finite(numbers: Array) -> None:
    """Raise DataError where a number is NaN or infinite; the message has how many, and the first place."""
    if numbers.dtype.kind == "f":
        wrong = ~np.isfinite(numbers)
        if wrong.any():
            place = ", ".join(str(int(i)) for i in np.argwhere(wrong)[0])
            count = int(wrong.sum())
            verb = "is" if count == 1 else "are"
            raise DataError(f"{count:,} of its numbers {verb} not finite, the first at ({place})")


def _member(data: bytes, name: str) -> bytes:
    """Unpack the array of a name from a `.npz`, or its only one, within the limit."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if any(name.endswith("data.pkl") for name in names):
                raise DataError(f"a PyTorch file (.pt), which is a pickle and is not loaded: {_SAVE}")
            arrays = [member for member in members if member.filename.endswith(".npy")]
            if not arrays or len(arrays) < len(members):
                raise DataError(f"a zip archive that is no array file (.npz): it holds {_listed(names)}")
            arrays = [member for member in arrays if member.filename == f"{name}.npy"] if name else arrays
            if not arrays:
                raise DataError(f"no array {name!r}, but {_listed(names)}")
            if len(arrays) > 1:
                raise DataError(f"{len(arrays)} arrays, {_listed(names)}: {_SAVE}")
            if arrays[0].file_size > BYTE_LIMIT + 2**16:
                raise DataError(
                    f"an array of {arrays[0].file_size / 2**20:,.0f} MiB: the limit is {BYTE_LIMIT // 2**20}"
                )
            if arrays[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError("an array packed in a way that NumPy does not write: save it with numpy.savez")
            return archive.read(arrays[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise DataError(f"a zip archive that is damaged or encrypted: {error!s}") from None


def _listed(names: list[str]) -> str:
    shown = ", ".join(name.removesuffix(".npy") for name in names[:4])
    return (shown or "nothing") + (", ..." if len(names) > 4 else "")


def _sizes(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"
