"""The compute process seen from the server: questions that wait, are replaced or stopped, raise, hang or end it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")

import anyio

from clocks import StoppedClock
from convscope.studio.compute import client as client_module
from convscope.studio.models import Openable
from convscope.studio.protocol import Packet, StudioError, read_frame, write_frame
from studio_server import story, until


def graph(model: str = "lenet5") -> dict[str, str]:
    return {"model": model}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StoppedClock:
    """The client's clock: a busy machine passes no deadline."""
    clock = StoppedClock()
    monkeypatch.setattr(client_module, "time", clock)
    return clock


async def let_expire(clock: StoppedClock, compute: client_module.ComputeClient, operation: str = "graph") -> None:
    """Wait until the process works on a question, and let time pass until that is answered."""

    def asked() -> client_module.Question | None:
        running = filter(None, compute._running.values())
        return next((question for question in running if question.operation == operation), None)

    while (question := asked()) is None:
        await anyio.sleep(0.01)
    while not question.answer.done():
        clock.now += 60.0
        await anyio.sleep(0.05)


def test_each_question_gets_its_own_answer(tmp_path: Path) -> None:
    async def tell(page, compute) -> None:
        session = (await page.get("/api/session")).json()  # before the process has started
        assert session["stage"] == "starting" and not session["ready"]
        answers = {}

        async def ask(number: int) -> None:
            path = f"/api/run/{number}/values/conv1:relu%232?channel={number}&box=0,0,4,4"
            answers[number] = (await page.get(path)).json()["asked"]

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(ask, number)
        for number, asked in answers.items():
            assert asked == {
                "run": str(number),
                "value": "conv1:relu#2",
                "channel": number,
                "box": [0, 0, 4, 4],
                "slice": None,
            }
        assert (await page.get("/api/session")).json()["ready"]

    story(tmp_path, tell)


def test_errors_are_one_line_with_their_kind(tmp_path: Path) -> None:
    async def tell(page, compute) -> None:
        expected = {
            "resnet18": (400, "data", "this model can't be opened"),
            "resnet34": (400, "range", "channel 9 is out of range: there are 0 to 8"),
            "resnet50": (500, "internal", "SystemExit: 3"),
        }
        for model, (status, kind, text) in expected.items():
            answer = await page.get(f"/api/graph/{model}")
            assert (answer.status_code, answer.json()) == (status, {"error": text, "kind": kind})
        assert (await page.get("/api/graph/lenet5")).status_code == 200  # the process is the same, and answers

    story(tmp_path, tell)


def test_a_process_that_ends_is_started_again(tmp_path: Path) -> None:
    async def tell(page, compute) -> None:
        await until(page, "ready")
        ended = await page.get("/api/graph/vgg11")
        assert ended.status_code == 500 and "the compute process ended (exit 7)" in ended.json()["error"]
        session = (await page.get("/api/session")).json()
        assert not session["ready"] and "started again" in session["text"]
        assert (await page.get("/api/graph/lenet5")).status_code == 200
        session = (await page.get("/api/session")).json()
        assert session["ready"] and session["text"] == ""

    story(tmp_path, tell)


def test_a_model_that_hangs_is_ended_after_the_deadline(tmp_path: Path, clock: StoppedClock) -> None:
    async def tell(page, compute) -> None:
        await until(page, "ready")
        async with anyio.create_task_group() as group:
            group.start_soon(let_expire, clock, compute)
            hanging = await page.get("/api/graph/vgg13")
        assert hanging.status_code == 504
        assert "0.5 s" in hanging.json()["error"] and "longer deadline" in hanging.json()["error"]
        assert (await page.get("/api/graph/lenet5")).status_code == 200

    story(tmp_path, tell, deadline=0.5)


def test_a_model_that_hung_costs_the_deadline_once_until_it_is_to_be_tried_again(
    tmp_path: Path, clock: StoppedClock
) -> None:
    """Its graph hangs: what waits for the same model and what is asked later is answered at once; others are asked."""

    async def tell(page, compute) -> None:
        await until(page, "ready")
        first = compute.submit("graph", graph("vgg13"), tab="a")
        second = compute.submit("run", graph("vgg13"), tab="b")
        await let_expire(clock, compute)
        for question in (first, second):
            with pytest.raises(StudioError, match=r"^no step ended in 0[.]5 s") as refused:
                await question.answer
            assert refused.value.kind == "deadline"
        await until(page, "ready")
        for path in ("graph/vgg13", "reach/vgg13/conv1?channel=0"):
            again = await page.get(f"/api/{path}")
            assert (again.status_code, again.json()["kind"]) == (504, "deadline")
            assert again.json()["error"].startswith("not tried again: no step ended in 0.5 s")
        assert (await page.get("/api/graph/lenet5")).status_code == 200
        assert (await page.post("/api/again", json={})).json() == {"expired": 1}
        async with anyio.create_task_group() as group:
            group.start_soon(let_expire, clock, compute)
            again = await page.get("/api/graph/vgg13")
        assert again.json()["error"].startswith("no step ended")

    story(tmp_path, tell, deadline=0.5)


