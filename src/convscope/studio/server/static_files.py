"""The page's own files, found by name in a table that is made once: no request names a path."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
INDEX = "index.html"
_INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


@dataclass(frozen=True)
class StaticFile:
    """A file of the page: its bytes, media type and a tag that changes with the bytes."""

    content: bytes
    media_type: str
    tag: str


def static_files() -> dict[str, StaticFile]:
    """Return the page's files by their path below `static`, as "vendor/uplot.js"; a module by its name, "atlas", too.

    The import map of the page says where the folder is, and modules import each other without a suffix.
    """
    found = dict(_below(resources.files("convscope.studio").joinpath("static"), ""))
    return {**{name.removesuffix(".js"): file for name, file in found.items() if name.endswith(".js")}, **found}


def inline_script_hashes(page: bytes) -> tuple[str, ...]:
    """Return the hashes of the scripts that stand in a page itself, as a content security policy has them.

    >>> inline_script_hashes(b'<script type="importmap">{}</script><script src="app.js"></script>')
    ('sha256-RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=',)
    """
    digests = (hashlib.sha256(script).digest() for script in _INLINE_SCRIPT.findall(page))
    return tuple(f"sha256-{base64.b64encode(digest).decode()}" for digest in digests)


def _below(folder: Traversable, prefix: str) -> list[tuple[str, StaticFile]]:
    found: list[tuple[str, StaticFile]] = []
    if not folder.is_dir():
        return found
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            found += _below(entry, f"{name}/")
            continue
        suffix = name[name.rfind(".") :]
        if suffix in MEDIA_TYPES and not entry.name.startswith("."):
            content = entry.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
            found.append((name, StaticFile(content, MEDIA_TYPES[suffix], tag)))
    return found
