"""Errors that a user's mistake raises: one base class, which the command line prints in one line with exit code 2.

A message says what was got, what is needed and what to do.

>>> raise GeometryError("kernel 7 spans 7, but the padded axis has 5: pad by 1 or use a kernel of 5 or less")
Traceback (most recent call last):
...
convscope.errors.GeometryError: kernel 7 spans 7, but the padded axis has 5: pad by 1 or use a kernel of 5 or less
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from convscope.aliases import name_of_ours


class ConvscopeError(Exception):
    """Base class of errors in what the user gave; the command line prints one line and exits 2."""


class ArgumentError(ConvscopeError):
    """An argument of a public function that is missing, not known, or of the wrong kind.

    Where its value is wrong, the message begins with `function`: `argument`.
    """

    function = argument = ""


class GeometryError(ConvscopeError):
    """Sizes that are inconsistent: a kernel that does not fit, groups that do not divide the channels."""


class CaptureError(ConvscopeError):
    """A model that can't be found, built, or run on the input given."""


class DataError(ConvscopeError):
    """Images or labels that can't be read or don't fit together."""


class RunError(ConvscopeError):
    """A recipe or run directory that can't be used."""


class PeerError(ConvscopeError):
    """Another process of the same training failed and has printed the reason; this process prints nothing."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the nearest known names as a clause that ends an error, or "" when none is near.

    >>> did_you_mean("resnet8", ["lenet5", "resnet18", "alexnet-mini"])
    ' Did you mean resnet18?'
    >>> did_you_mean("xyz", ["lenet5"])
    ''
    >>> did_you_mean("lr", ["epochs", "learning_rate"])
    ' Did you mean learning_rate?'
    """
    known = list(known)
    if ours := name_of_ours(name, known):
        return f" Did you mean {ours}?"
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if not near:
        return ""
    alike = [difflib.SequenceMatcher(None, other, name).ratio() for other in near]
    return f" Did you mean {' or '.join(other for other, r in zip(near, alike, strict=True) if r > alike[0] - 0.15)}?"


def nearest_names(name: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """Return the known names that are most like a name, however unlike they are; upper and lower case are the same.

    >>> nearest_names("shap", ["Lime", "KernelShap", "Occlusion", "GradientShap"], count=2)
    ['KernelShap', 'GradientShap']
    """
    by_lower = {other.lower(): other for other in known}
    return [by_lower[lower] for lower in difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.0)]
