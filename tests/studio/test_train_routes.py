"""The endpoints of Train: errors in one line, a report in a sandbox, events of a run until it has its directory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")

from convscope.runs.live_view import LiveView
from convscope.runs.run_directory import Run
from convscope.studio.protocol import Packet
from convscope.studio.server import train_routes
from convscope.studio.server.train_routes import TrainRoutes
from convscope.studio.trainings.room import TrainRoom
from studio_runs import HOSTILE, add, make_run, row
from studio_server import answer, story

JSON = {"content-type": "application/json"}


def post(folder: Path, path: str, content: str = "{}") -> Any:
    return answer(folder, "POST", path, headers=JSON, content=content)


def test_options_hold_the_sets_the_fields_and_the_presets(tmp_path: Path) -> None:
    found = answer(tmp_path, "GET", "/api/train/options").json()
    assert [each["id"] for each in found["sets"]] == ["digits"] and found["weights"] == []
    assert {each["name"] for each in found["recipes"]} == {"fast", "classic", "finetune", "probe"}


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        ("", "data", "empty"),
        ("[]", "data", "must be an object"),
        ("{}", "data", "it has no set"),
        ('{"set": "/etc"}', "gone", "there is no data set '/etc'"),
        ('{"set": "digits", "recipe": {"epochs": -1}}', "range", "epochs is -1: it must be at least 0"),
        ('{"set": "digits", "recipe": {"model": "x.py:f"}}', "data", "there is no network 'x.py:f' in the list"),
        ('{"set": "digits", "recipe": {"data": "/etc"}}', "data", "no setting 'data' here"),
        ('{"set": "digits", "name": "../up"}', "data", "can't be the name of a run"),
    ],
)
def test_a_form_that_can_not_be_is_refused_in_one_line(tmp_path: Path, content: str, kind: str, said: str) -> None:
    for path in ("/api/train", "/api/train/forecast"):
        if "name" in content and path.endswith("forecast"):
            continue
        refused = post(tmp_path, path, content)
        assert refused.status_code in (400, 404) and refused.json()["kind"] == kind, refused.json()
        assert said in refused.json()["error"] and "\n" not in refused.json()["error"]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_run_of_any_name_is_found_by_its_link(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "runs" / name)
    run.live.write_view(LiveView(step=1, epoch=0.5, time=1.0, pictures=(), outputs={}, gradients={}))
    path = f"/api/runs/{quote(name, safe='')}"
    assert answer(tmp_path, "GET", path).json()["name"] == name
    assert Packet.decoded(answer(tmp_path, "GET", f"{path}/live").content).header["step"] == 1
    assert post(tmp_path, f"{path}/pause").json()["kind"] == "gone"


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "a")
    for path, said in (
        ("/api/runs/b", "there is no run 'b'"),
        ("/api/runs/b/events", "there is no run 'b'"),
        ("/api/runs/..%2F..", "is not answered here"),
        ("/api/runs/a/report", "a has no report yet"),
        ("/api/runs/a/live", "a has no live view yet"),
        ("/api/compare?runs=a", "1 runs: 2 to 8 are compared"),
        ("/api/compare?run=a&run=b", "there is no run 'b'"),
    ):
        refused = answer(tmp_path, "GET", path)
        assert said in refused.json()["error"], path


def test_a_report_is_served_in_a_sandbox(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "a")
    run.report.write_text("<script>alert(1)</script>")
    found = answer(tmp_path, "GET", "/api/runs/a/report")
    policy = found.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-popups; default-src 'none'; ") and "script" not in policy
    assert (
        found.headers["content-type"].startswith("text/html") and found.headers["x-content-type-options"] == "nosniff"
    )


def test_two_runs_are_compared(tmp_path: Path) -> None:
    for name in ("a,b", "c"):
        add(make_run(tmp_path / "runs" / name), row(1))
    found = answer(tmp_path, "GET", "/api/compare?run=a%2Cb&run=c").json()
    assert [each["name"] for each in found["runs"]] == ["a,b", "c"]
    assert found["notes"] == ["no scores by class yet: a,b, c"]


def test_a_stream_goes_on_after_the_last_event(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "a", state="training", host="another machine")
    add(run, row(1), row(2))
    routes = TrainRoutes(TrainRoom(tmp_path / "runs"), asyncio.Event())

    async def read(after: str, count: int) -> list[tuple[str, Any, str]]:
        events = routes._happening("a", after)
        found = [await anext(events) for _ in range(count)]
        await events.aclose()  # type: ignore[attr-defined]
        return found

    async def tell() -> None:
        first, second, state = await read("", 3)
        assert (first[1]["epoch"], second[1]["epoch"], state[0]) == (1, 2, "process")
        again, _ = await read(first[2], 2)
        assert again == second
        assert [name for name, _, _ in await read("x.y", 3)] == ["restart", "epoch", "epoch"]

    asyncio.run(asyncio.wait_for(tell(), 200))


def test_a_newer_forecast_of_a_tab_replaces_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = list[Path]()

    async def slow(recipe_file: Path, *, cache: Path | None) -> Any:
        begun.append(recipe_file)
        await asyncio.sleep(60 if len(begun) == 1 else 0)
        return {"text": str(len(begun))}

    monkeypatch.setattr(train_routes, "forecast_in_process", slow)
    form: dict[str, Any] = {"content": '{"set": "digits"}', "headers": JSON}

    async def tell(client: Any, compute: object) -> None:
        older = asyncio.ensure_future(client.post("/api/train/forecast", **form))
        while not begun:
            await asyncio.sleep(0.01)
        newer = await client.post("/api/train/forecast", **form)
        assert newer.json() == {"text": "2"} and (await older).json() == {"stopped": True}

    story(tmp_path, tell)


def test_a_stop_withdraws_a_pause(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "a", state="training", host="another machine")
    assert post(tmp_path, "/api/runs/a/pause").json()["state"] == "pausing"
    assert post(tmp_path, "/api/runs/a/continue").json()["state"] == "training"
    post(tmp_path, "/api/runs/a/pause")
    assert post(tmp_path, "/api/runs/a/stop").json()["state"] == "stopping"
    assert Run(run.path).live.is_asked("stop") and not run.live.is_asked("pause")
    assert post(tmp_path, "/api/train/forecast/stop").json() == {"stopped": True}
