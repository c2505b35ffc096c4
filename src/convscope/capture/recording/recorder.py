"""The recorder: a dispatch mode that writes down every ATen operation while a module runs.

Real parameters, buffers and constants stay where they are: the recorder swaps in a stand-in when an operation touches
one, so nothing of the user's is read, copied or changed. Results are made up from a cache by operator, shapes and
settings, so a deep network costs one shape inference per distinct layer.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch._C import DispatchKey
from torch._ops import HigherOrderOperator
from torch.utils._python_dispatch import TorchDispatchMode

from convscope.arrays import Array
from convscope.capture.recording.aliasing import SavedTensors, Tracked, catch_up, record_write, signature_of
from convscope.capture.recording.backends import Backend, call
from convscope.capture.recording.graph_builder import GraphBuilder, by_reference
from convscope.capture.recording.module_calls import ModuleCall
from convscope.capture.recording.numbers import NeedsNumbersError, as_array, convert, unmasked
from convscope.capture.recording.schema import Operator, describe, flat, is_composite
from convscope.capture.recording.shortcuts import results_of
from convscope.capture.recording.templates import NOT_CACHED, Template, cached, keep, template_of
from convscope.capture.recording.tracked_tensors import TrackedTensors
from convscope.capture.saved import Kept
from convscope.graph.records import ValueKind

# Operators that call functions, and refuse to while their operations are recorded.
_UNRECORDED = frozenset({"cond", "scan"})
# Constants up to this many elements are kept with the graph, so that it can be computed again.
_KEPT_CONSTANT = 1_000_000
# Elements of memory on the CPU up to which it is real: what lists of numbers take.
_SMALL_MEMORY = 4_096


@dataclass(frozen=True, slots=True)
class Failure:
    """An operation that failed: what it raised, its name, the settings and shapes that it was given."""

    problem: Exception
    operator: Operator
    arguments: dict[str, Any]
    shapes: tuple[tuple[int, ...], ...]


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class has no types
    """Records operations as nodes and values.

    Args:
        named: id of each parameter and buffer -> (kind, name).
        backend: where operations run.
    """

    # Torch asks: operators that call functions come here too, as `flex_attention`, `scan` and `cond`.
    supports_higher_order_operators = True

    def __init__(self, named: Mapping[int, tuple[ValueKind, str]], backend: Backend) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's class has no types
        self.builder = GraphBuilder()
        self.kept = Kept()
        self.place = ModuleCall("", 0)
        self.failure: Failure | None = None
        self.constants: dict[int, Array] = {}
        self.touched: set[int] = set()
        self.saved = SavedTensors()
        # Values whose numbers Python took; parameters that the model does not list, with where and in what they ran.
        self.read: set[int] = set()
        self.strays: dict[int, tuple[str, str, torch.Tensor]] = {}
        # Whether the forward pass gave numbers that stand-ins on meta lack, as `x[:, [2, 0]]` does.
        self.lacks_literals = False
        self._named = named
        self._backend = backend
        self._tensors = TrackedTensors()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Without this, torch imports its compiler (a second) when the mode first sees an operation."""
        return False

    # What a capture asks for.

    def add_input(self, tensor: torch.Tensor, name: str) -> int:
        """Register an input tensor and give back its value."""
        return self._adopt(tensor, tensor, "input", name).value

    def value_of(self, tensor: torch.Tensor) -> int:
        """Return the current value of a tensor; one that was never seen is a constant."""
        return self._current(self._tracked(tensor))

    def notice_read(self, tensor: torch.Tensor, *, printed: bool) -> None:
        """Note that Python takes the numbers of a tensor, or prints them.

        Raises:
            NeedsNumbersError: the tensor holds those from before a write, which ran on a stand-in.
        """
        tracked = self._tensors.of(tensor)
        if tracked is None or tracked.pending is not None:
            return
        self.read.add(tracked.value)
        stale = tracked.memory.generation and not self._backend.real and not tensor.is_meta
        if stale and not printed and type(tensor) in (torch.Tensor, torch.nn.Parameter):
            raise NeedsNumbersError("a tensor that the forward pass has written")

    def notice_strays(self, module: torch.nn.Module) -> None:
        """Note the parameters of a module that is not part of the model."""
        for parameter in module._parameters.values():
            if parameter is not None:
                self._notice_stray(parameter, type(module).__name__)

    def _notice_stray(self, parameter: torch.Tensor, kind: str) -> None:
        if parameter.requires_grad and id(parameter) not in self._named:
            self.strays[id(parameter)] = self.place.path, kind, parameter

    def kept_values(self) -> set[int]:
        """Return the values of tensors that are still referred to elsewhere when the forward pass is over."""
        return {tracked.value for tracked in self._tensors.kept_elsewhere() if tracked.pending is None}

    def pack(self, tensor: torch.Tensor) -> None:
        """Autograd keeps a tensor; weights are there anyway."""
        if id(tensor) in self._named and self._named[id(tensor)][0] == "parameter":
            return
        tracked = self._tracked(tensor)
        if tracked.pending is not None:
            self._record_factory(tracked)
        self.kept.packed(tracked.value, self.builder.nodes[-1] if self.builder.nodes else None)

    # The dispatch mode.

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Record one operation and give back its result."""
        if isinstance(func, HigherOrderOperator):
            return self._call_functions(func, args, kwargs or {})
        if is_composite(func):
            # Elsewhere autograd has taken such operators apart before they come here; inference skips autograd, and so
            # do the functions that an operator calls.
            with self:
                return func.decompose(*args, **(kwargs or {}))
        operator = describe(func)
        if operator.same:
            return self._same(func, operator, args)
        settings: dict[str, Any] = dict(zip(operator.names, args, strict=False))
        if kwargs:
            settings.update(kwargs)
        given = settings.copy() if operator.effect == "write" else settings
        key: list[Any] = [func]
        operands: list[Tracked] = []
        for name in operator.names:
            settings[name] = self._bind(settings.get(name, operator.defaults.get(name)), key, operands)
        try:
            if operator.factory:
                return self._make(func, operator, settings)
            if operator.reshapes_in_place:
                return self._reshape_in_place(func, operator, settings, given)
            for tracked in operands:
                self._current(tracked)
            self.kept.begin()
            read = (*zip(operator.names, args, strict=False), *(kwargs or {}).items())
            self.builder.detached = self._tensors.detached_among(one for one in read if one[0] not in operator.written)
            result = self._run(func, operator, settings, operands, tuple(key), given)
            self.builder.detached = ()
            self.kept.end(len(self.builder.nodes) - 1, operator.base)
            return result
        except NeedsNumbersError:
            raise
        except Exception as problem:
            if self.failure is None or self.failure.problem is not problem:
                shapes = tuple(t.signature.shape for t in operands)
                self.failure = Failure(problem, operator, _shapes_for_tensors(settings), shapes)
            raise

    def _call_functions(self, func: HigherOrderOperator, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record what the functions do that an operator calls, as `flex_attention` calls one for its scores."""
        kernel = func.py_kernels.get(DispatchKey.CompositeExplicitAutograd)
        if kernel is None or str(func) in _UNRECORDED:
            raise NotImplementedError(f"what torch's {func} calls can't be followed")
        with self:
            return kernel(*args, **kwargs)

    def _bind(self, argument: Any, key: list[Any], operands: list[Tracked]) -> Any:
        """Return an argument with tensors as what is known of them; its share of the cache's key; its tensors."""
        kind = type(argument)
        if argument is None or kind is int:
            key.append(argument)
            return argument
        if isinstance(argument, torch.Tensor):
            tracked = self._tensors.of(argument) or self._first_seen(argument)
            operands.append(tracked)
            key.append(tracked.signature)
            return tracked
        if kind is list or kind is tuple:
            key.append(len(argument))
            return [self._bind(item, key, operands) for item in argument]
        if isinstance(argument, torch.Generator):
            return None
        if isinstance(argument, torch.ScriptObject):  # packed weights, which have no comparison
            key.append(object())
            return argument
        key.append(kind)
        key.append(argument)
        return argument

    def _run(
        self,
        func: Any,
        operator: Operator,
        settings: dict[str, Any],
        operands: list[Tracked],
        key: Any,
        given: dict[str, Any],
    ) -> Any:
        if operator.needs_values and not self._backend.real:
            result = self._run_on_numbers(func, operator, settings)
            template = None
        else:
            template = cached(key) if self._backend.cacheable and operator.base not in NOT_CACHED else None
            # A tensor that takes a result is resized to it, and a view has a place in memory.
            if template is None or operator.effect == "view" or operator.outs:
                if self._backend.real:
                    self.saved.save(operator, settings)
                result = self._fresh(func, operator, settings)
            else:
                result = template.stand_ins() if operator.effect == "fresh" else None
        if not operator.written and not any(isinstance(leaf, torch.Tensor) for leaf in flat((result,))):
            self.read.update(tracked.value for tracked in operands)
            return result
        if template is None:
            template = template_of(operator, settings, operands, result, self.builder.numbers)
            if self._backend.cacheable and operator.base not in NOT_CACHED and not operator.needs_values:
                keep(key, template)
        if operator.effect == "write":
            return self._record_write(func, operator, settings, operands, template, given)
        self._record_results(func, operator, settings, operands, template, result)
        return result

    def _fresh(self, func: Any, operator: Operator, settings: dict[str, Any]) -> Any:
        """Run an operation that was not seen before."""
        signatures = results_of(operator.target, settings) if self._backend.cacheable else None
        if signatures is None:
            return self._backend.execute(func, operator, _tensors_of(settings))
        made = tuple(signature.stand_in() for signature in signatures)
        return made[0] if len(made) == 1 else made

    def _record_results(
        self,
        func: Any,
        operator: Operator,
        settings: dict[str, Any],
        operands: list[Tracked],
        template: Template,
        result: Any,
    ) -> None:
        view = operator.effect == "view"
        if view:
            memories = [operands[0].memory] * len(template.made)
        else:
            memories = [self.builder.new_memory() for _ in template.made]
        values = self.builder.add_node(func, settings, operands, template, memories, self.place)
        made = (result,) if isinstance(result, torch.Tensor) else flat(result)
        slot = 0
        for tensor in made:
            if not isinstance(tensor, torch.Tensor):
                continue
            tracked = Tracked(tensor, template.made[slot], memories[slot], values[slot], memories[slot].generation)
            if view:
                tracked.parent = operands[0]
                tracked.view = (func, settings, slot)
            self._tensors.add(tensor, tracked)
            slot += 1
        if self._backend.real and not view:
            self._tensors.count(sum(tensor.nbytes for tensor in made if isinstance(tensor, torch.Tensor)))

    def _record_write(
        self,
        func: Any,
        operator: Operator,
        settings: dict[str, Any],
        operands: list[Tracked],
        template: Template,
        given: dict[str, Any],
    ) -> Any:
        """Record a call that changes its arguments, which get new values; its results are the arguments themselves."""
        targets: list[Tracked] = flat([settings[name] for name in operator.written])
        if operator.outs and len(template.made) == len(targets):
            for tracked, signature in zip(targets, template.made, strict=True):
                tracked.signature = signature
        memories, signatures = [t.memory for t in targets], [t.signature for t in targets]
        values = self.builder.add_node(func, settings, operands, template, memories, self.place, signatures)
        for tracked, value in zip(targets, values, strict=True):
            record_write(tracked, value)
        returned = tuple(given[name] for name in operator.returned if name is not None)
        return returned[0] if len(returned) == 1 else returned or None

    # Tensors that come from outside, or from nothing.

    def _tracked(self, tensor: torch.Tensor) -> Tracked:
        return self._tensors.of(tensor) or self._first_seen(tensor)

    def _first_seen(self, tensor: torch.Tensor) -> Tracked:
        kind, name = self._named.get(id(tensor), ("constant", "constant"))
        tracked = self._adopt(tensor, self._backend.stand_in(tensor, signature_of(tensor)), kind, name)
        self.saved.add(tracked.memory)
        if id(tensor) in self._named:
            self.touched.add(id(tensor))
        elif isinstance(tensor, torch.nn.Parameter) and id(tensor) not in self.strays:
            self._notice_stray(tensor, "Parameter")
        if tensor.is_meta and kind == "constant":
            self.lacks_literals = True
        if type(tensor) in (torch.Tensor, torch.nn.Parameter) and not tensor.is_meta:
            if kind == "constant":
                self._know(tracked.value, tensor)
            else:
                self.builder.numbers.give(tracked.value, tensor)
        return tracked

    def _know(self, constant: int, numbers: torch.Tensor) -> None:
        self.builder.numbers.give(constant, numbers)
        if numbers.numel() <= _KEPT_CONSTANT and numbers.layout is torch.strided:
            self.constants[constant] = as_array(numbers).copy()

    def _adopt(self, tensor: torch.Tensor, stand_in: torch.Tensor, kind: ValueKind, name: str) -> Tracked:
        signature, memory = signature_of(tensor), self.builder.new_memory()
        tracked = Tracked(stand_in, signature, memory, self.builder.add_value(signature, kind, name, memory))
        self._tensors.add(tensor, tracked)
        return tracked

    def _same(self, func: Any, operator: Operator, args: tuple[Any, ...]) -> Any:
        """Record `detach` and similar calls: another object for the same tensor, and no operation."""
        tracked = self._tracked(args[0])
        if operator.effect == "write":
            return args[0]
        result: torch.Tensor = self._backend.execute(func, operator, {operator.names[0]: tracked.tensor})
        self._tensors.add(result, tracked)
        if operator.base == "detach" and not _in_custom_function():
            self._tensors.detach(result)
        return result

    def _make(self, func: Any, operator: Operator, settings: dict[str, Any]) -> Any:
        """Return a tensor from nothing: recorded when it is first read, since many never are."""
        if not self._backend.real and _is_small_memory(operator, settings):
            return self._make_memory(func, operator, settings)
        result = self._backend.execute(func, operator, settings.copy())
        if isinstance(result, torch.Tensor):
            tracked = Tracked(result, signature_of(result), self.builder.new_memory(), -1)
            tracked.pending = (func, operator, settings, self.place)
            self._tensors.add(result, tracked)
        return result

    def _make_memory(self, func: Any, operator: Operator, settings: dict[str, Any]) -> torch.Tensor:
        """Return memory that holds numbers: TorchScript writes those of a list into it without an operation."""
        memory: torch.Tensor = call(func, operator, settings)
        memory.zero_()  # so that a capture finds the same each time
        signature = signature_of(memory)
        tracked = Tracked(self._backend.stand_in(memory, signature), signature, self.builder.new_memory(), -1)
        tracked.pending = memory
        self._tensors.add(memory, tracked)
        return memory

    def _record_factory(self, tracked: Tracked) -> None:
        if isinstance(tracked.pending, torch.Tensor):
            memory, tracked.pending = tracked.pending, None
            tracked.value = self.builder.add_value(tracked.signature, "constant", "constant", tracked.memory)
            self._know(tracked.value, memory)
            return
        func, operator, settings, place = tracked.pending
        tracked.pending = None
        template = template_of(operator, settings, [], tracked.tensor, self.builder.numbers)
        (tracked.value,) = self.builder.add_node(func, settings, [], template, [tracked.memory], place)

    # Views and writes.

    def _current(self, tracked: Tracked) -> int:
        """Return the tensor's value, up to date with what was written through other views of its memory."""
        if tracked.pending is not None:
            self._record_factory(tracked)
        if tracked.generation != tracked.memory.generation:
            catch_up(tracked, self._emit)
        return tracked.value

    def _emit(self, func: Any, settings: dict[str, Any]) -> list[int]:
        """Record an operation that stands in for the sharing of memory."""
        operator = describe(func)
        full = {name: settings.get(name, operator.defaults.get(name)) for name in operator.names}
        operands = [leaf for leaf in flat(full.values()) if isinstance(leaf, Tracked)]
        result = self._backend.execute(func, operator, _tensors_of(full))
        template = template_of(operator, full, operands, result, self.builder.numbers)
        memories = [operands[0].memory] * len(template.made)
        return self.builder.add_node(func, full, operands, template, memories, self.place)

    def _reshape_in_place(
        self, func: Any, operator: Operator, settings: dict[str, Any], given: dict[str, Any]
    ) -> torch.Tensor:
        """Record `squeeze_`, `t_`, ... as the view that it makes of its tensor.

        The graph holds pure functions only: `x.t_()` becomes `x' = t(x)`.
        """
        first = operator.names[0]
        tracked: Tracked = settings[first]
        source: torch.Tensor = given[first]
        self._current(tracked)
        pure = _pure(operator)
        # `tracked` stays what it is to the views made of it before: the tensor in its old shape, under a detached
        # stand-in. The user's object keeps its identity, so it is tracked anew, as a view of the old state: what is
        # written through either reaches the other as between any two views.
        # A tensor that was detached is another object with the same record, and is reshaped alone.
        detached = source is not tracked.tensor and self._backend.stand_in(source, tracked.signature) is source
        reshaped = source if detached else tracked.tensor
        if not detached:
            tracked.tensor = reshaped.detach()
        self._backend.execute(func, operator, _tensors_of({**settings, first: reshaped}))
        if source is not reshaped:
            func(*given.values())  # the forward pass may read the new shape of its own tensor
        value = self._emit(pure, settings)[0]
        viewed = Tracked(
            reshaped, signature_of(reshaped), tracked.memory, value, tracked.generation, tracked, (pure, settings, 0)
        )
        self._tensors.replace(source, viewed)
        return source

    def _run_on_numbers(self, func: Any, operator: Operator, settings: dict[str, Any]) -> Any:
        """Run an operation whose result, or its shape, depends on values; possible if these are known beforehand."""
        if "indices" in settings:
            places = unmasked(settings["indices"], self.builder.numbers, self._backend)
            return self._backend.execute(func, operator, _tensors_of({**settings, "indices": places}))
        try:
            result = self.builder.numbers.evaluate(func, operator, by_reference(settings))
        except NeedsNumbersError:
            raise NeedsNumbersError(operator.target) from None
        return convert(result, lambda t: self._backend.stand_in(t, signature_of(t)))


