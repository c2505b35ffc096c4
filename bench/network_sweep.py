"""Inspect the networks of timm or torchvision, one by one, and write docs/timm-sweep.md or docs/torchvision-sweep.md.

    python bench/network_sweep.py [--library timm|torchvision] [--only TEXT] [--out docs/timm-sweep.md]

Needs the library (pip install timm torchvision). Of timm the smallest member of each family is taken, at its own input
size, of torchvision every builder. Parameters are compared with the library's, MACs with half of torch's
FlopCounterMode, on meta tensors, or on numbers where the network reads them; the sums over the table's rows with the
totals. Each network is inspected in a child process, whose time and memory are measured. Results are kept in a file
line by line: after Ctrl-C the same command goes on.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convscope.api.warning_filters import warnings_ignored
from convscope.capture.build import build_without_memory
from convscope.interpret.inspection.record import inspect
from convscope.report.document import Facts
from kit import timm_families, torchvision_networks
from kit.children import in_child

# What an inspection may take: the limits that are reported, and those at which a child is killed.
SECONDS, MEMORY = 10, 2 * 2**30
KILLED_AFTER, KILLED_ABOVE = 200, 6 * 2**30

Shapes = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Row:
    """What came of one network.

    Args:
        key: the family, or the builder.
        name: of the network.
        shapes: of one sample of each input.
        parameters: of the network itself; `found_parameters` and `row_parameters` are the inspection's, in its total
            and in the sum of its rows.
        macs: of the inspection's total; `row_macs` in the sum of its rows.
        counted: half of what FlopCounterMode counts; None where it raises.
        operations: nodes of the graph.
        unknown: operators without a rule, or without a count of MACs.
        field: the headline, and the field apart from gates and normalization.
        seconds: of the processor, to inspect and print.
        peak: resident bytes at the worst moment, with all that is imported.
        notes: of the inspection.
        problem: why there is no inspection, or what stopped the forward pass.
    """

    key: str
    name: str
    shapes: Shapes = ()
    parameters: int = 0
    found_parameters: int = 0
    row_parameters: int = 0
    macs: int = 0
    row_macs: int = 0
    counted: int | None = None
    operations: int = 0
    unknown: Sequence[str] = ()
    field: str = ""
    seconds: float = 0
    peak: int = 0
    notes: Sequence[str] = ()
    problem: str | None = None

    @property
    def findings(self) -> list[str]:
        """What is not as it should be."""
        if self.problem:
            return [self.problem]
        checks = {
            f"parameters {self.found_parameters - self.parameters:+,}": self.found_parameters != self.parameters,
            f"rows' parameters {self.row_parameters - self.found_parameters:+,}":
                self.row_parameters != self.found_parameters,
            f"rows' MACs {self.row_macs - self.macs:+,}": self.row_macs != self.macs,
            f"counter {(self.counted or 0) - self.macs:+,}": self.counted not in (None, self.macs),
            "counter does not run": self.counted is None,
            f"{self.seconds:.0f} s": self.seconds > SECONDS,
            f"{self.peak / 2**30:.1f} GB": self.peak > MEMORY,
        }  # fmt: skip
        return [what for what, wrong in checks.items() if wrong]


def seeded(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Return a builder that draws the same weights each time, so that what a network does with numbers is the same."""

    def factory() -> nn.Module:
        torch.manual_seed(0)
        return build()

    return factory


def half_of_flop_counter(factory: Callable[[], nn.Module], shapes: Shapes) -> int | None:
    """Return half of what FlopCounterMode counts: on meta tensors, or on numbers; None where the network raises."""

    def random(shape: tuple[int, ...]) -> torch.Tensor:  # as convscope makes them
        return torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))

    for meta in (True, False):
        try:
            model = build_without_memory(factory).to("meta") if meta else factory()
            inputs = [torch.empty(1, *shape, device="meta") if meta else random(shape) for shape in shapes]
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                # Without gradients: the counter's hooks fail on views of weights that ask for them.
                model.eval().requires_grad_(False)(*inputs)
        except Exception:  # whatever a forward raises
            continue
        return int(counter.get_total_flops()) // 2
    return None


def examine(key: str, name: str, build: Callable[[], nn.Module], shapes: Shapes) -> Row:
    """Inspect one network and compare."""
    factory = seeded(build)
    start = time.process_time()
    inspection = inspect(factory, shapes[0] if len(shapes) == 1 else list(shapes), name=name)
    str(inspection)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    graph = inspection.graph
    facts = [block for block in inspection.document().summary if isinstance(block, Facts)]
    found = {fact.name: fact.text for block in facts for fact in block.facts}
    return Row(
        key=key,
        name=name,
        shapes=shapes,
        parameters=sum(p.numel() for p in build_without_memory(factory).parameters()),
        found_parameters=inspection.parameters,
        row_parameters=sum(layer.parameters for layer in inspection.layers),
        macs=inspection.macs,
        row_macs=sum(layer.macs or 0 for layer in inspection.layers),
        counted=None if inspection.error else half_of_flop_counter(factory, shapes),
        operations=len(graph.nodes),
        unknown=sorted({n.target for n in graph.nodes if n.paths is None} | {n.target for n in graph.uncounted}),
        field="; ".join(found[what] for what in ("field", "local field") if what in found),
        seconds=seconds,
        peak=peak,
        notes=graph.notes,
        problem=inspection.error,
    )


