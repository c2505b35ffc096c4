"""The recorder: a dispatch mode that writes down every ATen operation while a module runs without memory.

Tensors inside are stand-ins on the `meta` device, which have a shape and no numbers. Real parameters, buffers and
constants may stay where they are: the recorder swaps in a stand-in when an operation touches one, so nothing of the
user's is read, copied or changed. Results are cached by operator, shapes and settings, so a deep network costs one
shape inference per distinct layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from convscope.capture.operators.table import read
from convscope.capture.readings import Call, Operand, Reading
from convscope.capture.schema import Operator, describe, plain
from convscope.capture.tracking import Memory, Signature, Tracked, signature_of
from convscope.capture.writeback import write_back
from convscope.graph.records import Argument, Node, Path, Ref, TensorSpec, Value, ValueKind

World = Literal["meta", "real"]

# Constants of more elements than this are not evaluated: their numbers decide nothing that we report.
_KNOWN_LIMIT = 4_000_000

_CACHE_LIMIT = 20_000

# Operations whose reading depends on the numbers in an index tensor.
_READS_INDEX = frozenset({"index", "_unsafe_index", "index_select", "gather", "take_along_dim", "index_put", "scatter",
                          "index_copy", "index_add"})  # fmt: skip


class NeedsNumbers(Exception):
    """The forward pass asks for the numbers in a tensor, and stand-ins have none."""


@dataclass(frozen=True, slots=True, eq=False)
class _Template:
    """What calls with the same operator, shapes and settings have in common.

    Args:
        results: one signature per return value; a list for a list of tensors, None for what is no tensor.
        reading: the operator table's answer.
        plain: the arguments as records keep them, tensors as `Operand`.
        holders: names of the arguments that are or hold tensors.
    """

    results: tuple[Signature | tuple[Signature, ...] | None, ...]
    reading: Reading
    plain: dict[str, Any]
    holders: tuple[str, ...]


_templates: dict[Any, _Template] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the model an operation runs: a module's path, and which of its calls this is."""

    path: str
    call: int


