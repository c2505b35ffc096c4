"""Read `.pth` files: torch's zip archives since 1.6, and the older files of one pickle after another."""

from __future__ import annotations

from typing import Any

from convscope.errors import CaptureError
from convscope.nets.weights.described import Storage
from convscope.nets.weights.pickled import read_pickle
from convscope.nets.weights.zip_records import zip_records

_MAGIC = 0x1950A86A20F9469CFC6C
_COUNT = 8  # bytes before each storage of an older file: its elements


def read_archive(content: memoryview) -> Any:
    """Return the content of a zip archive of torch: dictionaries, lists, and `Stored` tensors that are not copied yet.

    Raises:
        CaptureError: it is damaged, a TorchScript program, or holds what `read_pickle` refuses.
    """
    records = zip_records(content)
    pickles = [name for name in records if name.endswith("data.pkl") and name.count("/") <= 1]
    if len(pickles) != 1:
        raise CaptureError("it is a zip archive, but not one that torch.save writes")
    folder = pickles[0].removesuffix("data.pkl")
    if bytes(records.get(folder + "byteorder", b"little")) != b"little":
        raise CaptureError("its numbers have the most significant byte first: save it again on another machine")

    def find(storage: Storage) -> memoryview:
        record = records.get(f"{folder}data/{storage.key}")
        if record is None or len(record) != storage.count * storage.dtype.itemsize:
            raise CaptureError(f"its record data/{storage.key[:20]} does not have {storage.count:,} numbers")
        return record

    return read_pickle(records[pickles[0]], find)[0]


def read_older(content: memoryview) -> Any:
    """Return the content of a file of torch before 1.6, as `read_archive` does.

    Such a file is four pickles (a magic number, a version, facts of the machine, the value), a fifth that lists the
    storages, and the storages. It has no checksums.

    Raises:
        CaptureError: it is not of that form, is damaged, or holds what `read_pickle` refuses.
    """
    magic, position = read_pickle(content)
    if magic != _MAGIC:
        raise CaptureError("it is a pickle, but not one that torch.save writes: save network.state_dict() with it")
    for _ in ("version", "machine"):
        _, size = read_pickle(content[position:])
        position += size
    storages: dict[str, Storage] = {}

    def note(storage: Storage) -> memoryview:
        # The numbers come after this pickle: bytes of the same length stand for them while the storages are counted.
        size = storage.count * storage.dtype.itemsize
        if size > len(content) or storages.setdefault(storage.key, storage) != storage:
            raise CaptureError(f"its storage {storage.key[:20]} is larger than the file")
        return content[:size]

    _, size = read_pickle(content[position:], note)
    keys, of_keys = read_pickle(content[position + size :])
    found = _storages(content, position + size + of_keys, keys, storages)

    def find(storage: Storage) -> memoryview:
        if storage.key not in found:
            raise CaptureError(f"it lacks the storage {storage.key[:20]}")
        return found[storage.key]

    return read_pickle(content[position:], find)[0]


def _storages(content: memoryview, position: int, keys: Any, named: dict[str, Storage]) -> dict[str, memoryview]:
    """Return the bytes of each storage of an older file, in the order of its list."""
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in named for key in keys):
        raise CaptureError("its list of storages is damaged")
    found = {}
    for key in keys:
        count = int.from_bytes(content[position : position + _COUNT], "little")
        begin = position + _COUNT
        position = begin + named[key].count * named[key].dtype.itemsize
        if count != named[key].count or position > len(content):
            raise CaptureError("it is not whole, or its storages are damaged")
        found[key] = content[begin:position]
    return found
