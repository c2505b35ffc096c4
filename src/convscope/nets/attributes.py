"""Attributes of modules, remembered and put back: a forward pass may change them, and cache tensors in them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

# Attributes of these types are put back with what they held.
_CONTAINERS = (dict, OrderedDict, list, set)


@contextmanager
def attributes_kept(network: nn.Module) -> Iterator[None]:
    """Give the attributes of a network's modules back, whatever a forward pass inside made of them."""
    remembered = [(module, *remember(module)) for module in network.modules()]
    try:
        yield
    finally:
        for module, attributes, contents in remembered:
            put_back(module.__dict__, attributes, contents)


def remember(module: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a module's attributes, and what those that are containers hold, empty ones left out."""
    attributes = module.__dict__.copy()
    return attributes, {k: value.copy() for k, value in attributes.items() if type(value) in _CONTAINERS and value}


def put_back(state: dict[str, Any], attributes: dict[str, Any], contents: dict[str, Any]) -> None:
    """Give a module its attributes back; nothing is touched where nothing changed."""
    if len(state) != len(attributes) or state.keys() != attributes.keys():
        for name in [name for name in state if name not in attributes]:
            del state[name]
    for name, value in attributes.items():
        if name not in state or state[name] is not value:
            state[name] = value
        if type(value) in _CONTAINERS and (value or name in contents):
            content = contents.get(name, ())
            if not _holds(value, content):
                value.clear()
                value.extend(content) if isinstance(value, list) else value.update(content)


def _holds(held: Any, content: Any) -> bool:
    """Return whether a container holds these very objects."""
    if len(held) != len(content):
        return False
    if isinstance(held, dict):
        return all(name in held and held[name] is value for name, value in content.items())
    return all(a is b for a, b in zip(held, content, strict=True)) if isinstance(held, list) else held == content
