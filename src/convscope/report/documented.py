"""Records with a Document, from which their printed form, their notebook form and their page are written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convscope.report.document import Document
from convscope.report.html import document_fragment, document_page
from convscope.report.terminal import document_text, rich_document

if TYPE_CHECKING:
    from rich.console import RenderableType


class Documented(ABC):
    """A record with a Document: `print(record)` shows it, a notebook shows it, `.to_html()` is a page of it.

    >>> from convscope.report.document import Paragraph
    >>> class Found(Documented):
    ...     def document(self): return Document("found", (Paragraph("nothing"),))
    ...     def to_dict(self): return {"found": 0}
    >>> print(Found())
    found
    <BLANKLINE>
    nothing
    """

    __slots__ = ()

    @abstractmethod
    def document(self) -> Document:
        """Return what is shown of the record."""

    @abstractmethod
    def to_dict(self) -> Mapping[str, Any]:
        """Return the record's values as JSON's types."""

    def to_html(self) -> str:
        """Return a self-contained HTML page."""
        return document_page(self.document())

    def __str__(self) -> str:
        return document_text(self.document())

    def __rich__(self) -> RenderableType:
        return rich_document(self.document())

    def _repr_html_(self) -> str:
        return document_fragment(self.document())
