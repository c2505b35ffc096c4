"""The page counts paths through a stack of windows as products of matrices of taps do."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from convscope.geometry.taps import window_taps
from convscope.geometry.window import Window

ROOT = Path(__file__).parents[2]
NAMES = ROOT / "tests" / "studio" / "js" / "bare_names.mjs"
NODE = shutil.which("node")
CASES = 500
SCRIPT = f"""
import {{ readFileSync }} from "node:fs";
await import({json.dumps(NAMES.as_uri())});
const {{ pathCounts }} = await import("convscope/learn/arithmetic");
const cases = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(cases.map(({{ layers, size, cell }}) => pathCounts(layers, size, cell))));
"""


def expected(layers: list[dict[str, int]], size: int, cell: int) -> list[list[int]]:
    """Return the paths from each cell of each level to one cell of the last, by matrices."""
    matrices, sizes = [], [size]
    for layer in layers:
        window = Window.of(
            layer["kernel"], stride=layer["stride"], padding=layer["padding"], dilation=layer.get("dilation", 1)
        )
        table = window_taps(window, sizes[-1])
        matrix = np.zeros((table.output_size, sizes[-1]), np.int64)
        for row, taps in enumerate(table.positions):
            np.add.at(matrix[row], taps[(taps >= 0) & (taps < sizes[-1])], 1)
        sizes.append(table.output_size)
        matrices.append(matrix)
    found = [np.eye(sizes[-1], dtype=np.int64)[cell]]
    for matrix in reversed(matrices):
        found.insert(0, found[0] @ matrix)
    return [level.tolist() for level in found]


def drawn(random_: random.Random) -> dict[str, object]:
    """Draw a stack that fits."""
    while True:
        size = random_.randint(4, 40)
        layers, last = [], size
        for _ in range(random_.randint(1, 5)):
            kernel = random_.randint(1, 5)
            padding = random_.randint(0, kernel // 2)
            layers.append({"kernel": kernel, "stride": random_.randint(1, 3), "padding": padding,
                           "dilation": random_.randint(1, 2)})  # fmt: skip
            span = (kernel - 1) * layers[-1]["dilation"] + 1
            last = (last + 2 * layers[-1]["padding"] - span) // layers[-1]["stride"] + 1
            if last < 1:
                break
        if last >= 1:
            return {"layers": layers, "size": size, "cell": random_.randrange(last)}


@pytest.mark.skipif(NODE is None, reason="Node.js is not installed")
def test_paths_are_counted_as_matrices_count_them() -> None:
    random_ = random.Random(5)
    cases = [drawn(random_) for _ in range(CASES)]
    assert NODE is not None
    command = [NODE, "--input-type=module", "-e", SCRIPT]
    answer = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, timeout=300, check=True)
    for case, found in zip(cases, json.loads(answer.stdout), strict=True):
        assert found == expected(**case), case  # type: ignore[arg-type]
