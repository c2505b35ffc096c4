"""Files that are whole or not there: checkpoints, run directories, and who may write to them."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

from convscope.errors import RunError
from convscope.runs.atomic_files import WriteError, write_file
from convscope.runs.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_optimizer,
    optimizer_tensors,
    save_checkpoint,
    saved_checkpoints,
)
from convscope.runs.lock import locked_early
from convscope.runs.run_directory import Run
from convscope.runs.run_like import open_run
from convscope.runs.run_names import create_run
from convscope.training.optim.optimizers import OPTIMIZERS, make_optimizer
from hostile_files import untrained_run


def _checkpoint(step: int) -> Checkpoint:
    weights = {"weight": torch.full((2, 3), float(step))}
    return Checkpoint(model=weights, best=weights, optimizer={}, values={"step": step, "epoch": step})


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_the_newest_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, _checkpoint(step))
    assert [path.name for path in saved_checkpoints(tmp_path)] == ["step-000000002", "step-000000003"]
    found = load_checkpoint(tmp_path)
    assert found is not None and found.values["step"] == 3
    assert torch.equal(found.model["weight"], torch.full((2, 3), 3.0))


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json", "MANIFEST.json"])
def test_a_flipped_bit_is_not_loaded(tmp_path: Path, name: str) -> None:
    older, newer = (save_checkpoint(tmp_path, _checkpoint(step)) for step in (1, 2))
    _damage(newer / name)
    found = load_checkpoint(tmp_path)
    assert found is not None and found.values["step"] == 1
    (older / name).unlink()
    with pytest.raises(
        RunError,
        match=r"no checkpoint in .* can be used.*; start a new run with recipe=convscope.load_recipe..*recipe.toml'.$",
    ):
        load_checkpoint(tmp_path)


def test_what_was_half_written_is_no_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, _checkpoint(1))
    (tmp_path / ".tmp-step-000000002-77").mkdir()
    found = load_checkpoint(tmp_path)
    assert found is not None and found.values["step"] == 1
    assert load_checkpoint(tmp_path / "none") is None


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_an_optimizer_goes_on_where_it_was(name: str) -> None:
    def made() -> tuple[nn.Module, torch.optim.Optimizer]:
        network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3, 2))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(0.1)
        settings = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01}
        return network, make_optimizer(name, network, layer_lr_decay=1.0, **settings)

    def step(network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        network(torch.linspace(0, 1, 18).reshape(1, 2, 3, 3)).square().sum().backward()
        optimizer.step()

    network, optimizer = made()
    step(network, optimizer)
    again, its_optimizer = made()
    again.load_state_dict(network.state_dict())
    load_optimizer(again, its_optimizer, {key: t.clone() for key, t in optimizer_tensors(network, optimizer).items()})
    for pair in ((network, optimizer), (again, its_optimizer)):
        step(*pair)
    for left, right in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(left, right)


def test_a_file_replaces_another_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    write_file(path, "old")
    write_file(path, "new")
    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["recipe.toml"]
    with pytest.raises(RunError, match="can't be written"):
        write_file(tmp_path / "none" / "recipe.toml", "new")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.EIO])
def test_a_disk_that_flushes_no_folder_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    flush = os.fsync

    def refuse(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, "not flushed")
        flush(descriptor)

    monkeypatch.setattr("os.fsync", refuse)
    if number == errno.EIO:
        with pytest.raises(RunError, match="can't be written: not flushed"):
            write_file(tmp_path / "recipe.toml", "new")
        return
    write_file(tmp_path / "recipe.toml", "new")
    assert (tmp_path / "recipe.toml").read_text() == "new"
    assert load_checkpoint(save_checkpoint(tmp_path, _checkpoint(1)).parent) is not None


def test_norms_that_have_no_folder_are_refused_as_by_a_full_disk(tmp_path: Path) -> None:
    run = create_run(tmp_path, "run")
    (run.path / "live").write_text("a file")
    with pytest.raises(WriteError, match="live can't be made"):
        run.add_norms([])


def test_the_next_free_name_is_taken(tmp_path: Path) -> None:
    names = [create_run(tmp_path, "digits-lenet5").path.name for _ in range(3)]
    assert names == ["digits-lenet5", "digits-lenet5-2", "digits-lenet5-3"]


def _in_a_thread(work: Callable[[], object]) -> None:
    """Elsewhere in this process, where the lock is not held."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def _lock(run: Run) -> None:
    with run.locked():
        pass


