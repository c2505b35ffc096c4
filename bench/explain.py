"""How long `explain` takes on ResNet-50 in a fresh process: after the imports, and down to a pixel.

The bound: an answer in less than a second after import.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

RUNS = 3
CELLS = (("conv1", 5, (3, 4)), ("layer2.0.conv2", 17, (9, 9)), ("layer4.2.conv3", 700, (3, 3)), ("fc", 207, ()))

ONE_PROCESS = """
import time
start = time.perf_counter()
import torch
from convscope.interpret.explanation.lens import Lens
from convscope.nets.build import build
torch.manual_seed(0)
network, image = build("resnet50").eval(), torch.randn(1, 3, 224, 224)
imported = time.perf_counter()
lens = Lens(network, [image], name="resnet50")
found = lens.cell({layer!r}, channel={channel}, at={at})
text, page = str(found), found._repr_html_()
first = time.perf_counter()
chain = lens.cell({layer!r}, channel={channel}, at={at}).to_pixels()
down = time.perf_counter()
print(imported - start, first - imported, down - first, len(chain))
"""


def main() -> None:
    print("ResNet-50 at 224 pixels, seconds: imports and building, first answer (text and HTML), way down to a pixel")
    slowest = 0.0
    for layer, channel, at in CELLS:
        script = ONE_PROCESS.format(layer=layer, channel=channel, at=at)
        rows = []
        for _ in range(RUNS):
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
            rows.append([float(number) for number in done.stdout.split()])
        imports, first, down, cells = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{layer:16} {imports:6.2f}   {first:6.2f}   {down:6.2f} ({cells:.0f} cells)")
        slowest = max(slowest, first)
    assert slowest < 1.0, f"the slowest first answer took {slowest:.2f} s"


if __name__ == "__main__":
    main()
