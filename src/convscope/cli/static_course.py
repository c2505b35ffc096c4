"""The course as one file, for `convscope studio --course`."""

from __future__ import annotations

from pathlib import Path

from convscope.cli.given_options import take_only
from convscope.cli.output import echo, write_output
from convscope.files.writable import require_folder_of


def write_course(path: Path) -> None:
    """Write the static course to a file, over one that is there, and print what it holds.

    Raises:
        ConvscopeError: the file can't be written.
        click.UsageError: the command line has other options or arguments.
    """
    take_only("--course writes a file and starts no server", ("course_file",))
    require_folder_of(path)
    from convscope.studio.exporting.static_course import DRAWS, static_course

    page = static_course()
    write_output(path, page.decode())
    echo(f"{path}: the course with {DRAWS} draws of each exercise, {len(page) / 1e6:.1f} MB")
