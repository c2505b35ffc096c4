"""PNG from a numpy array, for pictures inside a page, with no imaging library; and JPEG, with Pillow.

Source: the PNG specification (W3C, third edition), sections 5 and 7 to 11.
"""

from __future__ import annotations

import base64
import io
import struct
import zlib

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPE = {1: 0, 3: 2, 4: 6}  # channels -> grey, RGB, RGBA
_NONE, _UP = 0, 2  # filters of a row
_INDEXED = 3  # the type whose pixels are numbers of a palette's colours


def png_bytes(image: npt.NDArray[np.uint8], *, palette: bool = False, quick: bool = False) -> bytes:
    """Return an image as a PNG file: uint8 of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).

    With `palette` an image of at most 256 colours is written as their numbers: the same pixels in fewer bytes. With
    `quick` each row is written as its difference from the row above, and compressed at zlib's lowest level: of a large
    drawing in half the time and somewhat fewer bytes, of a small picture in more.

    >>> png_bytes(np.zeros((2, 3, 3), np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    pixels = image[:, :, None] if image.ndim == 2 else image
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] in _COLOUR_TYPE, (
        f"an image is uint8 of shape (H, W[, 1|3|4]), got {image.dtype} {image.shape}"
    )
    height, width, channels = pixels.shape
    assert height and width, "an image has at least one pixel"
    kind, colours = _COLOUR_TYPE[channels], b""
    if palette and channels == 3 and (found := _indexed(pixels)) is not None:
        pixels, colours, channels, kind = found[0], _chunk(b"PLTE", found[1].tobytes()), 1, _INDEXED
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    flat = pixels.reshape(height, width * channels)
    rows = np.empty((height, 1 + width * channels), np.uint8)  # each row begins with its filter
    rows[:, 0] = _UP if quick else _NONE
    rows[0, 1:] = flat[0]  # the row above the first counts as 0
    np.subtract(flat[1:], flat[:-1] if quick else np.uint8(0), out=rows[1:, 1:])  # modulo 256
    body = zlib.compress(rows.tobytes(), 1 if quick else 6)
    return _SIGNATURE + _chunk(b"IHDR", header) + colours + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def png_data_uri(image: npt.NDArray[np.uint8], *, palette: bool = False) -> str:
    """Return an image as a `data:` URI, to embed in a page or drawing."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(image, palette=palette)).decode("ascii")


def jpeg_data_uri(image: npt.NDArray[np.uint8]) -> str:
    """Return an image, grey or in colour, as the `data:` URI of a JPEG: a quarter of a PNG's bytes for a photograph."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def _indexed(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
    """Return the number of each pixel's colour, (H, W, 1), and the colours, (n, 3); None where there are too many."""
    packed = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    colours, numbers = np.unique(packed, return_inverse=True)
    if len(colours) > 256:
        return None
    written = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.uint8)
    return numbers.reshape(*packed.shape, 1).astype(np.uint8), written


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