@dataclass(frozen=True, slots=True)
class Failure:
    """The operation that failed: its name and the shapes it was given."""

    target: str
    shapes: tuple[tuple[int, ...], ...]


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class has no types
    """Records operations as nodes and values; see the module's text.

    Args:
        named: id of each parameter and buffer -> (kind, name).
        world: "meta" runs on stand-ins; "real" computes, for forwards that look at numbers.
    """

    def __init__(self, named: Mapping[int, tuple[ValueKind, str]], world: World) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's class has no types
        self.values: list[Value] = []
        self.nodes: list[Node] = []
        self.place = Place("", 0)
        self.failure: Failure | None = None
        self.constants: dict[int, npt.NDArray[np.generic]] = {}
        self.touched: set[int] = set()
        self._named = named
        self._world = world
        self._by_id: dict[int, Tracked] = {}
        self._keep: list[Any] = []
        self._memories = 0
        # Per value: whether it depends on the input, and how to compute it where it does not.
        self._reached: list[bool] = []
        self._recipes: dict[int, tuple[Any, dict[str, Any], int]] = {}
        self._data: dict[int, torch.Tensor] = {}
        self._originals: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    # What capture asks.

    def add_input(self, tensor: torch.Tensor, name: str) -> int:
        """Register an input tensor."""
        tracked = self._adopt(tensor, tensor, "input", name)
        self._reached[tracked.value] = True
        return tracked.value

    def value_of(self, tensor: torch.Tensor) -> int | None:
        """The current value of a tensor, or None for one that was never seen."""
        tracked = self._by_id.get(id(tensor))
        return None if tracked is None else self._current(tracked)

    def restore(self) -> None:
        """Give the model's tensors that a real run has written their numbers back."""
        for tensor, saved in self._originals.values():
            with torch.no_grad():
                tensor.copy_(saved)
        self._originals.clear()

    # The dispatch mode.

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Record one operation and give back its result."""
        operator = describe(func)
        if operator.same:
            return self._same(func, args)
        if operator.reshapes_in_place:
            return self._reshape_in_place(func, operator, args, kwargs or {})
        settings: dict[str, Any] = dict(zip(operator.names, args, strict=False))
        if kwargs:
            settings.update(kwargs)
        if operator.factory:
            return self._make(func, operator, settings)
        key: list[Any] = [func]
        operands: list[Tracked] = []
        for name in operator.names:
            if name not in settings:
                settings[name] = operator.defaults.get(name)
            settings[name] = self._bind(settings[name], key, operands)
        try:
            return self._run(func, operator, settings, operands, tuple(key), (args, kwargs or {}))
        except NeedsNumbers:
            raise
        except Exception:
            self.failure = Failure(operator.target, tuple(t.signature.shape for t in operands))
            raise

    def _bind(self, argument: Any, key: list[Any], operands: list[Tracked]) -> Any:
        kind = type(argument)
        if argument is None or kind is int:
            key.append(argument)
            return argument
        if isinstance(argument, torch.Tensor):
            tracked = self._by_id.get(id(argument)) or self._first_seen(argument)
            operands.append(tracked)
            key.append(tracked.signature)
            return tracked
        if kind is list or kind is tuple:
            key.append(len(argument))
            return [self._bind(item, key, operands) for item in argument]
        if isinstance(argument, torch.Generator):
            return None
        key.append(kind)
        key.append(argument)
        return argument

    def _run(
        self, func: Any, operator: Operator, settings: dict[str, Any], operands: list[Tracked], key: Any, call: Any
    ) -> Any:
        for tracked in operands:
            self._current(tracked)
        if operator.needs_values:
            return self._run_on_numbers(func, operator, settings, operands)
        cacheable = self._world == "meta" and operator.base not in _READS_INDEX
        template = _templates.get(key) if cacheable else None
        if template is not None and operator.effect == "fresh":
            result: Any = tuple(
                None if r is None else [s.stand_in() for s in r] if isinstance(r, tuple) else r.stand_in()
                for r in template.results
            )
            if len(result) == 1:
                result = result[0]
        elif template is None or operator.effect == "view" or self._world == "real":
            self._save_originals(operator, settings)
            result = self._execute(func, operator, settings)
        else:
            result = None
        if template is None:
            template = self._template(operator, settings, operands, result)
            if cacheable:
                if len(_templates) >= _CACHE_LIMIT:
                    _templates.clear()
                _templates[key] = template
        return self._record(func, operator, settings, operands, template, result, call)

    def _execute(self, func: Any, operator: Operator, settings: dict[str, Any]) -> Any:
        actual = {name: _tensors(value) for name, value in settings.items()}
        if self._world == "meta" and actual.get("device") is not None:
            actual["device"] = torch.device("meta")
        names = operator.names
        positional = [actual[name] for name in names[: operator.positional]]
        return func(*positional, **{name: actual[name] for name in names[operator.positional :]})

    def _template(
        self, operator: Operator, settings: dict[str, Any], operands: list[Tracked], result: Any
    ) -> _Template:
        returned = result if isinstance(result, tuple) else (result,)
        results = tuple(
            signature_of(r)
            if isinstance(r, torch.Tensor)
            else tuple(signature_of(item) for item in r if isinstance(item, torch.Tensor))
            if isinstance(r, list | tuple)
            else None
            for r in returned
        )
        slots = iter(range(len(operands)))
        seen = {name: _operands(value, slots) for name, value in settings.items()}
        holders = tuple(name for name, value in seen.items() if _holds_operand(value))
        by_slot = dict(enumerate(operands))
        call = Call(
            op=operator.base,
            overload=operator.overload,
            arguments=seen,
            operands=tuple(Operand(i, t.signature.shape, t.signature.spec.dtype) for i, t in by_slot.items()),
            outputs=tuple(s.shape for s in _flat(results)),
            pointwise=operator.pointwise,
            values=lambda operand: self._numbers(by_slot[operand.slot].value),
        )
        settled = {name: value if name in holders else plain(value) for name, value in seen.items()}
        return _Template(results, read(call), settled, holders)

    def _record(
        self,
        func: Any,
        operator: Operator,
        settings: dict[str, Any],
        operands: list[Tracked],
        template: _Template,
        result: Any,
        call: tuple[tuple[Any, ...], dict[str, Any]],
    ) -> Any:
        inputs = tuple(t.value for t in operands)
        if operator.effect == "write":
            targets = [settings[name] for name in operator.written]
            flat_targets = [t for target in targets for t in (target if isinstance(target, list) else [target])]
            outputs = self._note(func, settings, template, inputs, [t.signature for t in flat_targets])
            for tracked, value in zip(flat_targets, outputs, strict=True):
                self._wrote(tracked, value)
            if func._schema.returns and not any(operator.returned):
                return result
            originals = dict(zip(operator.names, call[0], strict=False)) | call[1]
            back = tuple(originals[name] for name in operator.returned if name is not None)
            return back[0] if len(back) == 1 else back or None
        made = [t for t in _flat(result if isinstance(result, tuple) else (result,)) if isinstance(t, torch.Tensor)]
        outputs = self._note(func, settings, template, inputs, list(_flat(template.results)))
        is_view = operator.effect == "view"
        for slot, (tensor, value) in enumerate(zip(made, outputs, strict=True)):
            memory = operands[0].memory if is_view else self._memory(self.values[value].storage)
            tracked = Tracked(tensor, self._signature(template, slot), memory, value, memory.generation)
            if is_view:
                tracked.parent = operands[0]
                tracked.view = (func, settings, slot)
            self._by_id[id(tensor)] = tracked
            self._keep.append(tensor)
        return result

    def _signature(self, template: _Template, slot: int) -> Signature:
        signature: Signature = _flat(template.results)[slot]
        return signature

    def _note(
        self, func: Any, settings: dict[str, Any], template: _Template, inputs: tuple[int, ...], made: list[Signature]
    ) -> list[int]:
        """Write down a node and its values; the storages are right for views and writes as well."""
        operator = describe(func)
        reading = template.reading
        reached = any(self._reached[v] for v in inputs)
        known = not reached and all(v in self._data or v in self._recipes for v in inputs)
        index = len(self.nodes)
        first = len(self.values)
        name = f"{self.place.path}:{reading.op}" if self.place.path else reading.op
        kind: ValueKind = "constant" if known else "activation"
        storages = self._storages(operator, settings, inputs, len(made))
        for slot, (signature, storage) in enumerate(zip(made, storages, strict=True)):
            self.values.append(Value(first + slot, signature.spec, kind, name, index, storage))
            self._reached.append(reached)
            if known:
                self._recipes[first + slot] = (func, _frozen(settings), slot)
        arguments: dict[str, Argument] = dict(template.plain)
        for holder in template.holders:
            arguments[holder] = _references(settings[holder])
        paths: tuple[Path, ...] | None = ()
        if reached:
            paths = (
                None
                if reading.flows is None
                else tuple(
                    Path(inputs[f.source], first + f.output, f.steps, f.status)
                    for f in reading.flows
                    if self._reached[inputs[f.source]]
                )
            )
        outputs = tuple(range(first, first + len(made)))
        self.nodes.append(
            Node(
                index, reading.op, operator.target, self.place.path, self.place.call, inputs, outputs, arguments,
                paths, reading.macs, reading.formula, reading.windows, reading.groups,
            )
        )  # fmt: skip
        return list(outputs)

    def _storages(self, operator: Operator, settings: dict[str, Any], inputs: tuple[int, ...], count: int) -> list[int]:
        if operator.effect == "view":
            return [self.values[inputs[0]].storage] * count
        if operator.effect == "write":
            targets = [settings[name] for name in operator.written]
            return [t.memory.index for target in targets for t in (target if isinstance(target, list) else [target])]
        self._memories += count
        return list(range(self._memories - count, self._memories))

    def _memory(self, index: int) -> Memory:
        return Memory(index)

    # Tensors that come from outside.

    def _first_seen(self, tensor: torch.Tensor) -> Tracked:
        kind, name = self._named.get(id(tensor), ("constant", "constant"))
        stand_in = tensor
        if self._world == "meta" and not tensor.is_meta:
            signature = signature_of(tensor)
            stand_in = signature.stand_in()
        tracked = self._adopt(tensor, stand_in, kind, name)
        if not tensor.is_meta:
            self._data[tracked.value] = tensor.detach()
            if kind == "constant" and tensor.numel() <= _KNOWN_LIMIT:
                self.constants[tracked.value] = _as_numpy(tensor)
        return tracked

    def _adopt(self, tensor: torch.Tensor, stand_in: torch.Tensor, kind: ValueKind, name: str) -> Tracked:
        signature = signature_of(tensor)
        index = len(self.values)
        self._memories += 1
        self.values.append(Value(index, signature.spec, kind, name, None, self._memories - 1))
        self._reached.append(False)
        tracked = Tracked(stand_in, signature, Memory(self._memories - 1), index)
        self._by_id[id(tensor)] = tracked
        self._keep.append(tensor)
        if id(tensor) in self._named:
            self.touched.add(id(tensor))
        return tracked

    def _same(self, func: Any, args: tuple[Any, ...]) -> Any:
        source = args[0]
        tracked = self._by_id.get(id(source)) or self._first_seen(source)
        if describe(func).effect == "write":
            return source
        result: torch.Tensor = func(tracked.tensor)
        self._by_id[id(result)] = tracked
        self._keep.append(result)
        return result

    def _reshape_in_place(self, func: Any, operator: Operator, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`squeeze_`, `t_`, ...: the tensor becomes a view of what it was; recorded as the view's own operation."""
        source: torch.Tensor = args[0]
        tracked = self._by_id.get(id(source)) or self._first_seen(source)
        self._current(tracked)
        # The object keeps its name but not its shape, so the old view lives on in another one.
        before = Tracked(tracked.tensor.detach(), tracked.signature, tracked.memory, tracked.value, tracked.generation,
                         tracked.parent, tracked.view)  # fmt: skip
        pure = getattr(getattr(torch.ops.aten, operator.base), operator.overload)
        del self._by_id[id(source)]
        settings = dict(zip(operator.names, args, strict=False)) | kwargs
        settings = {name: settings.get(name, operator.defaults.get(name)) for name in describe(pure).names}
        settings[operator.names[0]] = before
        func(tracked.tensor, *args[1:], **kwargs)
        after = Tracked(tracked.tensor, signature_of(tracked.tensor), before.memory, -1, before.memory.generation,
                        before, (pure, settings, 0))  # fmt: skip
        after.value = self._emit(pure, settings)[0]
        self._by_id[id(source)] = after
        if source is not tracked.tensor:
            func(source, *args[1:], **kwargs)
        return source

    def _make(self, func: Any, operator: Operator, settings: dict[str, Any]) -> Any:
        """A tensor from nothing: recorded when it is first read, since many never are."""
        for name in operator.names:
            settings.setdefault(name, operator.defaults.get(name))
        result = self._execute(func, operator, settings)
        if not isinstance(result, torch.Tensor):
            return result
        self._memories += 1
        tracked = Tracked(result, signature_of(result), Memory(self._memories - 1), -1)
        tracked.pending = (func, operator, settings, result, self.place)
        self._by_id[id(result)] = tracked
        self._keep.append(result)
        return result

    def _record_factory(self, tracked: Tracked) -> None:
        func, operator, settings, result, place = tracked.pending
        tracked.pending = None
        here, self.place = self.place, place
        template = self._template(operator, settings, [], result)
        (tracked.value,) = self._note(func, settings, template, (), [tracked.signature])
        value = self.values[tracked.value]
        self.values[value.index] = Value(
            value.index, value.spec, "constant", value.name, value.producer, tracked.memory.index
        )
        self.place = here

    # Views and writes.

    def _wrote(self, tracked: Tracked, value: int) -> None:
        memory = tracked.memory
        memory.generation += 1
        memory.newest = tracked
        tracked.value = value
        tracked.generation = memory.generation

    def _current(self, tracked: Tracked) -> int:
        """The tensor's value, brought up to date with what was written through other views."""
        if tracked.pending is not None:
            self._record_factory(tracked)
        memory = tracked.memory
        if tracked.generation == memory.generation:
            return tracked.value
        newest = memory.newest
        assert newest is not None
        chain = tracked.chain
        if newest not in chain:
            self._write_back(newest)
        self._replay(chain)
        return tracked.value

    def _replay(self, chain: list[Tracked]) -> None:
        """Bring the last of a chain of views up to date, from the newest of its links on."""
        generation = chain[0].memory.generation
        fresh = max(i for i, link in enumerate(chain) if link.generation == generation)
        for parent, link in zip(chain[fresh:], chain[fresh + 1 :], strict=False):
            assert link.view is not None
            func, settings, output = link.view
            values = self._emit(func, {**settings, describe(func).names[0]: parent})
            link.value, link.generation = values[output], generation

    def _write_back(self, newest: Tracked) -> None:
        """Carry what was written through a view back to the memory's own tensor."""
        memory = newest.memory
        chain = newest.chain
        now, newest.generation = memory.generation, memory.generation
        # The links above the written view are as they were before the write: bring them to one earlier state.
        before = max(link.generation for link in chain[:-1])
        fresh = max(i for i, link in enumerate(chain[:-1]) if link.generation == before)
        for parent, link in zip(chain[fresh:-1], chain[fresh + 1 : -1], strict=False):
            assert link.view is not None
            func, settings, output = link.view
            link.value = self._emit(func, {**settings, describe(func).names[0]: parent})[output]
        for base, part in zip(chain[-2::-1], chain[:0:-1], strict=True):
            inverse = write_back(base, part)
            if inverse is None:
                assert part.view is not None
                base.value = self._lost(base, part)
            else:
                base.value = self._emit(*inverse)[0]
            base.generation = now
        memory.newest = chain[0]

    def _emit(self, func: Any, settings: dict[str, Any]) -> list[int]:
        """Record an operation that stands in for the sharing of memory."""
        operator = describe(func)
        for name in operator.names:
            settings.setdefault(name, operator.defaults.get(name))
        operands = [t for v in settings.values() for t in (v if isinstance(v, list) else [v]) if isinstance(t, Tracked)]
        result = self._execute(func, operator, settings)
        template = self._template(operator, settings, operands, result)
        made = list(_flat(template.results))
        return self._note(func, settings, template, tuple(t.value for t in operands), made)

    def _lost(self, base: Tracked, part: Tracked) -> int:
        """A write through a view that we can't invert: the base's new value depends on both, unknown how."""
        assert part.view is not None
        template = _Template((base.signature,), Reading("write_view", None, None), {}, ("self", "src"))
        settings = {"self": base, "src": part}
        return self._note(part.view[0], settings, template, (base.value, part.value), [base.signature])[0]

    def _save_originals(self, operator: Operator, settings: dict[str, Any]) -> None:
        if self._world == "meta":
            return
        names = operator.written or (("running_mean", "running_var") if "batch_norm" in operator.base else ())
        for name in names:
            for tracked in settings[name] if isinstance(settings[name], list) else [settings[name]]:
                if isinstance(tracked, Tracked) and id(tracked.tensor) in self._named:
                    saved = (tracked.tensor, tracked.tensor.detach().clone())
                    self._originals.setdefault(id(tracked.tensor), saved)

    # Numbers of constants.

    def _run_on_numbers(self, func: Any, operator: Operator, settings: dict[str, Any], operands: list[Tracked]) -> Any:
        if self._world == "real":
            result = self._execute(func, operator, settings)
        else:
            numbers = [self._numbers(t.value) for t in operands]
            if operator.base == "index" and not any(t.signature.dtype in (torch.bool, torch.uint8) for t in operands):
                result = self._execute(func, operator, settings)
            elif any(n is None for n in numbers):
                raise NeedsNumbers(operator.target)
            else:
                result = self._evaluated(func, operator, {k: _by_value(v) for k, v in settings.items()})
        if not any(isinstance(t, torch.Tensor) for t in _flat((result,))):
            return result
        results = _map(result, lambda t: signature_of(t).stand_in()) if self._world == "meta" else result
        template = self._template(operator, settings, operands, results)
        return self._record(func, operator, settings, operands, template, results, ((), {}))

    def _numbers(self, value: int) -> npt.NDArray[np.generic] | None:
        tensor = self._known(value)
        return None if tensor is None else _as_numpy(tensor)

    def _known(self, value: int) -> torch.Tensor | None:
        if value in self._data:
            return self._data[value]
        recipe = self._recipes.get(value)
        if recipe is None or self.values[value].spec.elements > _KNOWN_LIMIT:
            return None
        func, settings, slot = recipe
        result = self._evaluated(func, describe(func), settings)
        tensor = list(_flat(result if isinstance(result, tuple) else (result,)))[slot]
        assert isinstance(tensor, torch.Tensor)
        self._data[value] = tensor
        return tensor

    def _evaluated(self, func: Any, operator: Operator, settings: dict[str, Any]) -> Any:
        """Compute a constant for real, on the CPU; what it writes is a copy."""
        actual: dict[str, Any] = {}
        for name, setting in settings.items():
            actual[name] = _map(setting, self._real)
            if name in operator.written:
                actual[name] = actual[name].clone()
        if actual.get("device") is not None:
            actual["device"] = torch.device("cpu")
        names = operator.names
        positional = [actual[name] for name in names[: operator.positional]]
        return func(*positional, **{name: actual[name] for name in names[operator.positional :]})

    def _real(self, reference: Ref) -> torch.Tensor:
        tensor = self._known(reference.value)
        if tensor is None:
            raise NeedsNumbers("a constant's value")
        return tensor.cpu()


