"""The loss that `evaluate` prints goes by the name of the run's own loss."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import run_command
from convscope.scoring.losses import LOSSES
from hostile_files import untrained_run


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    rows = ["image,labels"]
    for number in range(4):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), 60 * number, np.uint8)).save(path)
        rows.append(f"{path.relative_to(folder)},{('a', 'a|b')[number % 2]}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


@pytest.mark.parametrize("loss", LOSSES)
def test_evaluate_names_the_loss(loss: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = untrained_run(tmp_path / "run", "digits", loss=loss).path
    data = images / "labels.csv" if loss == "multi-label" else images
    command = ("evaluate", run, data, "--cache", tmp_path / "cache")
    code, out, err = run_command(capsys, *command)
    assert code == 0, err
    named = [name for name in {item.measured for item in LOSSES.values()} if f"\n{name} " in out]
    assert named == [LOSSES[loss].measured]
    assert json.loads(run_command(capsys, *command, "--json")[1])["loss_name"] == LOSSES[loss].measured
