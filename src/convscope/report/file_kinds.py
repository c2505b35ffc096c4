"""The kind of a file by its first bytes, in words, for errors about the wrong kind of file."""

from __future__ import annotations

# Bytes that are enough to look at.
HEAD = 512
# (offset, bytes, Pillow's name) of the images that are read.
READ = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WEBP"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    # BigTIFF: its offsets have 64 bits.
    (0, b"II+\x00", "TIFF"),
    (0, b"MM\x00+", "TIFF"),
)
# (offset, bytes, what to call it) of other files; longer signatures first.
_OTHERS = (
    (0, b"version https://git-lfs", "a Git LFS pointer: the file itself was not fetched"),
    (4, b"ftypheic", "a HEIC image"),
    (4, b"ftypheix", "a HEIC image"),
    (4, b"ftypmif1", "a HEIF image"),
    (4, b"ftypavif", "an AVIF image"),
    (4, b"ftyp", "a video, or an image in a video's container"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"%!PS", "a PostScript program"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript program"),
    (0, b"%PDF", "a PDF document"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\x00\x05\x16\x07", "a macOS resource file"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"Rar!", "a RAR archive"),
    (128, b"DICM", "a DICOM file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (257, b"ustar", "a tar archive"),
    (0, b"RIFF", "a RIFF file that is not WebP"),
)


def read_format(data: bytes) -> str | None:
    """Return Pillow's name of an image's format, where it is one that is read and has a signature; else None.

    >>> read_format(b"GIF89a and so on")
    'GIF'
    """
    return next((name for offset, signature, name in READ if data.startswith(signature, offset)), None)


def kind_by_start(data: bytes) -> str | None:
    r"""Return the kind of a file by its first bytes, with an article, or None for an unknown format.

    >>> kind_by_start(b"\x89PNG\r\n\x1a\n..."), kind_by_start(b"<html>"), kind_by_start(b"\x80\x02")
    ('a PNG image', 'a web page', None)
    """
    if not data:
        return "empty"
    if (image := read_format(data)) is not None:
        return f"a {image.replace('WEBP', 'WebP')} image"
    for offset, signature, name in _OTHERS:
        if data.startswith(signature, offset):
            return name
    start = data[:HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if b"<svg" in start:
        return "an SVG drawing"
    if not data.strip(b"\x00"):
        return "nothing but zeros"
    if all(byte in b"\t\n\r\x0c\x1b" or byte >= 0x20 for byte in data[:HEAD]):
        return "text"
    return None