def test_an_attribution_that_hung_is_not_tried_again_of_the_same_model(tmp_path: Path, clock: StoppedClock) -> None:
    """Runs are made anew by another process: it is the model that counts, and the method."""

    async def tell(page, compute) -> None:
        await until(page, "ready")

        async def attribute(model: str, method: str) -> tuple[int, dict[str, str]]:
            asked = {"model": model, "image": "sample:0", "interventions": []}
            run = (await page.post("/api/run", json=asked)).json()["run"]
            path, done = f"/api/run/{run}/attribution", False
            begun = await page.post(path, json={"method": method})
            if begun.status_code != 200:
                return begun.status_code, begun.json()
            if method == "gradient":
                await let_expire(clock, compute, "attribution")
            while not done:
                header = Packet.decoded((await page.get(f"{path}/{begun.json()['id']}?after=9")).content).header
                done = header["done"]
            return 200, header["error"] or {}

        _, first = await attribute("lenet5", "gradient")
        assert first["kind"] == "deadline" and first["error"].startswith("no step ended in 0.5 s")
        status, again = await attribute("lenet5", "gradient")
        assert status == 504 and again["error"].startswith("not tried again: no step ended in 0.5 s")
        assert await attribute("lenet5", "grad-cam") == (200, {})  # another method, another model: those are asked
        assert (await attribute("resnet101", "grad-cam"))[0] == 200
        assert (await page.post("/api/again", json={})).json() == {"expired": 1}
        assert (await attribute("lenet5", "gradient"))[1]["error"].startswith("no step ended")

    story(tmp_path, tell, deadline=0.5)


@pytest.mark.parametrize(
    ("last_sign", "looks", "blamed"),
    [
        (10.0, {70.0: "", 71.5: "slow"}, "slow"),  # neither showed a sign since the model took the interpreter
        (69.0, {69.4: "", 70.0: "quick"}, "quick"),  # the slow one had the interpreter while the quick one hung
        (30.0, {70.0: "", 80.0: "", 91.0: "slow"}, "slow"),
    ],
)
def test_of_two_silent_questions_the_one_that_runs_the_model_passed_the_deadline(
    tmp_path: Path, last_sign: float, looks: dict[float, str], blamed: str
) -> None:
    async def tell() -> None:
        compute = client_module.ComputeClient(Openable(runs=tmp_path, deadline=60.0))
        compute.start = lambda: setattr(compute, "stage", "starting")  # type: ignore[method-assign]
        compute._child = SimpleNamespace(send=lambda *_: None, end=lambda: None)  # type: ignore[assignment]
        compute.stage = "ready"
        slow = compute.submit("run", {"model": "lenet5"}, tab="a")
        quick = compute.submit("image_png", {"model": "lenet5"}, tab="b")
        slow.alive, quick.alive = last_sign, 9.5
        for now, expected in looks.items():
            compute._look_after(now)
            ended = [name for name, question in (("slow", slow), ("quick", quick)) if question.answer.done()]
            assert ended == ([expected] if expected else []), now
        assert list(compute._expired) == [("lenet5", "run" if blamed == "slow" else "image_png")]

    anyio.run(tell)


@pytest.mark.parametrize("why", ["deadline", "stopped"])
def test_a_quick_question_beside_work_that_never_ends_is_asked_of_the_next_process(tmp_path: Path, why: str) -> None:
    """It is not to blame: it is neither refused nor failed, and neither is the next one of its kind."""

    async def tell() -> None:
        compute = client_module.ComputeClient(Openable(runs=tmp_path, deadline=60.0))
        compute.start = lambda: setattr(compute, "stage", "starting")  # type: ignore[method-assign]
        compute._child = SimpleNamespace(send=lambda *_: None, end=lambda: None)  # type: ignore[assignment]
        compute.stage, compute._run_models = "ready", {"r1": "lenet5"}
        hung = compute.submit("attribution", {"run": "r1", "method": "gradient"}, tab="a")
        quick = compute.submit("image_png", {"model": "lenet5"}, tab="b", body=b"an upload")
        hung.alive, quick.alive = 0.0, 20.0
        if why == "stopped":
            compute.stop_question(hung, grace=0.0)
        compute._look_after(61.0 if why == "deadline" else time.monotonic() + 1.0)
        with pytest.raises(StudioError) as ended:
            await hung.answer
        assert ended.value.kind == why
        assert not quick.answer.done() and compute._waiting["fast"][0] is quick and quick.body == b"an upload"
        assert compute._running == {"fast": None, "slow": None}
        compute.submit("image_png", {"model": "lenet5"}, tab="c")

    anyio.run(tell)


