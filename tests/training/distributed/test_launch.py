"""Laws of several processes: they are one process that is faster."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convscope.training.distributed import launch

SOURCE = Path(__file__).parents[3] / "src"


def free_port() -> int:
    """A port below those that the system gives to a socket that asks for any: no other test gets it meanwhile."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with contextlib.suppress(OSError), socket.socket() as here:
            here.bind(("localhost", port))
            return port
    raise AssertionError("no port is free")


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two processes found, each its own."""
    folder = tmp_path_factory.mktemp("team")
    together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("team_member.py")), str(folder)],
            env={**os.environ, **together, "RANK": str(rank), "PYTHONPATH": str(SOURCE)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        said = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("kind", ["plain", "normalised"])
def test_two_processes_give_the_loss_curve_of_one(members: list[dict[str, Any]], kind: str) -> None:
    alone = members[0]["alone"][kind]
    for member in members:
        assert member[kind] == members[0][kind]
        assert len(alone["losses"]) == 7 and alone["losses"][-1] != alone["losses"][0]
        np.testing.assert_allclose(member[kind]["losses"], alone["losses"], atol=1e-4)
        np.testing.assert_allclose(member[kind]["accuracies"], alone["accuracies"], atol=1e-9)
        for name, values in alone["weights"].items():
            np.testing.assert_allclose(member[kind]["weights"][name], values, atol=1e-4, err_msg=name)


def test_validation_is_shared_out_and_comes_out_the_same(members: list[dict[str, Any]]) -> None:
    for member in members:
        np.testing.assert_allclose(member["plain"]["val"], members[0]["alone"]["plain"]["val"], atol=1e-4)
    assert members[0]["plain"]["val"] == members[1]["plain"]["val"]


def test_batch_normalization_over_uneven_shares_is_that_of_the_whole_batch(members: list[dict[str, Any]]) -> None:
    assert [member["normalisation"].pop("rows") for member in members] == [2, 5]
    for member in members:
        assert member["normalisation"].pop("replaced") == 1
        assert len(member["normalisation"]) == 7
        for what, distance in member["normalisation"].items():
            assert distance < 5e-5, what


def test_a_stop_in_one_process_stops_all_at_the_same_step(members: list[dict[str, Any]]) -> None:
    for member in members:
        first, second = member["stopping"][:2], member["stopping"][2:]
        assert first == second == [2, 6]


def test_a_loss_that_is_no_number_in_one_process_stops_all(members: list[dict[str, Any]]) -> None:
    for member in members:
        assert member["diverging"].startswith("the loss became nan at epoch 1, step 1")


def test_weights_that_no_process_uses_have_no_gradient(members: list[dict[str, Any]]) -> None:
    assert [member["unused"] for member in members] == [[True, True, False]] * 2


def test_what_the_first_process_decides_or_refuses_holds_for_all(members: list[dict[str, Any]]) -> None:
    assert [member["decided"] for member in members] == [0, 0]
    assert [member["refusing"] for member in members] == ["refusing", "refused"]


def test_the_first_processes_clock_plans_for_all(members: list[dict[str, Any]]) -> None:
    first, second = (member["paced"] for member in members)
    assert first == second
    assert len(first["plan"]["pieces"]) > 1 and first["steps"] == first["plan"]["pieces"][-1][1] < 21


def test_the_slowest_process_sets_the_costs_and_gradients_are_exchanged(members: list[dict[str, Any]]) -> None:
    first, second = (member["costs"] for member in members)
    assert first == second
    assert (first["before"], first["epoch_end"], first["finish"]) == (1.0, 0.5, 3.0)
    (half, less), (whole, more) = first["steps"]
    assert (half, whole) == (0.5, 1.0) and 0.5 < less < 1.5 and more - less == pytest.approx(1.5)


def test_a_store_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped process holds the store: torch's wait for it has no end."""
    released = threading.Event()

    class Stopped:
        def wait(self, keys: list[str], timeout: datetime.timedelta) -> None:
            released.wait()

    monkeypatch.setattr(launch, "REPORT_WAIT", datetime.timedelta(seconds=0.05))
    try:
        with pytest.raises(RuntimeError, match="does not answer"):
            launch._wait(Stopped(), "key")
    finally:
        released.set()
