"""Features of images that were computed before, kept in the cache folder.

An entry is a folder named by its key, a digest of everything that features depend on but the image itself:

    entry.json                 what the entry is
    part-PID-NAME.safetensors  digests uint8 (n, 16) of images, and their features float32 (n, features)

Each part is written whole, with a SHA-256 digest of its own, so a killed process loses what it had not written yet, and
several processes add parts at once. An image is found by the digest of its decoded pixels, in any split and order.
Entries share the limit of the cache with decoded images, and the least recently used go first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from convscope.data.pixels.cache import keep_below_limit
from convscope.data.pixels.cache_budget import cache_limit, lack_of_room
from convscope.data.records import Pixels
from convscope.errors import RunError
from convscope.runs.atomic_files import WriteError, write_file
from convscope.runs.tensor_files import read_sealed, sealed_bytes

FORMAT = 1
DIGEST_BYTES = 16
PARTS = "part-*.safetensors"

FeatureRows: TypeAlias = npt.NDArray[np.float32]
ImageDigests: TypeAlias = npt.NDArray[np.uint8]


def digests_of(pixels: Pixels) -> ImageDigests:
    """Return a digest (n, 16) of each of some images, uint8 (n, H, W, C).

    >>> digests_of(np.zeros((2, 4, 4, 1), np.uint8)).shape
    (2, 16)
    """
    rows = np.ascontiguousarray(pixels)
    found = b"".join(hashlib.blake2b(row.data, digest_size=DIGEST_BYTES).digest() for row in rows)
    return np.frombuffer(found, np.uint8).reshape(len(rows), DIGEST_BYTES)


class FeatureStore:
    """The features of one key: those that are kept are read once, new ones are added in parts.

    Args:
        directory: the cache folder.
        depends_on: everything that features depend on but the image, as JSON has it.
        width: features of an image.
    """

    def __init__(self, directory: Path, depends_on: Mapping[str, Any], *, width: int) -> None:
        self.width = width
        self.problem = ""
        self._described = {"features": FORMAT, "width": width, **depends_on}
        key = hashlib.sha256(json.dumps(self._described, sort_keys=True).encode()).hexdigest()[:32]
        self._directory, self._path = directory, directory / key
        self._kept: dict[bytes, npt.NDArray[np.float32]] = {}
        self._new: list[tuple[ImageDigests, FeatureRows]] = []
        self._read()

    def __len__(self) -> int:
        """Return the number of images whose features were found."""
        return len(self._kept)

    def find(self, digests: ImageDigests) -> list[FeatureRows | None]:
        """Return the features (features,) of each image, or None."""
        return [self._kept.get(digest.tobytes()) for digest in digests]

    def add(self, digests: ImageDigests, features: FeatureRows) -> None:
        """Add features of any number of images; they are on the disk after `flush`."""
        if len(digests):
            self._new.append((digests, features))

    def flush(self) -> None:
        """Write what was added as a part; where the disk refuses, set `problem` to the reason, and write no more."""
        if not self._new or self.problem:
            return
        digests = np.concatenate([digests for digests, _ in self._new])
        features = np.concatenate([features for _, features in self._new])
        self._new = []
        if lack := lack_of_room(self._directory, (len(self._kept) + len(features), features[0].nbytes)):
            self.problem = lack
            return
        self._kept.update(zip((digest.tobytes() for digest in digests), features, strict=True))
        part = {"digests": torch.from_numpy(digests.copy()), "features": torch.from_numpy(features)}
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            write_file(self._path / "entry.json", json.dumps(self._described))
            name = f"part-{os.getpid()}-{secrets.token_hex(4)}.safetensors"
            write_file(self._path / name, sealed_bytes(part, note="features"))
            keep_below_limit(self._directory, self._path.name, cache_limit())
        except (OSError, WriteError) as error:
            self.problem = str(error)

    def _read(self) -> None:
        """Read every part that is whole; a damaged one is removed."""
        try:
            parts = sorted(self._path.glob(PARTS))
        except OSError:
            return
        for path in parts:
            try:
                self._take(path)
            except RunError:
                with contextlib.suppress(OSError):
                    path.unlink()
        with contextlib.suppress(OSError):
            os.utime(self._path)  # the folder's time is that of the entry's last use

    def _take(self, path: Path) -> None:
        """Read a part; raises RunError where it is not what was written."""
        part = read_sealed(path)
        digests, features = part.get("digests"), part.get("features")
        if digests is None or features is None or len(digests) != len(features):
            raise RunError(f"{path} is no part of features")
        if digests.dtype != torch.uint8 or digests.shape[1:] != (DIGEST_BYTES,):
            raise RunError(f"{path} is no part of features")
        if features.dtype != torch.float32 or features.shape[1:] != (self.width,):
            raise RunError(f"{path} has features of another network")
        rows = features.numpy()
        self._kept.update(zip((digest.tobytes() for digest in digests.numpy()), rows, strict=True))
