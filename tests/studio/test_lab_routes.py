"""The endpoint of the labs: folders below the runs folder alone, and anything else refused in one line."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")

from studio_server import answer


def test_a_folder_below_the_runs_is_checked(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one two"
    folder.mkdir(parents=True)
    (folder / "results.csv").write_text("variant,seed,accuracy\na,0,0.5\nb,0,0.6\n")
    asked = "/api/learn/lab/ablation?folder=one%20two"
    assert answer(tmp_path, "GET", asked).json()["says"] == "guess-first"
    found = answer(tmp_path, "GET", f"{asked}&guess=b,%20a").json()
    assert found["done"] and found["values"] == {"right": 2, "count": 2}
    assert [row[0] for row in found["rows"]] == ["b", "a"]
    for before in ("runs/", "./runs/", f"{tmp_path}/runs/"):  # as commands print it, and as shells complete it
        with_folder = asked.replace("=one", f"={quote(before, safe='')}one") + "%2F"
        assert answer(tmp_path, "GET", with_folder).json()["says"] == "guess-first", before
    for guess in ("b > a", "b a", "B；a"):
        assert answer(tmp_path, "GET", f"{asked}&guess={quote(guess)}").json()["values"]["right"] == 2, guess


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("alexnet", "there is no folder ''"),
        ("alexnet?folder=..", "there is no folder"),
        ("alexnet?folder=%2Fetc", "there is no folder"),
        ("alexnet?folder=link", "there is no folder"),
        ("alexnet?folder=runs%2F..%2Fruns%2Fnothing", "there is no folder"),
        (f"alexnet?folder={'x' * 5000}", "there is no folder"),
        ("alexnt?folder=there", "Did you mean alexnet"),
    ],
)
def test_other_folders_and_labs_are_refused(tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / "runs" / "there").mkdir(parents=True)
    (tmp_path / "runs" / "link").symlink_to(tmp_path)
    refused = answer(tmp_path, "GET", f"/api/learn/lab/{path}")
    assert refused.status_code in (400, 404) and said in refused.json()["error"]
    assert "\n" not in refused.json()["error"] and len(refused.json()["error"]) < 400
