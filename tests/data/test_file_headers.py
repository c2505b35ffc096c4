"""Headers of image files, as `check` reads them: those that are damaged are left out, whatever they claim."""

from __future__ import annotations

from pathlib import Path

import pytest

import data_makers as made
from convscope.data.file_headers import read_headers
from convscope.data.open import probe
from convscope.report.progress import no_progress
from hostile_images import png


@pytest.mark.parametrize("damaged", [png(8, 8, depth=16, colour=3), png(8, 8, depth=16, colour=7), png(2**31, 8)])
def test_a_header_that_claims_what_no_png_has_stops_nothing(damaged: bytes, tmp_path: Path) -> None:
    made.fill(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "damaged.png").write_bytes(damaged)
    found = read_headers(probe(str(tmp_path)).listing, entry=None, progress=no_progress)
    assert found.kinds()["PNG, colour"] == 4
