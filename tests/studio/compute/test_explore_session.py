"""Questions and answers of the compute process, in this process: models of every kind, images, changes, errors."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convscope.errors import ConvscopeError
from convscope.files.regular import UnreadableError
from convscope.nets.catalogue import ENTRIES
from convscope.studio.compute.handlers import HANDLERS, open_session
from convscope.studio.compute.session import ExploreSession
from convscope.studio.models import Openable
from convscope.studio.protocol import OPERATIONS, Ask, Packet, StoppedWorkError, StudioError
from hostile_files import untrained_run
from studio_networks import odd_file, onnx_file, stranger_file


@pytest.fixture
def session(tmp_path: Path) -> ExploreSession:
    return open_session(Openable(runs=tmp_path / "runs"))


def ask(session: ExploreSession, operation: str, /, body: bytes = b"", **values: Any) -> Packet:
    return HANDLERS[operation](session, Ask(operation, values, body))


def header(session: ExploreSession, operation: str, /, **values: Any) -> Any:
    return ask(session, operation, **values).header


def explored(session: ExploreSession, model: str, image: str = "sample:0") -> dict[str, Any]:
    """Ask everything of a model on an image, and return its graph's record."""
    graph = header(session, "graph", model=model)
    assert ask(session, "graph", model=model).encoded()
    run = header(session, "run", model=model, image=image, interventions=[])["run"]
    values = [unit["value"] for unit in graph["units"] if unit["value"]]
    assert values[0] == "input"
    for value in dict.fromkeys((values[0], values[1], values[len(values) // 2], values[-1])):
        shape = next(unit["shape"] for unit in graph["units"] if unit["value"] == value)
        maps = ask(session, "maps", run=run, value=value, order="energy", page=0, size=4)
        count, height, width = maps.header["shape"]
        assert [count, height, width][: len(shape)] == shape
        assert len(maps.body or b"") == len(maps.header["channels"]) * height * width
        at = [height // 2, width // 2]
        cell = header(session, "cell", run=run, value=value, c=count - 1, at=at, page=0)
        exact = ask(session, "values", run=run, value=value, channel=count - 1, box=[*at, at[0] + 1, at[1] + 1])
        assert np.frombuffer(bytes(exact.body or b""), np.float32)[0] == cell["number"]
        field = header(session, "field", run=run, value=value, c=count - 1, at=at)
        assert field["pixels"] > 0 or field["status"] != "exact"
        tables = header(session, "reach", model=model, value=value)
        assert value == "input" or tables["targets"]
    return dict(graph)


def test_runs_of_another_process_have_other_names(tmp_path: Path) -> None:
    """The number of a run of a process that has ended is unknown to the next one, and names no other run."""
    asked = {"model": "lenet5", "image": "sample:8", "interventions": []}
    first, second = (open_session(Openable(runs=tmp_path)) for _ in range(2))
    run = header(first, "run", **asked)["run"]
    assert header(first, "run", **asked)["run"] == run
    assert header(second, "run", **asked)["run"] != run
    with pytest.raises(StudioError, match="here no more"):
        ask(second, "maps", run=run, value="c1")


def test_there_is_a_handler_for_each_operation() -> None:
    assert set(HANDLERS) == set(OPERATIONS)


def test_too_little_memory_is_said_with_how_much(session: ExploreSession, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000000 bytes.")

    monkeypatch.setattr(ExploreSession, "graph", fails)
    with pytest.raises(StudioError, match=r"takes 4.000 TB of memory, and less is free: choose a smaller") as found:
        ask(session, "graph", model="lenet5")
    assert found.value.kind == "data"


def test_a_network_of_the_catalogue(session: ExploreSession) -> None:
    graph = explored(session, "lenet5")
    assert graph["weights"] == "random"
    assert graph["input"] == [1, 32, 32]
    assert (graph["classes"], graph["class_count"]) == (None, 10)
    assert graph["totals"]["parameters"] == 61706
    assert not any(edge.get("skip") for edge in graph["drawing"]["edges"])


@pytest.mark.long
@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES])
def test_every_network_of_the_catalogue(session: ExploreSession, name: str) -> None:
    session.openable = replace(session.openable, given=name)  # also those that take no picture
    graph = explored(session, "given")
    assert len(ask(session, "graph", model="given").encoded()) < 300_000 * max(1, len(graph["units"]) / 1000)


def test_a_thousand_layers_are_a_small_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session = open_session(Openable(runs=tmp_path, given=odd_file(tmp_path, "Deep"), input_text="3x8x8"))
    packet = ask(session, "graph", model="given")
    units = len(packet.header["units"])
    assert units > 1000
    assert len(packet.encoded()) < 300 * units
    assert len(packet.header["warnings"]) < 10
    assert any(unit.get("warnings") for unit in packet.header["units"][1000:])


@pytest.mark.parametrize(("factory", "image"), [("Flat", "sample:1"), ("Wide", "sample:2"), ("OnePixel", "sample:3"),
                                                ("Pair", "sample:9")])  # fmt: skip
def test_networks_of_unusual_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factory: str, image: str) -> None:
    monkeypatch.chdir(tmp_path)
    shape = {"Wide": "2x12x48", "OnePixel": "1x12x12"}.get(factory, "3x12x12")
    explored(open_session(Openable(runs=tmp_path, given=odd_file(tmp_path, factory), input_text=shape)), "given", image)


def test_scores_without_an_axis_of_images_are_of_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session = open_session(Openable(runs=tmp_path, given=odd_file(tmp_path, "Squeezed"), input_text="3x12x12"))
    assert header(session, "graph", model="given")["class_count"] == 4
    prediction = header(session, "run", model="given", image="sample:1", interventions=[])["prediction"]
    assert len(prediction["top"]) == 4


def test_a_strangers_file_and_its_onnx_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    session = open_session(Openable(runs=tmp_path, given=stranger_file(tmp_path), input_text="3x32x32"))
    graph = explored(session, "given")
    # A function and a file may hold weights of a training or not: neither is said.
    assert ("with seed 0" in graph["weights_note"], graph["weights"]) == (True, "own")
    pytest.importorskip("onnx")
    graph = explored(open_session(Openable(runs=tmp_path, given=onnx_file(tmp_path))), "given")
    assert (graph["weights_note"], graph["weights"]) == ("", "own")


def test_a_run_of_several_labels_names_its_classes(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "runs" / "mine", "nowhere", ("<b>a</b>", "b", "c"), "multi-label")
    session = open_session(Openable(runs=tmp_path / "runs"))
    graph = explored(session, "run:mine")
    assert graph["classes"] == ["<b>a</b>", "b", "c"]
    assert graph["class_count"] == 3
    assert (graph["multi_label"], graph["weights"]) == (True, "trained")
    prediction = header(session, "run", model="run:mine", image="sample:0", interventions=[])["prediction"]
    assert prediction["kind"] == "multi"
    assert {one["name"] for one in prediction["top"]} == {"<b>a</b>", "b", "c"}
    with pytest.raises(StudioError, match="images of mine can't be read") as gone:
        ask(session, "run", model="run:mine", image="run:mine/0", interventions=[])
    assert gone.value.kind == "gone"
    assert session.opened("run:mine") is session.opened("run:mine")
    run.write_weights(dict(session.opened("run:mine").network.module.state_dict()), {"epoch": 2})
    assert session.opened("run:mine").weights == "trained"


def test_random_statistics_are_measured_only_where_there_are_any(session: ExploreSession) -> None:
    assert "batch statistics" not in header(session, "graph", model="lenet5")["weights_note"]
    assert "measured over 4 samples" in header(session, "graph", model="resnet20")["weights_note"]
    run = session.run("resnet20", "sample:0")
    for layer in run.opened.names.layers:
        numbers = run.tensor(layer.output)
        assert float(numbers.std()) < 50


def test_changes_make_another_run_that_knows_the_first(session: ExploreSession) -> None:
    plain = header(session, "run", model="lenet5", image="sample:0", interventions=[])
    again = header(session, "run", model="lenet5", image="sample:0", interventions=[])
    off = {"op": "channel_off", "value": "c1", "channel": 2}
    changed = header(session, "run", model="lenet5", image="sample:0", interventions=[off])
    assert plain["run"] == again["run"] != changed["run"]
    assert changed["changed"] == {"from": plain["run"]}
    numbers = ask(session, "values", run=changed["run"], value="c1", channel=2, box=None)
    assert not any(bytes(numbers.body or b""))
    moved = [{"op": "shift", "dy": 2, "dx": 0}]
    pictures = [ask(session, "image_png", image="sample:0", model="lenet5", interventions=x) for x in ([], moved)]
    assert pictures[0].encoded()[:4] == b"\x89PNG"
    assert pictures[0].encoded() != pictures[1].encoded()


def test_attributions_come_in_parts_and_can_be_stopped(session: ExploreSession) -> None:
    run = header(session, "run", model="lenet5", image="sample:0", interventions=[])["run"]
    told: list[Packet] = []
    values = {"run": run, "method": "gradient", "class": 3, "layer": None, "checks": True}
    packet = HANDLERS["attribution"](session, Ask("attribution", values, tell=told.append))
    parts = [part.header["part"] for part in told if part.header["part"] != "progress"]
    assert parts == ["map", "checks"]
    assert [part["part"] for part in packet.header["parts"]] == ["map", "checks"]
    assert packet.header["parts"][0]["class"] == 3
    assert packet.header["parts"][1]["lines"]
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) > 2:
            raise StoppedWorkError

    with pytest.raises(StoppedWorkError):
        HANDLERS["attribution"](session, Ask("attribution", values | {"method": "occlusion"}, check=check))
    with pytest.raises(ConvscopeError, match="no method of attribution 'magic'"):
        ask(session, "attribution", **(values | {"method": "magic"}))


def test_an_upload_is_checked_and_used(session: ExploreSession) -> None:
    png = ask(session, "image_png", image="sample:4", model=None, interventions=[]).encoded()
    known = ask(session, "image", png, image="upload:" + "0" * 16, title="a.png").header
    assert (known["width"], known["height"]) == (224, 224)
    with pytest.raises(ConvscopeError):
        ask(session, "image", b"no image at all", image="upload:" + "1" * 16, title="a.png")
    key = "upload:" + "0" * 16
    assert ask(session, "run", png, model="lenet5", image=key, interventions=[]).header["prediction"]["top"]
    with pytest.raises(StudioError, match="send it again"):
        ask(session, "run", model="lenet5", image=key.replace("0", "1"), interventions=[])


@pytest.mark.parametrize(("operation", "values", "kind"), [
    ("graph", {"model": "lenet6"}, "gone"),
    ("graph", {"model": "/etc/passwd"}, "gone"),
    ("run", {"model": "lenet5", "image": "sample:99", "interventions": []}, "data"),
    ("maps", {"run": "r9", "value": "c1"}, "gone"),
    ("maps", {"value": "c1", "page": 99}, "range"),
    ("values", {"value": "c1", "channel": 6}, "range"),
    ("values", {"value": "c1", "channel": 0, "box": [0, 0, 99, 99]}, "range"),
    ("cell", {"value": "c1", "c": 0, "at": [28, 0]}, "range"),
    ("field", {"value": "c1", "c": 6, "at": [0, 0]}, "range"),
    ("reach", {"model": "lenet5", "value": "c1", "channel": 77}, "range"),
])  # fmt: skip
def test_what_is_out_of_range_is_told_by_its_kind(
    session: ExploreSession, operation: str, values: dict[str, Any], kind: str
) -> None:
    run = header(session, "run", model="lenet5", image="sample:0", interventions=[])["run"]
    with pytest.raises(StudioError) as told:
        ask(session, operation, **({"run": run} | values))
    assert told.value.kind == kind
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("values", [
    {"value": "c9", "c": 0, "at": [0, 0]}, {"value": "c1", "c": -1, "at": [0, 0]}, {"value": 5},
    {"value": "c1", "at": "0,0"}, {"value": "c1", "at": [0.5, 0]},
])  # fmt: skip
def test_what_can_not_be_read_is_told_in_a_line(session: ExploreSession, values: dict[str, Any]) -> None:
    run = header(session, "run", model="lenet5", image="sample:0", interventions=[])["run"]
    with pytest.raises((ConvscopeError, UnreadableError)) as told:
        ask(session, "cell", **({"run": run} | values))
    assert "\n" not in str(told.value)


def test_old_runs_lose_their_values_and_get_them_back(session: ExploreSession) -> None:
    first = session.run("lenet5", "sample:0")
    numbers = first.tensor(first.opened.names.find("c3")).clone()
    for sample in range(1, 5):
        session.run("lenet5", f"sample:{sample}")
    assert first.opened.names.find("c3") not in first.executor._tensors
    assert np.array_equal(first.tensor(first.opened.names.find("c3")), numbers)


def test_opened_as_the_command_line_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = Openable(runs=tmp_path, given="resnet20", input_text="3x48x48", image="digits/7")
    session = open_session(given)
    assert header(session, "graph", model="given")["input"] == [3, 48, 48]
    assert header(session, "run", model="given", image="given", interventions=[])["input"]["picture"]
    with pytest.raises(ConvscopeError, match="more than a shape"):
        open_session(replace(given, input_text="3x48x48:int64")).opened("given")
