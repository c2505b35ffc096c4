"""What the checks of attributions cost, in forward passes of one image.

    python bench/attribution_checks.py [--model resnet50] [--size 224] [--rounds 3]

Explains an image of noise by each set of methods (the weights are random, which costs the same), checks the maps, and
divides the seconds by those of a forward pass, measured before and after. Needs no data.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from convscope.interpret.attribution.checks.check import check_attributions
from convscope.interpret.attribution.methods import attribute
from convscope.interpret.subject import Subject
from convscope.nets.build import build
from convscope.report.table import Column, Table, print_table

SETS = (("grad-cam",), ("grad-cam", "gradient", "guided-backprop"), ("grad-cam", "gradient", "integrated-gradients"))
MOST = 120  # forward passes that the checks of three methods may cost


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.manual_seed(0)
    network = build(given.model, image_size=given.size).eval()
    image = torch.randn(1, 3, given.size, given.size)
    with torch.no_grad():
        network(image)
        rows = []
        for methods in SETS:
            costs = [cost(network, image, methods) for _ in range(given.rounds)]
            median = statistics.median(costs)
            rows.append((", ".join(methods), f"{median:.0f}", f"{min(costs):.0f} to {max(costs):.0f}",
                         f"{MOST}", "yes" if median <= MOST else "NO"))  # fmt: skip
    columns = [Column("checks of"), Column("forward passes, median", numeric=True),
               Column("least to most", numeric=True), Column("at most", numeric=True), Column("met")]  # fmt: skip
    print_table(Table.of(columns, rows, title=f"{given.model} at {given.size} pixels, batch 1"))


def cost(network: torch.nn.Module, image: torch.Tensor, methods: tuple[str, ...]) -> float:
    """Return the seconds of the checks, divided by those of a forward pass of one image."""
    before = seconds(lambda: network(image), repeats=5)
    subject = Subject(network=network, name="network", image_name="noise", tensor=image.clone())
    maps = [attribute(subject, method) for method in methods]
    checking = seconds(lambda: check_attributions(subject, maps))
    return checking / statistics.mean([before, seconds(lambda: network(image), repeats=5)])


def seconds(work: Callable[[], object], *, repeats: int = 1) -> float:
    """Return the median time of a call."""
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


if __name__ == "__main__":
    main()
