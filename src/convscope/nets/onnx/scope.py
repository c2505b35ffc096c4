"""Which module a node is of, by what its exporter wrote, and the tree of modules that the nodes become."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from convscope.nets.onnx.step import OnnxStep

_LONGEST = 80


def scope_of(node: Any) -> tuple[str, str]:
    """Return the path of a node's module and that module's class; "" where the exporter says nothing.

    Torch's exporter writes lists of scopes and classes; its older one, names such as /layer1/layer1.0/conv1/Conv.
    """
    facts = {entry.key: entry.value for entry in node.metadata_props}
    scopes, classes = (_texts(facts.get(f"pkg.torch.onnx.{key}", "")) for key in ("name_scopes", "class_hierarchy"))
    if len(scopes) > 1 and len(scopes) == len(classes):
        return scopes[-2], classes[-2].rpartition(".")[2]
    if not node.name.startswith("/"):
        return "", ""
    path, last = "", ""
    for part in node.name.strip("/").split("/")[:-1]:
        nested = bool(last) and part.startswith(f"{last}.")
        path = f"{path}{part[len(last) :]}" if nested else f"{path}.{part}" if path else part
        last = part
    return path, ""


def _texts(written: str) -> list[str]:
    """Return a list of texts as Python writes it."""
    if len(written) > 65_536:
        return []
    try:
        found = ast.literal_eval(written) if written else []
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    return found if isinstance(found, list) and all(isinstance(item, str) for item in found) else []


def paths_of(steps: Sequence[OnnxStep], weights: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the module's path of each node, all different.

    Args:
        steps: the nodes.
        weights: the name of the first weight of each; "" where it has none.
    """
    wanted = [_wanted(step, weight) for step, weight in zip(steps, weights, strict=True)]
    holders = {path[:depth] for path in wanted for depth in range(len(path))}
    count = Counter(wanted)
    taken: Counter[tuple[str, ...]] = Counter()
    paths: list[tuple[str, ...]] = []
    for step, path in zip(steps, wanted, strict=True):
        path = path if path and count[path] == 1 and path not in holders else (*path, _clean(step.operator).lower())
        while path in holders or taken[path]:
            taken[path] += 1
            path = (*path[:-1], f"{path[-1]}_{taken[path] + 1}")
        taken[path] += 1
        paths.append(path)
    return paths


def _wanted(step: OnnxStep, weight: str) -> tuple[str, ...]:
    """Return the path that a node should have: its weight's, its scope's, or its name's."""
    if "." in weight and re.fullmatch(r"[\w.]+", weight):
        return _parts(weight.rpartition(".")[0].split("."))
    if step.scope:
        return _parts(step.scope.split("."))
    if step.name.startswith(("node_", "/")):
        return ()
    return _parts(re.split(r"[/]", step.name)) if step.name else ()


def _parts(parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(_clean(part) for part in parts[:32] if part)


def _clean(part: str) -> str:
    return re.sub(r"[^\w-]", "_", part)[:_LONGEST] or "_"
