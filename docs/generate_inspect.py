"""Write the outputs into docs/inspect.md: `python docs/generate_inspect.py`. A test holds the page to them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).with_name("inspect.md")
_BLOCK = re.compile(r"```console\n\$ convscope (.+)\n(?:.*\n)*?```")


def refreshed(page: str, folder: Path) -> str:
    """Return the page with every console block's output as the command gives it now, run in `folder`."""
    for program in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, re.DOTALL):
        (folder / program[0]).write_text(program[1], encoding="utf-8")
    return _BLOCK.sub(lambda found: _block(found[1], folder), page)


def _block(command: str, folder: Path) -> str:
    source = str(Path(__file__).parents[1] / "src")
    done = subprocess.run(
        [sys.executable, "-m", "convscope", *command.split()],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    lines = [line.rstrip() for line in done.stdout.rstrip("\n").splitlines()]
    return "```console\n" + "\n".join([f"$ convscope {command}", *lines]) + "\n```"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8"), Path(folder)), encoding="utf-8")