def test_a_run_that_is_asked_for_again_is_the_newest_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MOST_RUNS_KNOWN", 2)

    async def tell(page, compute) -> None:
        await until(page, "ready")
        for model in ("lenet5", "alexnet", "lenet5", "vgg19"):
            await compute.ask("run", graph(model), tab="a")
        asked = [{"run": f"a run of {model}"} for model in ("lenet5", "alexnet", "vgg19")]
        questions = [compute.submit("cell", values, tab="a") for values in asked]
        assert [question.model for question in questions] == ["lenet5", "", "vgg19"]

    story(tmp_path, tell)


def test_signs_of_life_keep_long_work_going(tmp_path: Path, clock: StoppedClock) -> None:
    async def tell(page, compute) -> None:
        await until(page, "ready")
        question = compute.submit("graph", graph("vgg16"), tab="tab")
        for _ in range(2):
            clock.now += 1.0
            while question.alive < clock.now:  # the next sign
                await anyio.sleep(0.01)
        await anyio.sleep(0.3)  # a look at what is late
        assert not question.answer.done()
        # The fast lane answers beside it.
        assert (await page.get("/api/run/1/values/a?channel=0")).status_code == 200
        assert (await page.post("/api/stop", json={})).json() == {"stopped": 1}
        with pytest.raises(StudioError, match="stopped"):
            await question.answer
        assert (await page.get("/api/graph/lenet5")).status_code == 200

    story(tmp_path, tell, deadline=1.8)


def test_stopped_work_that_goes_on_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "STOP_GRACE", 0.2)

    async def tell(page, compute) -> None:
        await until(page, "ready")
        question = compute.submit("graph", graph("vgg13"), tab="tab.b")
        await anyio.sleep(0.1)
        assert (await page.post("/api/stop", json={})).json() == {"stopped": 1}
        with pytest.raises(StudioError, match="stopped"):
            await question.answer
        assert (await page.get("/api/graph/lenet5")).status_code == 200

    story(tmp_path, tell)


def test_the_newest_question_of_a_tab_wins(tmp_path: Path) -> None:
    async def tell(page, compute) -> None:
        busy = compute.submit("graph", graph("vgg16"), tab="other")
        asked = {"model": "lenet5", "image": "sample:0", "interventions": []}
        older = compute.submit("run", asked, tab="tab")
        beside = compute.submit("run", {**asked, "model": "vgg19"}, tab="tab")
        elsewhere = compute.submit("run", asked, tab="elsewhere")
        newer = compute.submit("run", asked, tab="tab")
        with pytest.raises(StudioError) as stopped:
            await older.answer
        assert stopped.value.kind == "stopped"
        compute.stop_question(busy)
        for question in (beside, elsewhere, newer):
            await question.answer

    story(tmp_path, tell)


def test_a_full_lane_is_busy(tmp_path: Path) -> None:
    async def tell(page, compute) -> None:
        for _ in range(client_module.MOST_OF_TAB):
            compute.submit("values", {}, tab="tab")
        answer = await page.get("/api/run/1/values/a?channel=0")
        assert (answer.status_code, answer.json()["kind"]) == (503, "busy")
        assert (await page.get("/api/run/1/values/a?channel=0", headers={"x-convscope-tab": "b"})).status_code == 200

    story(tmp_path, tell)


def test_a_request_that_is_taken_back_stops_its_question(tmp_path: Path) -> None:
    async def tell(page, compute) -> None:
        await until(page, "ready")
        with anyio.move_on_after(0.3):
            await page.get("/api/graph/vgg16")
        assert (await page.get("/api/graph/lenet5")).status_code == 200

    story(tmp_path, tell)


def test_an_attribution_ends_with_the_page_that_waits_for_it(tmp_path: Path) -> None:
    async def tell(page, compute) -> None:
        await until(page, "ready")
        begun = await page.post("/api/run/1/attribution", json={"method": "integrated-gradients"})
        path = f"/api/run/1/attribution/{begun.json()['id']}"
        with anyio.move_on_after(0.3):
            await page.get(path)
        assert Packet.decoded((await page.get(path)).content).header["error"]["kind"] == "stopped"
        assert (await page.get("/api/graph/lenet5")).status_code == 200  # the slow lane is free

    story(tmp_path, tell)


