"""What `convscope look` writes: a folder of pictures and arrays, a page, JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convscope.cli.output import write_output
from convscope.files.writable import require_writable
from convscope.report.units import plural

if TYPE_CHECKING:
    from convscope.report.documented import Documented

JSON_VERSION = 1
RESULTS = ("folder", "html_path", "as_json")
"""The names of the options that say where the results go."""
OPENING = ("seed", "code", "trust_code")
"""The names of the options, beside the input's shape, that another command needs to open the same network."""


@dataclass(frozen=True)
class WrittenLook:
    """The files that are asked for.

    Args:
        folder: of pictures, arrays and the page; None for none.
        html_path: of the page alone.
        as_json: whether JSON is printed, and nothing else.

    Raises:
        ConvscopeError: what is asked for could not be written: the folder has a saved look, or a file is in the way.
    """

    folder: Path | None
    html_path: Path | None
    as_json: bool

    def __post_init__(self) -> None:
        if self.folder is not None:
            from convscope.interpret.look.saved import require_new

            require_new(self.folder)
            require_writable(self.folder, folder=True)
        if self.html_path is not None:
            require_writable(self.html_path)

    @property
    def has_page(self) -> bool:
        """Whether a page is written."""
        return self.folder is not None or self.html_path is not None

    def write(self, found: Documented) -> list[str]:
        """Write a look, a comparison or feature maps; print them where JSON is asked for. Return what to say of it."""
        from convscope.interpret.look.saved import Savable, save_page
        from convscope.report.json_values import json_text

        lines = []
        if self.folder is not None:
            results = found.results() if isinstance(found, Savable) else {"random convolution": found}
            files = save_page(self.folder, found, results)
            lines.append(f"wrote {plural(len(files), 'file')} into {self.folder}")
        if self.html_path is not None:
            write_output(self.html_path, found.to_html(), parents=True)
            lines.append(f"wrote {self.html_path}")
        if self.as_json:
            click.echo(json_text({"version": JSON_VERSION, **found.to_dict()}))
        return lines
