"""Read pickles without running them: an interpreter of our own follows the opcodes within limits.

Nothing is imported and nothing is called. The few functions that rebuild a tensor are followed here; every other
object is an `Inert` record of its name and its values. A file that names what runs programs or changes files is
refused.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from typing import Any

from convscope.errors import CaptureError
from convscope.nets.weights.described import (
    STORAGES,
    TABLES,
    FindBytes,
    Global,
    Inert,
    Storage,
    called,
    named,
    put_items,
)

# More than a checkpoint of 25,000 tensors has; a hostile file is refused after some two seconds.
MOST_OPCODES = 1_500_000
LARGEST_PICKLE = 64_000_000  # bytes
LONGEST_NAME = 1_000


def read_pickle(content: memoryview, find: FindBytes | None = None) -> tuple[Any, int]:
    """Return what a pickle describes, in dictionaries, lists, tuples, `Stored` tensors and `Inert` records.

    Args:
        content: bytes that begin with the pickle; what follows it is not read.
        find: the bytes of a storage.

    Returns:
        The value, and the bytes that the pickle takes.

    Raises:
        CaptureError: it names a function that does harm, is damaged, or goes beyond the limits.

    >>> import pickle
    >>> read_pickle(memoryview(pickle.dumps({"epoch": 3})))[0]
    {'epoch': 3}
    """
    machine = _PickleMachine(find)
    stream = io.BytesIO(content[:LARGEST_PICKLE])
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count >= MOST_OPCODES:
                raise CaptureError(f"its pickle has more than {MOST_OPCODES:,} steps")
            step = _STEPS.get(opcode.name)
            if step is None:
                raise CaptureError(f"its pickle has the step {opcode.name}, which weights do not need")
            step(machine, argument)
        return machine.stack.pop(), stream.tell()
    except CaptureError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise CaptureError(f"its pickle is damaged ({type(error).__name__})") from None


class _PickleMachine:
    """The stack, the marks and the memo of one pickle."""

    def __init__(self, find: FindBytes | None) -> None:
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.find = find

    def mark(self, _: object) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        values = self.stack
        self.stack = self.marks.pop()
        return values

    def push(self, value: object) -> None:
        self.stack.append(value)

    def remember(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def set_items(self, values: list[Any]) -> None:
        table = self.stack[-1]
        if isinstance(table, Inert):  # of a class that derives from dict
            if table.items is None:
                table.items = {}
            table = table.items
        if isinstance(table, dict):
            put_items(table, zip(values[::2], values[1::2], strict=True))
        else:
            raise CaptureError("its pickle is damaged (items of no table)")

    def append(self, values: list[Any]) -> None:
        row = self.stack[-1]
        if isinstance(row, list):
            row.extend(values)
        elif not isinstance(row, Inert):
            raise CaptureError("its pickle is damaged (items of no list)")

    def global_by_stack(self, _: object) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str) or len(module) + len(name) > LONGEST_NAME:
            raise CaptureError("its pickle is damaged (a name that is no name)")
        self.push(named(f"{module} {name}"))

    def new_object(self, _: object) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        name = kind.name if isinstance(kind, Global | Inert) else ""
        if name in TABLES:
            self.push({})
        else:
            self.push(Inert(name, arguments))

    def new_object_by_name(self, _: object) -> None:
        self.stack.pop()
        self.new_object(None)

    def build(self, _: object) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Inert):
            self.stack[-1].values = state

    def call(self, _: object) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.push(called(function, arguments))

    def persistent(self, _: object) -> None:
        """Return a storage by its id: ("storage", type, key, device, elements), with a sixth entry in older files."""
        given = self.stack.pop()
        if not isinstance(given, tuple) or len(given) > 6:
            raise CaptureError("its pickle names a storage of an unknown kind")
        if given[:1] == ("module",):  # older files: the class and its source text
            self.push(given[1])
            return
        mark, kind, key, _, count, *view = given
        name = kind.name.rpartition(".")[2]
        known = mark == "storage" and isinstance(key, str) and name in STORAGES and type(count) is int and count >= 0
        if self.find is None or not known:
            raise CaptureError("its pickle names a storage of an unknown kind")
        if view and view[0] is not None:
            raise CaptureError("it is of a torch before 0.4: load it with that torch and save its state_dict() again")
        storage = Storage(key, STORAGES[name], count)
        self.push((storage, self.find(storage)))


OpcodeStep = Callable[[_PickleMachine, Any], None]


def _push(machine: _PickleMachine, argument: object) -> None:
    machine.push(argument)


def _nothing(machine: _PickleMachine, argument: object) -> None:
    pass


def _constant(value: object) -> OpcodeStep:
    return lambda machine, _: machine.push(value)


def _tuple_of(count: int) -> OpcodeStep:
    def step(machine: _PickleMachine, _: object) -> None:
        values = machine.stack[-count:]
        if len(values) != count:
            raise CaptureError("its pickle is damaged (a tuple of too few values)")
        machine.stack[-count:] = [tuple(values)]

    return step


def _pop(machine: _PickleMachine, _: object) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.since_mark()


def _pop_mark(machine: _PickleMachine, _: object) -> None:
    machine.since_mark()


def _pair(machine: _PickleMachine, _: object) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _pairs(machine: _PickleMachine, _: object) -> None:
    machine.set_items(machine.since_mark())


def _append(machine: _PickleMachine, _: object) -> None:
    machine.append([machine.stack.pop()])


_WHOLE_ARGUMENTS = (
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE "
    "SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8"
)
_STEPS: dict[str, OpcodeStep] = {
    **dict.fromkeys(_WHOLE_ARGUMENTS.split(), _push),
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _nothing),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda machine, place: machine.remember(int(place))),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, place: machine.push(machine.memo[int(place)])),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_TUPLE": _constant(()),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_SET": lambda machine, _: machine.push([]),
    "MARK": _PickleMachine.mark,
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "FROZENSET": lambda machine, _: machine.push(machine.since_mark()),
    "APPEND": _append,
    "APPENDS": lambda machine, _: machine.append(machine.since_mark()),
    "ADDITEMS": lambda machine, _: machine.append(machine.since_mark()),
    "SETITEM": _pair,
    "SETITEMS": _pairs,
    "GLOBAL": lambda machine, name: machine.push(named(name)),
    "STACK_GLOBAL": _PickleMachine.global_by_stack,
    "NEWOBJ": _PickleMachine.new_object,
    "NEWOBJ_EX": _PickleMachine.new_object_by_name,
    "BUILD": _PickleMachine.build,
    "REDUCE": _PickleMachine.call,
    "BINPERSID": _PickleMachine.persistent,
}