def test_a_process_that_the_system_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell(page, compute) -> None:
        await until(page, "ready")
        monkeypatch.setattr(compute, "_command", [str(tmp_path / "missing")])
        assert (await page.get("/api/graph/vgg11")).status_code == 500  # which ends the process
        assert "can't be started: No such file" in (await until(page, "failed"))["text"]
        assert (await page.get("/api/graph/lenet5")).json()["kind"] == "internal"

    story(tmp_path, tell)


@pytest.mark.parametrize(
    ("given", "text"), [("fails.py:make", "torch can't be imported"), ("ends.py:make", "(exit 9)")]
)
def test_a_process_that_can_not_start_is_said(tmp_path: Path, given: str, text: str) -> None:
    async def tell(page, compute) -> None:
        assert text in (await until(page, "failed"))["text"]
        answer = await page.get("/api/graph/lenet5")
        assert answer.status_code == 500 and text in answer.json()["error"]
        assert (await page.get("/api/session")).json()["stage"] == "failed"

    story(tmp_path, tell, given=given)


def test_parts_of_an_attribution_come_as_they_are_ready(tmp_path: Path) -> None:
    async def tell(page, compute) -> None:
        asked = {"method": "grad-cam", "class": None, "layer": None, "checks": True}
        number = (await page.post("/api/run/1/attribution", json=asked)).json()["id"]
        parts, done, after = [], False, 0
        while not done:
            packet = Packet.decoded((await page.get(f"/api/run/1/attribution/{number}?after={after}")).content)
            for part in packet.header["parts"]:
                start, length = part.pop("bytes")
                assert packet.body is not None and len(packet.body) >= start + length
                parts.append(part)
            done, after = packet.header["done"], packet.header["next"]
        assert parts == [{"part": 0}, {"part": 1}, {"part": 2}, {"verdict": "it passes"}]
        failed = (await page.post("/api/run/1/attribution", json={**asked, "method": "occlusion"})).json()["id"]
        while not (
            packet := Packet.decoded((await page.get(f"/api/run/1/attribution/{failed}?after=3")).content)
        ).header["done"]:
            pass
        assert packet.header["error"] == {"error": "there is no such method", "kind": "data"}
        assert (await page.delete(f"/api/run/1/attribution/{failed}")).status_code == 200
        assert (await page.get("/api/run/1/attribution/99")).status_code == 404

    story(tmp_path, tell)


def test_the_process_ends_with_the_server(tmp_path: Path) -> None:
    async def tell(page, compute) -> None:
        await until(page, "ready")
        pids.append(compute._child._process.pid)

    pids: list[int] = []
    story(tmp_path, tell)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_killed_process_says_that_memory_may_be_short(tmp_path: Path) -> None:
    async def tell(page, compute) -> None:
        await until(page, "ready")
        question = compute.submit("graph", graph("vgg16"), tab="tab")
        await anyio.sleep(0.05)
        os.kill(compute._child._process.pid, signal.SIGKILL)
        with pytest.raises(StudioError, match="SIGKILL: memory may be short"):
            await question.answer

    story(tmp_path, tell)


def test_frames_that_are_none_end_the_stream() -> None:
    import io

    for data in (b"", b"\x01", b"\xff" * 12, b"\x02\x00\x00\x00" + bytes(8) + b"{"):
        with pytest.raises(EOFError):
            read_frame(io.BytesIO(data))
    stream = io.BytesIO()
    write_frame(stream, {"x": float("nan")}, memoryview(b"ab"))
    stream.seek(0)
    assert read_frame(stream) == ({"x": "nan"}, b"ab")


def test_time_is_not_lost_between_questions(tmp_path: Path) -> None:
    async def tell(page, compute) -> None:
        await until(page, "ready")
        taken = []
        for _ in range(50):
            began = time.perf_counter()
            await compute.ask("values", {"run": "1"}, tab="tab")
            taken.append(time.perf_counter() - began)
        # The fastest: other work on this machine may take its time from most of them.
        assert min(taken) < 0.05

    story(tmp_path, tell)


def test_a_fault_of_the_server_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def tell(page, compute) -> None:
        monkeypatch.setattr(compute, "ask", lambda *_, **__: 1 // 0)
        answer = await page.get("/api/graph/lenet5")
        assert answer.status_code == 500
        assert answer.json() == {"error": "ZeroDivisionError in the server: see the terminal", "kind": "internal"}

    story(tmp_path, tell)
