"""A run's weights.safetensors is what was written, or is refused in one line that says how to have it again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from convscope.capture.load import load
from convscope.cli.main import cli
from convscope.errors import CaptureError, ConvscopeError, RunError
from convscope.nets.weights.digest import DIGEST, VERSION
from convscope.nets.weights.read import read_weights
from convscope.runs.run_directory import Run
from convscope.runs.tensor_files import sealed_bytes


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    arguments = ["train", "digits", "--model", "lenet5", "--epochs", "1", "--runs", str(folder), "--name", "run"]
    arguments += ["--autotune", "rules"]
    assert CliRunner().invoke(cli, [*arguments, "--cache", str(folder / "cache")]).exit_code == 0
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path) -> Run:
    return Run(Path(shutil.copytree(trained, tmp_path / "run")))


def mutations(content: bytes, count: int, seed: int = 0):
    """One-bit flips, cuts, swapped and zeroed blocks, and edits of the header, each another file than `content`."""
    draw = np.random.default_rng(seed)
    header = 8 + int.from_bytes(content[:8], "little")
    for number in range(count):
        found = bytearray(content)
        kind = number % 8
        # Half of the damage is to the header, which is small.
        place = int(draw.integers(header if number % 2 else len(content)))
        if kind < 3:
            found[place] ^= 1 << int(draw.integers(8))
        elif kind == 3:
            del found[place:]
        elif kind == 4:
            size = int(draw.integers(4, 64))
            other = int(draw.integers(len(content) - size))
            found[place : place + size], found[other : other + size] = (
                found[other : other + size],
                found[place : place + size],
            )
            del found[len(content) :]
        elif kind == 5:
            found[place : place + int(draw.integers(1, 512))] = b""
        elif kind == 6:
            size = min(int(draw.integers(1, 512)), len(content) - place)
            found[place : place + size] = bytes(size)
        else:
            found = edited(content, draw)
        if bytes(found) != content:
            yield bytes(found)


def edited(content: bytes, draw: np.random.Generator) -> bytearray:
    """The file with a header that is whole but says something else."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    names = [name for name in header if name != "__metadata__"]
    first, second = draw.choice(names, 2, replace=False)
    edit = int(draw.integers(7))
    if edit == 0:
        header[first], header[second] = header[second], header[first]
    elif edit == 1:
        header[first]["shape"] = [*header[first]["shape"][::-1], 1]
    elif edit == 2:
        header[first]["dtype"] = "I32"
    elif edit == 3:
        header["x" + first] = header.pop(first)
    elif edit == 4:
        del header["__metadata__"]
    elif edit == 5:
        del header["__metadata__"][str(draw.choice([DIGEST, VERSION]))]
    else:
        header["__metadata__"]["convscope"] = "{}"
    written = json.dumps(header, separators=(",", ":")).encode()
    written += b" " * (-len(written) % 8)
    return bytearray(len(written).to_bytes(8, "little") + written + content[8 + size :])


def accepted(run: Run, count: int) -> tuple[int, int]:
    """Damage the weights in up to `count` ways: how many files there were, and how many were read."""
    content = run.weights.read_bytes()
    tried = read = 0
    said: list[str] = []
    for damaged in mutations(content, count):
        run.weights.write_bytes(damaged)
        tried += 1
        for reader in (run.network, load(str(run.path)).build):
            try:
                reader()
                read += 1
            except ConvscopeError as error:
                said.append(str(error))
    assert all("\n" not in line and "weights.safetensors" in line for line in said)
    return tried, read


def test_damage_is_refused_wherever_it_is(run):
    tried, read = accepted(run, 48)
    assert tried >= 45 and read == 0


@pytest.mark.long
def test_of_400_damages_none_is_accepted(run):
    tried, read = accepted(run, 420)
    assert tried >= 400 and read == 0


def test_every_command_refuses_a_flipped_bit_and_resuming_writes_the_file_anew(run, tmp_path):
    whole = run.weights.read_bytes()
    flipped = bytearray(whole)
    flipped[-1000] ^= 1
    run.weights.write_bytes(flipped)
    path, out = str(run.path), ["--runs", str(tmp_path), "--cache", str(tmp_path / "cache")]
    again = f"convscope train --resume {path} writes it anew from its checkpoint"
    for command in (
        ["predict", path, "x.png"],
        ["evaluate", path],
        ["inspect", path],
        ["train", "digits", "--recipe", "finetune", "--weights", path, *out],
    ):
        ended = CliRunner().invoke(cli, command)
        assert isinstance(ended.exception, ConvscopeError) and again in str(ended.exception), command
    ended = CliRunner().invoke(cli, ["train", "--resume", path, "--cache", str(tmp_path / "cache")])
    assert ended.exit_code == 0, ended.output
    assert "weights.safetensors is damaged: it is written anew from the checkpoint" in ended.output
    assert run.weights.read_bytes()[-4000:] == whole[-4000:]
    ended = CliRunner().invoke(cli, ["train", "--resume", path])
    assert "has all of its 1 epoch" in str(ended.exception)


def test_equal_weights_give_equal_files(run):
    written = {sealed_bytes(run.read_weights(), note="{}") for _ in range(8)}
    assert len(written) == 1 and len(sealed_bytes({}, note="none")) % 8 == 0


def test_weights_of_others_have_no_digest_and_load_but_those_of_a_run_must(run):
    tensors = load_file(run.weights)
    save_file(tensors, run.weights, {"convscope": '{"epoch": 1}'})
    with pytest.raises(RunError, match="its digest is missing"):
        run.read_weights()
    save_file(tensors, run.path / "alone.safetensors")
    assert read_weights(run.path / "alone.safetensors").tensors.keys() == tensors.keys()


def test_a_copied_file_is_checked_too(run, tmp_path):
    content = bytearray(run.weights.read_bytes())
    content[-5] ^= 4
    (tmp_path / "copy.safetensors").write_bytes(content)
    with pytest.raises(CaptureError, match=r"its SHA-256 digest is not that of its bytes.*: download it again"):
        read_weights(tmp_path / "copy.safetensors")
    run.weights.unlink()
    with pytest.raises(RunError, match="has no weights"):
        run.read_weights()
