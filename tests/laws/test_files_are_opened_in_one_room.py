"""Files that a user names are opened by `convscope.files` alone; what else opens one stands here, with the reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from source_trees import source_trees

ROOM = "files"
OPENERS = frozenset(
    {
        "fromfile", "loadtxt", "genfromtxt", "load_file", "memmap", "open", "read_bytes", "read_text", "safe_open",
        "DictReader", "TarFile", "ZipFile",
    }
)  # fmt: skip
# json.load, tomllib.loads, np.load, torch.load, pickle.load ...: what reads any bytes as values.
PARSERS = frozenset({"json", "tomllib", "np", "numpy", "torch", "pickle", "csv"})
PARSING = frozenset({"load", "loads", "reader"})

ALLOWED = {
    "cli/deadline.py": {"read_text", "json.loads"},  # /proc; what its child has just said
    "cli/main.py": {"read_bytes"},  # /proc
    "cli/output.py": {"open"},  # the null device
    "data/inputs/array_file.py": {"ZipFile"},  # bytes in memory
    "interpret/look/saved.py": {"ZipFile"},  # written into memory
    "data/pixels/cache.py": {"open", "memmap"},  # writes an entry; maps one, which is a regular file by then
    "data/pixels/decode.py": {"Image.open"},  # bytes in memory
    "data/pixels/libtiff.py": {"read_text"},  # /proc
    "data/shards/tar_index.py": {"tarfile.TarFile"},  # a file that is open already
    "data/shards/write_shards.py": {"open", "tarfile.open"},  # writes into a folder that it has made
    "data/sources/cifar.py": {"memmap"},  # after require_regular
    "data/sources/digits.py": {"np.load"},  # the package's own images, bytes in memory
    "data/sources/sheet.py": {"csv.reader"},  # text in memory
    "report/csv_table.py": {"csv.reader"},  # text in memory
    "report/raster.py": {"Image.open"},  # bytes in memory
    "runs/atomic_files.py": {"open"},  # writes beside the place, and flushes folders
    "runs/lock.py": {"open"},  # the folder, for its lock
    "training/timing/accuracy_table.py": {"read_text", "DictReader"},  # the package's own table
    "training/autotune/kept.py": {"json.loads"},  # what json.dumps has just made
    "hardware/allocator.py": {"read_text"},  # /proc
    "hardware/machine.py": {"read_text"},  # /proc and /sys
    "hardware/run_queue.py": {"read_text"},  # /proc
    "course/texts.py": {"read_text", "tomllib.loads"},  # the package's own tables
    "exercises/texts.py": {"read_text", "tomllib.loads"},  # the package's own table
    "report/html.py": {"read_text"},  # the package's own style sheet
    "studio/trainings/child_process.py": {"open"},  # what a process prints, in a folder that the server has made
    "studio/server/launch.py": {"open"},  # a link, in a browser
    "studio/server/static_files.py": {"read_bytes"},  # the package's own page
    "nets/catalogue.py": {"read_text"},  # the package's own source
    "studio/exporting/page_parts.py": {"read_bytes"},  # the package's own page
    "nets/onnx/tensors.py": {"memmap"},  # of a file that convscope.files opened
    "experiments/ablation/worker_pool.py": {"json.loads"},  # lines of its own pool
}


def openings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The calls in a module that open a file or read values, as they are written: (line, name)."""
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("convscope.files"):
            imported |= {alias.name: node.module for alias in node.names}
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in OPENERS and called.id not in imported:
            yield node.lineno, called.id
        elif isinstance(called, ast.Attribute):
            of = called.value.id if isinstance(called.value, ast.Name) else ""
            if called.attr in PARSING and of in PARSERS:
                yield node.lineno, f"{of}.{called.attr}"
            elif called.attr in OPENERS:
                yield node.lineno, f"{of}.{called.attr}" if of in ("Image", "tarfile") else called.attr


def test_no_other_room_opens_a_file_by_name() -> None:
    found: dict[str, set[str]] = {}
    for name, tree in source_trees().items():
        if name.startswith(f"{ROOM}/"):
            continue
        for line, call in openings(tree):
            allowed = call in ALLOWED.get(name, ())
            assert allowed, f"{name}:{line} calls {call}: read by convscope.files, or say here why it need not"
            found.setdefault(name, set()).add(call)
    gone = {name: calls - found.get(name, set()) for name, calls in ALLOWED.items() if calls - found.get(name, set())}
    assert not gone, f"nothing of the kind is left there: {gone}"