def test_two_processes_do_not_train_in_one_directory(tmp_path: Path) -> None:
    run = create_run(tmp_path, "run")
    with locked_early(run.path), run.locked():
        with run.locked():  # whoever holds it may ask again
            pass
        with pytest.raises(RunError, match="is being trained by another process"):
            _in_a_thread(lambda: _lock(run))
    _in_a_thread(lambda: _lock(run))
    with locked_early(tmp_path / "none"), locked_early(run.path, writes=False):
        _in_a_thread(lambda: _lock(run))


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no locks here")

    run = create_run(tmp_path, "run")
    (run.path / ".tmp-model.json-7").write_text("")
    monkeypatch.setattr("fcntl.flock", refuse)
    with run.locked():
        assert (run.path / ".tmp-model.json-7").exists()  # it may be that of another process


def test_what_a_killed_process_was_writing_is_removed_and_nothing_else(tmp_path: Path) -> None:
    run, other = create_run(tmp_path, "run"), create_run(tmp_path, "other")
    step = save_checkpoint(run.checkpoints, _checkpoint(1))
    ours = [
        run.path / ".tmp-weights.safetensors-77",
        run.path / ".tmp-report.html-1234567",
        run.path / ".tmp-look-step-000000084.html-77",
        run.checkpoints / ".tmp-step-000000002-77",
        run.checkpoints / ".old-step-000000001-77",
    ]
    others = [
        run.path / ".tmp-notes-77",
        run.path / ".tmp-mine.txt-77",
        run.path / "tmp-model.json-77",
        run.path / ".tmp-model.json-old",
        run.path / "seed-0" / ".tmp-model.json-77",
        run.checkpoints / ".tmp-step-2-77",
        other.path / ".tmp-model.json-77",
    ]
    for path in (*ours[:3], *others):
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    for path in ours[3:]:
        path.mkdir()
        (path / "tensors.safetensors").write_text("half")
    kept = tmp_path / "kept"
    kept.mkdir()
    (run.path / ".tmp-split.csv-7").symlink_to(kept, target_is_directory=True)
    with run.locked():
        pass
    assert not any(path.exists() for path in ours) and all(path.exists() for path in others)
    assert kept.is_dir() and not (run.path / ".tmp-split.csv-7").is_symlink() and step.is_dir()


def test_a_checkpoint_that_is_removed_has_no_name_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, _checkpoint(step))

    class Killed(BaseException):
        pass

    def killed(path: Path, **_: object) -> None:
        if path.exists():
            raise Killed

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(Killed):
        save_checkpoint(tmp_path, _checkpoint(4))
    assert [path.name for path in saved_checkpoints(tmp_path)] == ["step-000000003", "step-000000004"]


def test_a_missing_run_names_those_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def add(*names: str) -> None:
        for name in names:
            (tmp_path / "runs" / name).mkdir(parents=True)
            (tmp_path / "runs" / name / "model.json").write_text("{}")

    add("flowers")
    with pytest.raises(RunError, match=r"there is no run at flower\. Runs here: runs/flowers$"):
        open_run(Path("flower"))
    add("a", "b", "c", "d", "e", "f")
    with pytest.raises(RunError, match=r"Runs here: runs/a, runs/b, runs/c, runs/d, runs/e and 2 more$"):
        open_run(Path("flower"))


def test_reading_a_run_and_decoding_for_it_import_no_torch(tmp_path: Path) -> None:
    run = untrained_run(tmp_path / "run", "digits")
    program = f"""
import sys
from pathlib import Path
from convscope.data.pixels.decode import decode_image
from convscope.runs.image_items import image_items
from convscope.runs.run_like import open_run
run = open_run(Path({str(run.path)!r}))
assert run.recipe().model == run.spec().name == "lenet5" and run.status() is None
run.log("a line")
assert [item.name for item in image_items(["a.png"])] == ["a.png"]
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_run_is_found_after_the_current_directory_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = create_run(Path("runs"), "first")
    assert str(made) == str(Path("runs", "first")) and made.path == tmp_path / "runs" / "first"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert made.path.is_dir() and str(made) == str(tmp_path / "runs" / "first")
