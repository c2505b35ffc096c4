"""Photographs of sizes that no power of two divides: trained on, named and explained with the same pixels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hostile_images as made
from commands import run_command
from convscope.data.pixels.decode import decode_image
from convscope.data.pixels.resize import crop_box
from convscope.runs.model_spec import read_spec

# To 28x28, the crop box of each of these once began outside the image, at -4e-15.
SIZES = ((29, 29), (29, 30), (29, 31), (31, 29), (29, 34), (33, 29))


def test_photographs_of_odd_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, runs = tmp_path / "data", tmp_path / "runs"
    for place, name in enumerate(("café", "rosé ünd")):
        (data / name).mkdir(parents=True)
        for number in range(12):
            width, height = SIZES[number % len(SIZES)]
            image = made.picture(height + 9, width + 9).crop((number % 9, place, width + number % 9, height + place))
            image.save(data / name / f"{number}.jpg", quality=90 + number % 5)
    command = ["train", data, "--model", "lenet5", "--image-size", "28", "--epochs", "1", "--name", "odd", "--verify"]
    code, out, err = run_command(capsys, *command, "--runs", runs, "--cache", tmp_path / "cache")
    assert code == 0, err
    assert "can't be read" not in out + err and "Traceback" not in err
    photo = data / "café" / "0.jpg"
    code, out, err = run_command(capsys, "predict", runs / "odd", photo, "--json")
    assert code == 0 and json.loads(out)["problems"] == [], err
    code, out, err = run_command(capsys, "explain", runs / "odd", photo, "--layer", "c1", "--at", "3,3")
    assert code == 0 and out, err
    # What both were given: the box that the law is about.
    decoding = read_spec(runs / "odd" / "model.json").decoding
    with Image.open(photo) as image:
        box = crop_box(image.size, (28, 28))
        expected = image.convert("RGB").resize((28, 28), Image.Resampling.BILINEAR, box=box)
    seen = decode_image(photo, decoding)
    assert np.array_equal(
        seen, np.asarray(expected.convert("L" if decoding.channels == 1 else "RGB")).reshape(seen.shape)
    )