def _is_small_memory(operator: Operator, settings: dict[str, Any]) -> bool:
    """Return whether an operator makes memory on the CPU, unwritten, of few numbers."""
    device = settings.get("device")
    on_cpu = device is None or torch.device(device).type == "cpu"
    return operator.target == "aten.empty.memory_format" and on_cpu and prod(settings["size"]) <= _SMALL_MEMORY


def _in_custom_function() -> bool:
    """Return whether a user's autograd function runs: what it detaches has the gradient that the function gives."""
    apply = torch.autograd.Function.apply.__func__.__code__  # type: ignore[attr-defined]  # a class method
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is apply:
            return True
    return False


def _pure(operator: Operator) -> Any:
    """Return the view that an operator in place makes of its tensor: `transpose_` is `transpose.int`."""
    packet = getattr(torch.ops.aten, operator.base)
    overloads = (getattr(packet, name) for name in packet.overloads())
    return next(overload for overload in overloads if describe(overload).names == operator.names)


def _tensors_of(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: _tensors(value) for name, value in settings.items()}


def _tensors(setting: Any) -> Any:
    if isinstance(setting, Tracked):
        return setting.tensor
    return [_tensors(item) for item in setting] if isinstance(setting, list) else setting


def _shapes_for_tensors(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with each tensor replaced by its shape, for errors."""
    return {name: value.signature.shape if isinstance(value, Tracked) else value for name, value in settings.items()}
