"""Execute the notebooks, and write their outputs into them: `python docs/generate_notebooks.py [NAME.ipynb ...]`.

A notebook's cells are its source, to be edited in Jupyter or in the file; its outputs are written here. An output that
differs from the one that is there in times alone is kept, so that executing again changes nothing.
"""

from __future__ import annotations

import copy
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SECONDS = 300  # that one cell may take
# "1,138        1.3 s", of images a second and of time; "0.05 s", "2 min", "4.1 times".
_TIMES = re.compile(r"(?:[\d,]+ +)?[\d.,]+ (?:ms|s|min|h)\b")


def executed(notebook: Any) -> Any:
    """Return the notebook as a kernel of its own executes it, in a folder that is then removed.

    Errors of cells are outputs, as in Jupyter.
    """
    done = copy.deepcopy(notebook)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder, "work")
        work.mkdir()
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "CONVSCOPE_CACHE": f"{folder}/cache",
            "IPYTHONDIR": f"{folder}/ipython",
        }
        # Sockets in the folder: no port that another process may take first.
        sockets = {"transport": "ipc", "ip": f"{folder}/k", "connection_file": f"{folder}/kernel.json"}
        client = NotebookClient(
            done,
            timeout=SECONDS,
            allow_errors=True,
            coalesce_streams=True,
            record_timing=False,
            resources={"metadata": {"path": str(work)}},
            config=Config(KernelManager=sockets),
        )
        client.execute(env=environment)
    done.metadata = nbformat.from_dict(METADATA)
    for cell in code_cells(done):
        for output in cell.outputs:
            output.get("data", {}).pop("image/jpeg", None)  # Pillow sends an image twice
    return done


def code_cells(notebook: Any) -> list[Any]:
    """Return the cells of code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def without_times(outputs: list[Any]) -> str:
    """Return outputs as JSON, less the times in them.

    >>> without_times([{"text": "1/5  2.01  1,138  1.3 s"}])
    '[{"text": "1/5  2.01  "}]'
    """
    return _TIMES.sub("", json.dumps(outputs, sort_keys=True))


def refreshed(notebook: Any) -> Any:
    """Return the notebook with the outputs that its cells have now."""
    done = executed(notebook)
    for cell, before in zip(code_cells(done), code_cells(notebook), strict=True):
        if without_times(cell.outputs) == without_times(before.outputs):
            cell.outputs = before.outputs
    return done


if __name__ == "__main__":
    for path in [Path(name) for name in sys.argv[1:]] or NOTEBOOKS:
        text = nbformat.writes(refreshed(nbformat.read(path, as_version=4)))
        path.write_text(text + "\n", encoding="utf-8")
