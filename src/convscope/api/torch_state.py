"""The state of torch in which every public function runs, whatever the caller's is.

Some of torch's state belongs to a thread (whether gradients are recorded, autocast, the default device, modes that
intercept calls): it is set and restored by each call. The rest belongs to the process (the default dtype, arithmetic):
the first call that enters keeps the caller's and the last one that leaves restores it, because calls of several threads
overlap. While any call runs, other threads of the process see the known values of these.

The number of threads stays the caller's: it decides how fast, and how a sum is split. Global generators are
`convscope.api.generators`'.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, TypeAlias, TypeVar

from convscope.api.float32_arithmetic import FULL, read_arithmetic, write_arithmetic
from convscope.api.thread_count import own_thread_count
from convscope.api.warning_filters import tolerate_again, warnings_tolerated, warnings_untolerated
from convscope.errors import ConvscopeError

Produced = TypeVar("Produced")

# How a setting of the process is read and written, and a value of it.
_ProcessSetting: TypeAlias = tuple[Callable[[], Any], Callable[[Any], object], Any]

# Variables that libraries set for themselves when they are first used; only names like these are restored.
_LIBRARIES = ("TORCH", "PYTORCH", "TRITON", "THP_", "KINETO", "OMP_", "MKL_", "KMP_", "CUDA", "CUBLAS", "NCCL")

# A number of the smallest that are not flushed to zero when they are halved, unless denormal numbers are.
_SMALLEST = sys.float_info.min


@contextmanager
def known_state() -> Iterator[None]:
    """Run what is inside in one known state of torch, and restore the caller's; free where it is in force already.

    Known are: gradients recorded, no inference mode, no autocast, default dtype float32 on the CPU, no modes that
    intercept calls, no anomaly detection, full float32 precision, denormal numbers, NumPy's default error handling,
    and warnings that are not raised as errors.

    Raises:
        ConvscopeError: inside a transformation of torch (vmap, grad, jit.trace, compile), which can't be left.

    >>> import torch
    >>> with torch.inference_mode(), known_state():
    ...     torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    (False, True)
    """
    if getattr(_thread, "inside", False):
        yield
        return
    _process.enter()
    _thread.inside = True
    try:
        with warnings_tolerated(), ExitStack() as restored:
            if "torch" in sys.modules:
                _enter_thread(restored)
            yield
    finally:
        _thread.inside = False
        _process.leave()


def known_steps(steps: Generator[Produced]) -> Generator[Produced]:
    """Yield the items of a generator, each made in the known state; the caller's state is in force between them."""
    with closing(steps):
        while True:
            with known_state():
                try:
                    item = next(steps)
                except StopIteration:
                    return
            yield item


@contextmanager
def changes_undone() -> Iterator[None]:
    """Call a function of the caller inside: what was in force is so again after it, whatever the function set.

    >>> import torch
    >>> with known_state(), changes_undone():
    ...     _ = torch.set_grad_enabled(False)
    >>> torch.is_grad_enabled()
    True
    """
    with ExitStack() as restored:
        if "torch" in sys.modules:
            _enter_thread(restored)
        settings = _process.in_force()
        try:
            yield
        finally:
            _process.set_again(settings)
            tolerate_again()


@contextmanager
def callers_state() -> Iterator[None]:
    """Restore what the process had before this thread's `known_state`, for as long as the thread only waits inside."""
    _process.leave()
    try:
        with warnings_untolerated():
            yield
    finally:
        _process.enter()


_thread = threading.local()


class _Process:
    """What the process's settings were before the first of the calls that run now."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._calls = 0
        self._environment: dict[str, str] = {}
        self._settings: list[_ProcessSetting] | None = None

    def enter(self) -> None:
        """Count a call; the first keeps the caller's settings, and the first after torch's import sets torch's."""
        with self.lock:
            if not self._calls:
                self._environment = os.environ.copy()
                self._settings = None
            if self._settings is None and "torch" in sys.modules:
                settings = _settings()
                self._settings = [(read, write, read()) for read, write, _ in settings]
                _set(settings)
            self._calls += 1

    def leave(self) -> None:
        """Count a call less; the last restores the caller's settings."""
        with self.lock:
            self._calls -= 1
            if self._calls:
                return
            _set(self._settings or [])
            for name in {name for name, _ in self._environment.items() ^ os.environ.items()}:
                if name.lstrip("_").startswith(_LIBRARIES):
                    _restore_variable(name, self._environment.get(name))

    def in_force(self) -> list[_ProcessSetting]:
        """Return the settings as they are: the known values, or others that a call has set, such as tf32 on a GPU."""
        with self.lock:
            if self._settings is None:
                return []
            return [(read, write, read()) for read, write, _ in _settings()]

    def set_again(self, settings: list[_ProcessSetting]) -> None:
        """Set what `in_force` returned."""
        with self.lock:
            _set(settings)

    def after_fork(self) -> None:
        """Forget the calls of all other threads, which a forked process does not have."""
        self.lock = threading.Lock()
        if self._calls:
            self._calls = 1
            if not getattr(_thread, "inside", False):
                self.leave()


