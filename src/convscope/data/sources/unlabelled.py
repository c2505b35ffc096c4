"""Images that lie in no class folders, as a listing without classes: to be looked at, not to be trained on."""

from __future__ import annotations

import numpy as np

from convscope.data.listing import WHOLE, Listing, identity_of
from convscope.data.sources.measure import FileReader, typical_image
from convscope.data.sources.walk import Walk, folders_around
from convscope.files.regular import is_folder


def list_unlabelled(source: str) -> Listing | None:
    """Return the listing of every image file below a folder, without classes; None where there is none."""
    if not source or not is_folder(source):
        return None
    walk = Walk(around=folders_around(source))
    files = walk.collect(source)
    walk.follow_links()
    files.sort()
    if not files:
        return None
    paths = [file.path for file in files]
    size, channels = typical_image(paths)
    return Listing(
        source=source,
        kind="folder",
        classes=(),
        parts={WHOLE: len(paths)},
        labels=np.zeros(len(paths), np.int64),
        names=paths,
        read=FileReader(paths),
        identity=identity_of(source, files),
        image_size=size,
        channels=channels,
        problems=tuple(walk.problems),
    )
