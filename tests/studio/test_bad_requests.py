"""A request that can't be answered gets one line: what was got, and what is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")

from studio_server import answer

UNKNOWN_CHANGE = '{"model": "lenet5", "image": "sample:0", "interventions": [{"op": "x"}]}'


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/api/run/1/maps/a?page=-1", None, 400, "page is -1: it must be at least 0"),
        ("GET", "/api/run/1/maps/a?size=99999", None, 400, "size is 99999: it must be from 1 to 4,096"),
        ("GET", "/api/run/1/maps/a?order=best", None, 400, "must be one of index, energy"),
        ("GET", "/api/run/1/cell/a?c=1e9&at=0,0", None, 400, "c is '1e9': it must be a whole number"),
        ("GET", "/api/run/1/cell/a?at=0,0,0", None, 400, "it must be 2 whole numbers"),
        ("GET", "/api/run/1/cell/a?at=-1,0", None, 400, "at is -1: it must be at least 0"),
        ("GET", "/api/run/1/values/a?box=1", None, 400, "it must be 4 whole numbers"),
        ("GET", "/api/reach/lenet5/a?direction=up", None, 400, "must be one of backward, forward"),
        ("GET", "/api/image/upload:0123456789abcdef", None, 404, "send it again, or choose a sample"),
        ("GET", "/api/image/sample:0?x=crop:9", None, 400, "x is left out: 4 whole numbers are needed"),
        ("GET", "/api/nothing", None, 404, "GET /api/nothing is not answered here"),
        ("POST", "/api/graph/lenet5", "{}", 405, "POST /api/graph/lenet5 is not answered here"),
        ("POST", "/api/run", "", 400, "empty"),
        ("POST", "/api/run", "[1]", 400, "must be an object"),
        ("POST", "/api/run", "[" * 9000, 400, "nested"),
        ("POST", "/api/run", '{"image": "sample:0", "model": 3}', 400, "must be a text"),
        ("POST", "/api/run", UNKNOWN_CHANGE, 400, "not known|an object"),
        ("POST", "/api/run/1/attribution", '{"method": "grad-cam", "class": -1}', 400, "at least 0"),
        ("POST", "/api/export", '{"state": 3}', 400, "state is 3"),
    ],
)  # fmt: skip
def test_a_bad_request_is_one_line(
    tmp_path: Path, method: str, path: str, body: str | None, status: int, said: str
) -> None:
    headers = None if body is None else {"content-type": "application/json"}
    found = answer(tmp_path, method, path, content=body, headers=headers)
    assert found.status_code == status, found.text
    error = found.json()["error"]
    assert re.search(said, error), error
    assert "\n" not in error and len(error) < 300