def _as_numpy(tensor: torch.Tensor) -> npt.NDArray[np.generic]:
    tensor = tensor.detach().cpu()
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.float()
    array: npt.NDArray[np.generic] = tensor.numpy()
    return array


def _tensors(setting: Any) -> Any:
    if isinstance(setting, Tracked):
        return setting.tensor
    return [_tensors(item) for item in setting] if isinstance(setting, list) else setting


def _operands(setting: Any, slots: Any) -> Any:
    if isinstance(setting, Tracked):
        return Operand(next(slots), setting.signature.shape, setting.signature.spec.dtype)
    return tuple(_operands(item, slots) for item in setting) if isinstance(setting, list) else setting


def _holds_operand(setting: Any) -> bool:
    return isinstance(setting, Operand) or (isinstance(setting, tuple) and any(map(_holds_operand, setting)))


def _references(setting: Any) -> Argument:
    if isinstance(setting, Tracked):
        return Ref(setting.value)
    if isinstance(setting, list):
        return tuple(_references(item) for item in setting)
    settled: Argument = plain(setting)
    return settled


def _by_value(setting: Any) -> Any:
    if isinstance(setting, Tracked):
        return Ref(setting.value)
    return [_by_value(item) for item in setting] if isinstance(setting, list) else setting


def _frozen(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: _by_value(value) for name, value in settings.items()}


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, Ref | torch.Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_map(item, change) for item in value)
    return value


def _flat(values: Any) -> list[Any]:
    return [leaf for v in values for leaf in (_flat(v) if isinstance(v, list | tuple) else [v]) if leaf is not None]


__all__ = ["Failure", "NeedsNumbers", "Place", "Recorder", "TensorSpec"]
