"""What the studio's compute process takes for what the page asks, without a browser: in milliseconds, and in forwards.

    python bench/studio_compute.py [--networks resnet50 vgg16 ...] [--cells N]

Of each network: opening it, running an image with all values kept, a layer's maps, tables of fields, the exact field of
a cell and the arithmetic of a number, at random cells of all layers, the median and the 95th percentile. A forward is
the module's own on the same image, in this process. Forwards are interleaved with what is timed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convscope.studio.compute.handlers import HANDLERS, open_session
from convscope.studio.compute.session import ExploreSession
from convscope.studio.models import Openable
from convscope.studio.protocol import Ask, Packet

NETWORKS = ("lenet5", "resnet18", "resnet50", "vgg16", "googlenet", "densenet121", "unet", "unet:1x512x512")
FORWARDS = 5
SEED = 0


def timed(do: Callable[[], Any]) -> tuple[float, Any]:
    """Return the milliseconds of a call, and what it returned."""
    start = time.perf_counter()
    found = do()
    return 1e3 * (time.perf_counter() - start), found


def ask(session: ExploreSession, operation: str, **values: Any) -> Packet:
    """Return an answer of the compute process."""
    return HANDLERS[operation](session, Ask(operation, values))


def row(name: str, times: list[float], forward: float, more: str = "") -> None:
    """Print the median, the 95th percentile and the largest."""
    p50, p95 = statistics.median(times), float(np.percentile(times, 95))
    print(f"  {name:34} {p50:9.1f} {p95:9.1f} {max(times):9.1f} ms {p50 / forward:7.2f} forwards  {more}", flush=True)


def measure(text: str, cells: int) -> None:
    """Measure one network."""
    name, _, shape = text.partition(":")
    session, key = open_session(Openable(runs=Path("runs"), given=name, input_text=shape)), "given"
    opening, graph = timed(lambda: ask(session, "graph", model=key))
    units = [unit for unit in graph.header["units"] if unit["value"] and unit["kind"] != "block"]
    opened = session.opened(key)
    blank = opened.blank[0]

    def forward() -> None:
        with torch.inference_mode():
            opened.network.module(blank)

    forward()
    one = min(timed(forward)[0] for _ in range(FORWARDS))
    print(f"{text}: {len(units)} values, one forward {one:.1f} ms, {torch.get_num_threads()} threads")
    row("open, with sizes and drawing", [opening], one, f"{len(graph.encoded()) / 1e3:.0f} kB")
    found = [timed(lambda n=n: ask(session, "run", model=key, image=f"sample:{n}", interventions=[])) for n in range(5)]
    row("new image: all values, prediction", [ms for ms, _ in found[1:]], one)
    run = found[-1][1].header["run"]
    times = [timed(lambda u=u: ask(session, "maps", run=run, value=u["value"], page=0, size=64))[0] for u in units]
    row("maps of a layer, first opened", times[1:], one, f"the first of the run {times[0]:.1f} ms")
    tables = [timed(lambda u=u: ask(session, "reach", model=key, value=u["value"])) for u in units]
    sizes = [len(packet.encoded()) / 1e3 for _, packet in tables]
    row("tables of a layer", [ms for ms, _ in tables], one, f"at most {max(sizes):.0f} kB")
    onward = timed(lambda: ask(session, "reach", model=key, value="input", direction="forward"))
    row("tables of all that a pixel reaches", [onward[0]], one, f"{len(onward[1].encoded()) / 1e3:.0f} kB")
    draws = np.random.default_rng(SEED)
    fields, numbers, steps = [], [], []
    for _ in range(cells):
        unit = units[int(draws.integers(len(units)))]
        shape_of = [*unit["shape"], 1, 1][:3]
        channel, *at = (int(draws.integers(size)) for size in shape_of)
        cell = {"run": run, "value": unit["value"], "c": channel, "at": at}
        fields.append(timed(lambda cell=cell: ask(session, "field", **cell))[0])
        took, worked = timed(lambda cell=cell: ask(session, "cell", **cell, page=0))
        numbers.append(took)
        terms = [term["operand"] for group in worked.header["groups"] for term in group["terms"] if term["operand"]]
        reads = [operand for operand in terms if operand["value"] != "weight"]
        if reads:
            down = {"run": run, "value": reads[0]["value"], "c": reads[0]["c"], "at": reads[0]["at"]}
            steps.append(timed(lambda down=down: ask(session, "cell", **down, page=0))[0])
    row("exact field of a cell", fields, one)
    row("a number worked out", numbers, one)
    row("one step into an operand", steps, one)
    last = units[-1]["value"]
    weights = {"run": run, "value": last, "c": 0, "at": [0, 0], "weights": "gradient"}
    row("gradient of a cell, first", [timed(lambda: ask(session, "field", **weights))[0]], one)


def main() -> None:
    """Measure the networks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), metavar="NAME[:SHAPE]")
    parser.add_argument("--cells", type=int, default=200)
    asked = parser.parse_args()
    print(f"{'':36} {'p50':>9} {'p95':>9} {'largest':>9}")
    for name in asked.networks:
        measure(name, asked.cells)


if __name__ == "__main__":
    main()