def examine_timm(key: str, names: Sequence[str]) -> Row:
    """Inspect the smallest member of a family."""
    return examine(key, *timm_families.smallest(names))


def examine_torchvision(name: str) -> Row:
    """Inspect what a builder of torchvision makes."""
    return examine(name, name, torchvision_networks.builder(name), torchvision_networks.input_shapes(name))


def trials(library: str) -> dict[str, Callable[[], Row]]:
    """Return what examines each network, by key; those that are run on numbers last."""
    torchvision, _ = torchvision_networks.import_torchvision()
    if library == "timm":
        return {key: functools.partial(examine_timm, key, names) for key, names in timm_families.families().items()}
    names = sorted(torchvision.models.list_models(), key=lambda name: ("rcnn" in name or "net_resnet" in name, name))
    return {name: functools.partial(examine_torchvision, name) for name in names}


def read_rows(path: Path) -> dict[str, Row]:
    """Return the rows of a file by key, the last of each; none where there is no file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return {row.key: row for row in (Row(**json.loads(line)) for line in lines)}


def page(library: str, rows: Sequence[Row], stand_ins: Sequence[str]) -> str:
    """Return the table in Markdown."""
    ran = [row for row in rows if not row.problem]
    compared = [row for row in ran if row.counted is not None]
    unknown = Counter(op for row in ran for op in row.unknown)
    what = "smallest member of every family of timm" if library == "timm" else "builders of torchvision"
    lines = [
        f"# The {what}",
        "",
        f"Written by `python bench/network_sweep.py --library {library}` with {library} {version(library)} and torch "
        f"{torch.__version__}. Each network is inspected at its own input size in a process of its own; seconds are "
        "the processor's, to inspect and print; memory is the peak of the process, with all that is imported.",
        "",
        f"- {len(rows)} networks: {len(ran)} inspected, {len(rows) - len(ran)} not"
        + (f"; {', '.join(f'`{name}`' for name in stand_ins)} are stand-ins here" if stand_ins else ""),
        f"- parameters equal to the library's: {sum(r.parameters == r.found_parameters for r in ran)} of {len(ran)}",
        f"- MACs equal to half of `FlopCounterMode`: {sum(r.counted == r.macs for r in compared)} of the "
        f"{len(compared)} that run under it",
        "- sums over the rows equal to the totals: "
        f"parameters {sum(r.row_parameters == r.found_parameters for r in ran)}, "
        f"MACs {sum(r.row_macs == r.macs for r in ran)} of {len(ran)}",
        f"- within {SECONDS} s: {sum(r.seconds <= SECONDS for r in ran)}; within {MEMORY // 2**30} GB: "
        f"{sum(r.peak <= MEMORY for r in ran)} of {len(ran)}",
        "- operators without a rule or a count: "
        + (", ".join(f"`{op}` ({times})" for op, times in sorted(unknown.items())) or "none"),
        "",
        "| network | input | parameters | MACs | operations | field | s | GB | findings |",
        "|---|---|--:|--:|--:|---|--:|--:|---|",
    ]
    for row in rows:
        shapes = " and ".join("×".join(map(str, shape)) for shape in row.shapes)
        cells = [row.name, shapes, f"{row.parameters:,}", f"{row.macs:,}", f"{row.operations:,}", row.field,
                 f"{row.seconds:.1f}", f"{row.peak / 2**30:.1f}", "; ".join(row.findings)]  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--library", choices=["timm", "torchvision"], default="timm")
    parser.add_argument("--only", metavar="TEXT", help="examine those whose name contains this, anew")
    parser.add_argument("--results", type=Path, help="the file of results, line by line")
    parser.add_argument("--out", type=Path, help="write the table here instead of printing it")
    settings = parser.parse_args()
    results = settings.results or Path(tempfile.gettempdir()) / f"convscope-{settings.library}-sweep.jsonl"
    torch.set_num_threads(1)  # a process with threads must not fork
    with warnings_ignored():
        todo = trials(settings.library)
        done = read_rows(results)
        for key, trial in todo.items():
            if key in done if settings.only is None else settings.only not in key:
                continue
            row, problem = in_child(trial, seconds=KILLED_AFTER, memory=KILLED_ABOVE)
            done[key] = row or Row(key, key, problem=problem)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(done[key])) + "\n")
            print(f"{done[key].name:40} {done[key].seconds:5.1f} s  {'; '.join(done[key].findings)}", file=sys.stderr)
    _, stand_ins = torchvision_networks.import_torchvision()
    text = page(settings.library, [done[key] for key in sorted(todo) if key in done], stand_ins)
    if settings.out:
        settings.out.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
