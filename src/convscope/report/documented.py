"""Results with a Document, from which their printed form, their notebook form and their page are written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convscope.api.public import checked, checked_methods
from convscope.report.short_repr import ShortRepr

# The writers are imported when they are called: a recipe is a result too, and is read where nothing is shown of it.
if TYPE_CHECKING:
    from rich.console import RenderableType

    from convscope.report.document import Document
    from convscope.report.svg import Drawing


class Documented(ShortRepr, ABC):
    """A result: `print(result)` shows it, its repr is one line, a notebook shows it, `.to_html()` is a page of it.

    A dataclass must be declared with `repr=False`, and, as it may hold arrays, with `eq=False`: a result is equal to
    itself alone, but for a recipe, which is equal where its settings are. The docstring of its `to_dict` lists the
    keys under "Keys:".

    >>> from convscope.report.document import Document, Paragraph
    >>> class Found(Documented):
    ...     def headline(self): return "nothing"
    ...     def document(self): return Document("found", (Paragraph("nothing"),))
    ...     def to_dict(self): return {"found": 0}
    >>> Found()
    <Found nothing>
    >>> print(Found())
    found
    <BLANKLINE>
    nothing
    """

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Check the arguments of the public methods, as those of public functions are."""
        super().__init_subclass__(**kwargs)
        checked_methods(cls)

    @abstractmethod
    def headline(self) -> str:
        """Return what it is and the main figure, in a few words."""

    @abstractmethod
    def document(self) -> Document:
        """Return what is shown of the result."""

    @abstractmethod
    def to_dict(self) -> Mapping[str, Any]:
        """Return the values as JSON's types; NaN and infinities as "nan", "inf", "-inf", None for what is unknown."""

    @checked
    def to_html(self) -> str:
        """Return a self-contained HTML page."""
        from convscope.report.html import document_page

        return document_page(self.document())

    def __str__(self) -> str:
        from convscope.report.terminal import document_text

        return document_text(self.document())

    def __rich__(self) -> RenderableType:
        from convscope.report.terminal import rich_document

        return rich_document(self.document())

    def _repr_html_(self) -> str:
        from convscope.report.html import document_fragment

        return document_fragment(self.document())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print in IPython's terminal the readable form, and inside a list or another container the line."""
        printer.text(repr(self) if cycle or len(printer.stack) > 1 else str(self))


class Pictured(Documented):
    """A result with a picture."""

    __slots__ = ()

    @abstractmethod
    def figure(self) -> Drawing:
        """Draw it: a notebook shows the drawing, `.save("figure.svg")` writes it."""

    @property
    def svg(self) -> str:
        """The figure as the text of an SVG file."""
        return self.figure().document()
