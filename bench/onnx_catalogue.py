"""Export every network of the catalogue to ONNX, read it back, and write docs/onnx-catalogue.md.

    python bench/onnx_catalogue.py [--exporter older|new] [--network NAME ...] [--out docs/onnx-catalogue.md]
        [--files FOLDER] [--rows FILE]

`--files` keeps the exported files, most of the time, and takes those that are there; `--rows` keeps each row as soon as
it is measured, and goes on after the last one.

Needs onnx (and onnxscript for the new exporter). Every vector of a network gets other numbers first, as training would
give them: exporters merge tensors that are equal, and leave out biases of 0. Compared are the shapes and MACs of every
operation that has any, the outputs' shapes, the parameters but for batch normalization that the exporter folded, and
the outputs on one random input.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from convscope.capture.capture import capture
from convscope.capture.load import load
from convscope.nets import catalogue
from convscope.nets.build import build
from onnx_files import costs, exported, folded, trained


@dataclass(frozen=True)
class Row:
    """One network: what is equal, and by how many parameters the file has fewer."""

    name: str
    exporter: str
    error: str | None
    shapes: bool
    macs: bool
    parameters: int
    file_parameters: int
    folded: int
    difference: float

    @property
    def equal(self) -> bool:
        """Whether all is equal; parameters where the network has no buffer or head that only training uses."""
        return self.error is None and self.shapes and self.macs and self.difference < 1e-4


def measure(name: str, *, new: bool, files: Path | None = None) -> Row:
    """Export one network, unless it is among the files already, read it back and compare."""
    shape = catalogue.find(name).input_shape
    torch.manual_seed(0)
    network = trained(build(name))
    x = torch.rand(1, *shape)
    with tempfile.TemporaryDirectory() as folder:
        path = (files or Path(folder)) / f"{name}-{'new' if new else 'older'}.onnx"
        if not path.exists():
            exported(network, shape, path.with_suffix(".part"), dynamo=new).rename(path)
        found = load(path).module
        assert found is not None
    theirs, ours = capture(network, shape), capture(found, shape)
    with torch.no_grad():
        wanted, got = network(x), found(x)
    return Row(
        name, "new" if new else "older", ours.error,
        [ours.shape(v) for v in ours.outputs] == [theirs.shape(v) for v in theirs.outputs]
        and [shape for shape, _ in costs(ours)] == [shape for shape, _ in costs(theirs)],
        ours.macs == theirs.macs and costs(ours) == costs(theirs) and not ours.uncounted,
        theirs.parameter_count, ours.parameter_count, folded(theirs, ours),
        float((wanted - got).abs().max() / wanted.abs().max()),
    )  # fmt: skip


def page(rows: list[Row]) -> str:
    """Return the table as Markdown."""
    lines = [
        "# The catalogue through ONNX", "",
        f"`python bench/onnx_catalogue.py`, with torch {torch.__version__.partition('+')[0]}. Shapes and MACs of every "
        "operation, read back from the file, against the network's own; parameters but for folded batch normalization; "
        "the largest difference of the outputs, relative to the largest output.", "",
        "| network | exporter | shapes | MACs | parameters | in the file | folded | other | outputs differ by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for r in rows:
        other = r.parameters - r.file_parameters - r.folded
        same = {True: "equal", False: "**differ**"}
        lines.append(
            f"| {r.name} | {r.exporter} | {r.error or same[r.shapes]} | {same[r.macs]} | {r.parameters:,} | "
            f"{r.file_parameters:,} | {r.folded:,} | {other:,} | {r.difference:.0e} |"
        )
    return "\n".join([
        *lines, "",
        "other: auxiliary heads that only training uses, which are not exported (positive), and buffers, which a file "
        "does not distinguish from parameters (negative).", "",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Export the catalogue to ONNX and read it back.")
    parser.add_argument("--exporter", choices=["older", "new"], action="append")
    parser.add_argument("--network", action="append", choices=catalogue.names())
    parser.add_argument("--out", type=Path)
    parser.add_argument("--files", type=Path, help="folder that keeps the exported files")
    parser.add_argument("--rows", type=Path, help="file that keeps the rows, to go on after an interruption")
    options = parser.parse_args()
    if options.files:
        options.files.mkdir(parents=True, exist_ok=True)
    kept = options.rows.read_text().splitlines() if options.rows and options.rows.exists() else []
    known = {(row.name, row.exporter): row for row in (Row(**json.loads(line)) for line in kept)}
    rows = []
    for name in options.network or catalogue.names():
        for exporter in options.exporter or ["older", "new"]:
            row = known.get((name, exporter))
            if row is None:
                row = measure(name, new=exporter == "new", files=options.files)
                print(row, flush=True)
                if options.rows:
                    with options.rows.open("a") as file:
                        file.write(json.dumps(asdict(row)) + "\n")
            rows.append(row)
            if options.out:
                options.out.write_text(page(rows))


if __name__ == "__main__":
    main()
