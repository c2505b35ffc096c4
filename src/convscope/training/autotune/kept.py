"""What was measured for a machine and a network, kept in the cache: one JSON file for each, found by its key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convscope.errors import RunError
from convscope.files.checked import read_json
from convscope.files.fields import Fields
from convscope.files.regular import UnreadableError
from convscope.runs.atomic_files import write_file


@dataclass(frozen=True, kw_only=True)
class KeptFolder:
    """A folder of the cache with files of one kind.

    Args:
        name: of the folder.
        content: the field that holds what was measured, beside its format and its key.
        format: its version; a file of another one is not read.
        largest: bytes of a file at most.
    """

    name: str
    content: str
    format: int
    largest: int

    def path(self, directory: Path, key: Mapping[str, object]) -> Path:
        """Return the path of the file for this machine and work."""
        digest = hashlib.sha256(json.dumps([self.format, key], sort_keys=True).encode()).hexdigest()
        return directory / self.name / f"{digest[:32]}.json"

    def read(self, directory: Path, key: Mapping[str, object]) -> Fields | None:
        """Return what was kept for this machine and work, or None."""
        with suppress(UnreadableError):
            kept = read_json(self.path(directory, key), limit=self.largest)
            # JSON makes lists of tuples: both sides are compared as JSON has them.
            if kept.integer("format") == self.format and kept.value("key") == json.loads(json.dumps(key)):
                return kept.object(self.content)
        return None

    def keep(self, directory: Path, key: Mapping[str, object], content: Mapping[str, Any]) -> None:
        """Keep what was measured; where the folder can't be written, it is measured again next time."""
        path = self.path(directory, key)
        with suppress(OSError, RunError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, json.dumps({"format": self.format, "key": key, self.content: content}, indent=2) + "\n")
