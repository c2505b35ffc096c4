"""The images that the page names, as a network is given them: samples, uploads, the command line's, those of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from convscope.data.image_item import image_item
from convscope.data.pixels.structure import read_header
from convscope.data.records import Decoding, ImageSet, Pixels
from convscope.errors import ConvscopeError, DataError
from convscope.files.regular import refused_as
from convscope.interpret.explanation.given import Given, NetworkInput
from convscope.report.png import png_bytes
from convscope.report.units import shape as shape_text
from convscope.runs.run_directory import Run
from convscope.runs.run_images import own_images
from convscope.studio.compute.cache import Cache
from convscope.studio.compute.interventions import changed_picture, changes_image, require_known
from convscope.studio.compute.opened_model import OpenedModel
from convscope.studio.compute.samples import as_input, drawn_sample
from convscope.studio.images import SAMPLE_PREFIX, SAMPLE_SIDE, UPLOAD_PREFIX, ImageSource, image_source
from convscope.studio.intervention_text import Intervention
from convscope.studio.models import Openable
from convscope.studio.protocol import PNG_TYPE, Packet, StudioError

MEGAPIXELS = 50
DRAWN_BYTES = 2**26  # of samples that are kept
RUNS_OPEN = 2  # whose images are kept open


class GivenImages:
    """Images by their keys.

    Args:
        openable: what may be opened.
    """

    def __init__(self, openable: Openable) -> None:
        self.openable = openable
        self._drawn: Cache[Pixels] = Cache(DRAWN_BYTES, lambda pixels: int(pixels.nbytes))
        self._of_runs: Cache[ImageSet] = Cache(RUNS_OPEN)

    def check(self, data: bytes, title: str) -> Packet:
        """Return what is known of an uploaded image; its key is the server's.

        Raises:
            DataError: it is none, or too large.
        """
        decoding = Decoding(size=(SAMPLE_SIDE, SAMPLE_SIDE)).limited(MEGAPIXELS)
        with refused_as(DataError, title or "the image"):
            image_item(data, title or "the image").decode(decoding)
            header = read_header(data)
        return Packet({"title": title, "width": header.width, "height": header.height, "notes": []})

    def find(self, key: str, body: bytes = b"") -> tuple[ImageSource, Given]:
        """Return an image by its key, in a form that `network_input` takes.

        Raises:
            StudioError: there is no such image, or it is gone.
        """
        source = image_source(key, self.openable)
        if key.startswith(UPLOAD_PREFIX):
            if not body:
                raise StudioError("that image is here no more: send it again, or choose a sample", "gone")
            return source, body
        if source.run:
            return source, self._of_run(source)
        if key.startswith(SAMPLE_PREFIX) and source.load.startswith("drawn/"):
            name = source.load.removeprefix("drawn/")
            pixels = self._drawn.get(name)
            if pixels is None:
                pixels = drawn_sample(name)
                self._drawn.put(name, pixels)
            return source, pixels
        return source, source.load

    def _of_run(self, source: ImageSource) -> Pixels:
        images = self._of_runs.get(source.run)
        try:
            if images is None:
                _, images = own_images(Run(self.openable.runs / source.run))
                self._of_runs.put(source.run, images)
        except ConvscopeError as reason:
            raise StudioError(f"the images of {source.run} can't be read: {reason}", "gone") from None
        number = int(source.load)
        if number >= len(images):
            raise StudioError(f"{source.run} has images 0 to {len(images) - 1}: {number} is none of them", "gone")
        return np.asarray(images.images[number])

    def png(
        self, key: str, opened: OpenedModel | None, interventions: Sequence[Intervention] = (), body: bytes = b""
    ) -> Packet:
        """Return an image as a PNG: as the network is given it after the changes, or without a network as it is."""
        require_known(interventions)
        if opened is None:
            source, given = self.find(key, body)
            decoding = Decoding(size=(SAMPLE_SIDE, SAMPLE_SIDE)).limited(MEGAPIXELS)
            pixels = np.asarray(image_item(given, source.title).decode(decoding))
        else:
            found = self.given(opened, key, interventions, body)[1].pixels
            if found is None:
                raise StudioError("what this network is given is no picture", "data")
            pixels = found
        height, width = pixels.shape[:2]
        return Packet({"key": key, "width": width, "height": height}, png_bytes(np.ascontiguousarray(pixels)), PNG_TYPE)

    def given(
        self, opened: OpenedModel, key: str, interventions: Sequence[Intervention], body: bytes = b""
    ) -> tuple[str, NetworkInput]:
        """Return an image's title, and the image as a network is given it, after the changes of images.

        Raises:
            DataError: the image is no input of this network, or is changed and no picture.
        """
        source, image = self.find(key, body)
        stands_in = key.startswith(SAMPLE_PREFIX) and not opened.takes_pictures
        found = self._stand_in(opened, source, image) if stands_in else opened.input_of(image)
        if not changes_image(interventions):
            return source.title, found
        normalization = opened.subject(found, source.title).normalization
        if found.pixels is None or normalization is None:
            raise DataError(
                "only an 8-bit picture can be shifted, turned, blurred, cut or occluded: this input is none"
            )
        pixels = changed_picture(found.pixels, interventions)
        return source.title, replace(found, tensor=opened.normalised(pixels, normalization), pixels=pixels)

    def _stand_in(self, opened: OpenedModel, source: ImageSource, image: Given) -> NetworkInput:
        """Return a sample as the input of a network that takes no pictures."""
        decoding = Decoding(size=(SAMPLE_SIDE, SAMPLE_SIDE))
        pixels = np.asarray(image_item(image, source.title).decode(decoding))
        shape = opened.network.input_shape or ()
        found = opened.input_of(torch.from_numpy(as_input(pixels, shape)))
        text = f"{opened.network.name} takes {shape_text(shape)}, no picture: its numbers are the sample's grey levels"
        return replace(found, pixels=None, notes=(text,))
