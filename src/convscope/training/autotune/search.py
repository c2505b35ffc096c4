"""Which modes are tried, in which order, and which of them is taken.

Plain fp32 is the reference, and the mode of the rules is tried beside it, whatever the time. From the faster of the two
one thing is changed at a time: memory format, arithmetic, threads, compiling. A change is kept where it is clearly
faster and its loss is fp32's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from convscope.hardware.mode import Compile, ComputeMode, MemoryFormat, Precision
from convscope.hardware.run_queue import CoreWait
from convscope.training.autotune.record import ComputePlan, ModeTrial

# A mode must be so much faster to be taken: less is chance, and the simpler one stays.
CLEARLY = 1.03
# The losses of the same first steps may differ from fp32's by this share, and not more (of 1 where they are below 1).
TOLERANCE = 0.05
# Compiling takes most of a minute: it is tried only where the rest of the run is longer than this.
COMPILE_FROM_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What may be chosen.

    Args:
        fixed: the mode of the rules, with the settings that were given; what is not open stays as it is here.
        open: names of `ComputeMode`'s fields that may change.
        arithmetics: precisions besides fp32 that the device computes natively.
        most_threads: of the CPU; 0 leaves them alone.
        compiles: ways to compile that are tried.
        images_left: of the whole run, which a slow first step is weighed against.
    """

    fixed: ComputeMode
    open: frozenset[str]
    arithmetics: tuple[Precision, ...]
    most_threads: int
    compiles: tuple[Compile, ...]
    images_left: int


def search(
    allowed: Choices, run: Callable[[ComputeMode], ModeTrial], *, in_time: Callable[[], bool]
) -> ComputePlan | None:
    """Try one change after another, while `in_time()`; None where not even plain fp32 runs, or its loss is NaN."""
    plain = replace(allowed.fixed, precision="fp32", memory_format="contiguous", compile="no")
    reference = run(plain)
    if reference.dropped:
        return None
    trials = [reference]
    stopped = False

    def tried(mode: ComputeMode) -> ModeTrial:
        for trial in trials:
            if trial.mode == mode:
                return trial
        trials.append(guarded(run(mode), reference))
        return trials[-1]

    start = ComputeMode(**{name: getattr(plain if name in allowed.open else allowed.fixed, name) for name in _FIELDS})
    best = tried(start)
    if best.dropped:
        # A setting that was given can't be dropped: training itself reports what is wrong with it.
        return None

    def better(trial: ModeTrial) -> bool:
        left = allowed.images_left
        return not trial.dropped and total_seconds(trial, left) * CLEARLY < total_seconds(best, left)

    def best_so_far() -> ComputeMode:
        return best.mode

    # Where plain fp32 is ten times as slow, the time is over once that is measured.
    of_rules = tried(allowed.fixed)
    best = of_rules if better(of_rules) else best
    for change in _changes(allowed, best_so_far):
        if not in_time():
            stopped = True
            break
        if change.threads != best.mode.threads and any(CoreWait(trial.waited).is_busy for trial in trials):
            # Beside other work fewer threads wait less, and that work may end soon.
            continue
        trial = tried(change)
        best = trial if better(trial) else best
    return ComputePlan(mode=best.mode, trials=tuple(trials), stopped=stopped)


def guarded(trial: ModeTrial, reference: ModeTrial) -> ModeTrial:
    """Return the trial, dropped where its loss departs from the reference's.

    >>> from convscope.hardware.mode import ComputeMode
    >>> mode = ComputeMode(precision="fp32", memory_format="contiguous", compile="no", threads=1)
    >>> def of(*losses):
    ...     return ModeTrial(mode=mode, images=8, images_per_second=1, spread=0, first_step=0, losses=losses)
    >>> guarded(of(2.31, 2.0), of(2.3, 2.05)).dropped
    ''
    >>> guarded(of(2.31, 2.3), of(2.3, 2.0)).dropped
    "its loss is 2.3 where fp32's is 2"
    """
    if trial.dropped:
        return trial
    for loss, expected in zip(trial.losses, reference.losses, strict=False):
        if not abs(loss - expected) <= TOLERANCE * max(1.0, abs(expected)):
            return replace(trial, dropped=f"its loss is {loss:.3g} where fp32's is {expected:.3g}")
    return trial


def total_seconds(trial: ModeTrial, images: int) -> float:
    """Return the seconds of training on a number of images in this mode, the first step's extra time included."""
    step = trial.seconds_alone
    return images / trial.images * step + max(0.0, trial.first_step - step)


_FIELDS = ("precision", "memory_format", "compile", "threads")


def _changes(allowed: Choices, best: Callable[[], ComputeMode]) -> Iterator[ComputeMode]:
    """Yield the changes in order, each made to the mode that is the best when its turn comes."""
    if "memory_format" in allowed.open:
        yield replace(best(), memory_format="channels-last")
    if "precision" in allowed.open:
        fp32: Precision = "fp32"
        for precision in (fp32, *allowed.arithmetics):
            yield replace(best(), precision=precision)
        if "memory_format" in allowed.open and best().precision != "fp32":
            # A format may suit one arithmetic and not another: the other one gets its chance.
            yield replace(best(), memory_format=_other(best().memory_format))
    if "threads" in allowed.open:
        # Half as many threads, and half of that, for as long as fewer are faster.
        count = allowed.most_threads // 2
        while count:
            yield replace(best(), threads=count)
            count = count // 2 if best().threads == count else 0
    if "compile" in allowed.open:
        for way in allowed.compiles:
            yield replace(best(), compile=way)


def _other(memory_format: MemoryFormat) -> MemoryFormat:
    return "contiguous" if memory_format == "channels-last" else "channels-last"
