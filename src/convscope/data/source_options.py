"""What a user says of a source beyond its path: the columns of a table, and which images belong together."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from convscope.data.name_pattern import NamePattern
from convscope.errors import DataError, did_you_mean

SEPARATORS: Final[dict[str, str]] = {"bar": "|", "semicolon": ";", "comma": ",", "blank": " "}
# A cell is one class.
NO_SEPARATOR = "none"


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """The columns of a table, and the groups of images that no split parts; what is left empty is found.

    Args:
        image_column: the column that names the images, by its name, or by its number, from 1.
        image_folder: the folder that these names begin at.
        image_ending: what is added to them, like .jpg.
        label_column: the column of labels, or several, separated by commas.
        label_separator: what separates several labels in a cell, a word of SEPARATORS; none: a cell is one class.
        group_column: the column of groups.
        group_by: the part of a file's name that is its group: see `NamePattern`.

    Raises:
        DataError: a value that can't be meant.

    >>> SourceOptions(image_ending="jpg").image_ending
    '.jpg'
    """

    image_column: str = ""
    image_folder: str = ""
    image_ending: str = ""
    label_column: str = ""
    label_separator: str = ""
    group_column: str = ""
    group_by: str = ""

    def __post_init__(self) -> None:
        ending = self.image_ending.strip()
        if ending and (ending.strip(".") == "" or {"/", "\\"} & set(ending)):
            raise DataError(f"image_ending is {self.image_ending!r}: it is the end of files' names, like .jpg")
        if ending and not ending.startswith((".", "_", "-")):
            ending = f".{ending}"
        object.__setattr__(self, "image_ending", ending)
        if self.label_separator not in ("", *(words := (*SEPARATORS, NO_SEPARATOR))):
            near = did_you_mean(self.label_separator, words)
            raise DataError(f"label_separator is {self.label_separator!r}: it is one of {', '.join(words)}.{near}")
        if self.group_by:
            NamePattern.parse(self.group_by)
        if self.group_by and self.group_column:
            raise DataError(
                f"group_column {self.group_column} and group_by {self.group_by} both say which images belong together: "
                "leave one out"
            )

    @property
    def given(self) -> dict[str, str]:
        """The options that are given, by name."""
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name)) != item.default}

    def of_table(self) -> str:
        """Return the first given of the options that a table alone has, as "name value"; "" if there is none."""
        return next((f"{name} {value}" for name, value in self.given.items() if name != "group_by"), "")

    def require_no_table(self, source: str) -> None:
        """Raise DataError if an option is given that a table alone has."""
        if said := self.of_table():
            raise DataError(f"{said}: {source} is read without a table: name the .csv file, or leave it out")

    def require_none(self, source: str) -> None:
        """Raise DataError if any option is given."""
        for name, value in self.given.items():
            instead = "give (images, labels, groups)" if name.startswith("group") else "leave it out"
            raise DataError(f"{name} {value}: {source} have no columns and no names: {instead}")


AS_FOUND = SourceOptions()
