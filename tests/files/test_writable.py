"""A file that can't be written is refused before the work whose result it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from convscope.errors import ConvscopeError
from convscope.files.writable import require_folder_of


def test_a_file_that_can_not_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "link.svg"
    link.symlink_to(tmp_path / "later.svg")
    for path in (None, tmp_path / "a.svg", link):
        require_folder_of(path)
    with pytest.raises(ConvscopeError, match=r"a\.svg can't be written: there is no folder .*none"):
        require_folder_of(tmp_path / "none" / "a.svg")
    with pytest.raises(ConvscopeError, match="can't be written: it is a folder"):
        require_folder_of(tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ConvscopeError, match=r"a\.svg can't be written: no permission to write"):
        require_folder_of(tmp_path / "a.svg")