_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.after_fork)


def _set(settings: list[_ProcessSetting]) -> None:
    """Write the settings that are not as they should be: some writers import torch's compiler, in a second."""
    for read, write, value in settings:
        if read() != value:
            write(value)


def _restore_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _settings() -> list[_ProcessSetting]:
    """Return how each setting of torch's process is read and written, and its known value."""
    import torch

    def deterministic() -> tuple[bool, bool]:
        return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()

    def anomalies() -> tuple[bool, bool]:
        return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()

    return [
        (torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        (
            deterministic,
            lambda found: torch.use_deterministic_algorithms(found[0], warn_only=found[1]),
            (False, False),
        ),
        (anomalies, lambda found: torch.set_anomaly_enabled(*found), (False, True)),
        (read_arithmetic, write_arithmetic, FULL),
    ]


def _enter_thread(restored: ExitStack) -> None:
    """Enter the known state of this thread; `restored` puts the caller's back, in reverse order."""
    import numpy as np
    import torch

    _refuse_transformations()
    restored.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
    restored.callback(_set_threads, own_thread_count())
    _without_modes(restored)
    restored.enter_context(torch.inference_mode(mode=False))  # which also records gradients
    for device in ("cpu", "cuda"):
        restored.callback(torch.set_autocast_enabled, device, torch.is_autocast_enabled(device))
        torch.set_autocast_enabled(device, False)
    # Inside the caller's autocast block torch would keep cast weights beyond the step that changes them.
    restored.callback(torch.set_autocast_cache_enabled, torch.is_autocast_cache_enabled())
    torch.set_autocast_cache_enabled(False)
    restored.callback(torch.set_flush_denormal, _SMALLEST * 0.5 == 0.0)
    torch.set_flush_denormal(False)


def _set_threads(threads: int) -> None:
    import torch

    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def _refuse_transformations() -> None:
    """Raise ConvscopeError inside a function that torch runs on tensors of its own."""
    import torch

    compiling: Callable[[], bool] = torch.compiler.is_compiling  # which mypy takes for a constant
    inside = {
        "torch.func or vmap": torch._C._functorch.peek_interpreter_stack() is not None,
        "torch.jit.trace": torch._C._get_tracing_state() is not None,
        "torch.compile": compiling(),
    }
    for name, is_active in inside.items():
        if is_active:
            raise ConvscopeError(f"convscope was called in a function that {name} transforms: call it outside of it")


def _without_modes(restored: ExitStack) -> None:
    """Leave the caller's modes that intercept calls (a default device is one) and its hooks on saved tensors."""
    import torch

    default = torch._GLOBAL_DEVICE_CONTEXT  # of this thread, also what is not in force
    restored.callback(setattr, default, "device_context", getattr(default, "device_context", None))
    default.device_context = None
    restored.callback(_set_modes, _set_modes([]))
    if torch._C._len_torch_dispatch_stack():
        from torch.utils._python_dispatch import _disable_current_modes

        restored.enter_context(_disable_current_modes())
    restored.callback(_set_hooks, _set_hooks([]))


def _set_modes(modes: list[Any]) -> list[Any]:
    """Make these the modes that intercept calls, the innermost first, and return those that were."""
    import torch

    found = [torch._C._pop_torch_function_stack() for _ in range(torch._C._len_torch_function_stack())]
    for mode in reversed(modes):
        torch._C._push_on_torch_function_stack(mode)
    return found


def _set_hooks(hooks: list[Any]) -> list[Any]:
    """Make these pairs the hooks on saved tensors, the innermost first, and return those that were."""
    import torch

    found: list[Any] = []
    top: Callable[[bool], Any] = torch._C._autograd._top_saved_tensors_default_hooks
    while (pair := top(True)) is not None:
        found.append(pair)
        torch._C._autograd._pop_saved_tensors_default_hooks()
    for pair in reversed(hooks):
        torch._C._autograd._push_saved_tensors_default_hooks(*pair)
    return found
