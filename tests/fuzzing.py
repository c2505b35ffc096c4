"""Changed files, read by every reader of files from strangers: only ConvscopeError may come out, and soon.

    python tests/fuzzing.py [--inputs 1000000] [--seed 0] [--only images,csv]

Every input is decided by (seed, target, number), so a fault is repeated by its number (--from). A reader runs in a
process of its own: one that a decoder in C brings down is a fault like another.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import multiprocessing
import os
import random
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from convscope.errors import ConvscopeError
from fuzz_targets import TARGETS, Target

# Of one input. A reader that takes longer hangs.
SECONDS = 5.0
MOST_CHANGES = 6
NUMBERS = (0, 1, -1, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**53, 2**63 - 1)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**64, 10**30, 0.5, -0.0, 1e308, 1e-320, "", "a", "\0",
    "\ud83d\ude00", "../x", "x" * 5000, [], {}, [[]], [None], {"": 0},
)  # fmt: skip


@dataclass
class Outcome:
    """What became of the inputs of a target."""

    inputs: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    # Each kind of fault: how often, the number of the first input, its traceback.
    faults: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    def add(self, kind: str, number: int, details: str) -> None:
        """Count a fault."""
        count, first, kept = self.faults.get(kind, (0, number, details))
        self.faults[kind] = (count + 1, first, kept)

    @property
    def failures(self) -> int:
        """How many inputs were faults."""
        return sum(count for count, _, _ in self.faults.values())


class TooLongError(BaseException):
    """An input took longer than it may; no reader catches it."""


def changed(target: Target, seeds: Sequence[bytes], draw: random.Random) -> bytes:
    """Return one of the whole files with some changes."""
    data = draw.choice(seeds)
    if target.json and draw.random() < 0.7:
        with contextlib.suppress(ValueError):
            return changed_values(json.loads(data), draw)
    found = bytearray(data)
    for _ in range(draw.randint(1, MOST_CHANGES)):
        change(found, seeds, target.words, draw)
    return bytes(found)


def change(found: bytearray, seeds: Sequence[bytes], words: Sequence[bytes], draw: random.Random) -> None:
    """Change some bytes in place."""
    place = draw.randrange(len(found) + 1)
    # Headers decide most: half of the changes are near the start.
    if draw.random() < 0.5:
        place = min(place, draw.randrange(128))
    size = min(draw.choice((1, 1, 2, 4, 8, 32, 256)), len(found) - place)
    match draw.randrange(9):
        case 0 if size:
            found[place] ^= 1 << draw.randrange(8)
        case 1 if size:
            found[place] = draw.choice((0, 1, 127, 128, 255, draw.randrange(256)))
        case 2:
            del found[place : place + size]
        case 3:
            found[place:place] = found[place : place + size]
        case 4:
            found[place : place + size] = bytes(size)
        case 5:
            del found[place:]
        case 6:
            width = draw.choice("bhiq")
            number = draw.choice(NUMBERS) & (2 ** (8 * struct.calcsize(width)) - 1)
            found[place : place + struct.calcsize(width)] = struct.pack(draw.choice("<>") + width.upper(), number)
        case 7:
            other = draw.choice(seeds)
            start = draw.randrange(len(other))
            found[place : place + size] = other[start : start + draw.choice((size, 64))]
        case _:
            word = draw.choice(words) if words else draw.randbytes(draw.randint(1, 8))
            found[place : place + draw.choice((0, len(word)))] = word


def changed_values(value: Any, draw: random.Random) -> bytes:
    """Return a JSON text with one to three of its values or names changed."""
    value = {"": value}
    for _ in range(draw.randint(1, 3)):
        holders = [holder for holder in _holders(value) if holder]
        if not holders:
            break
        holder = draw.choice(holders)
        name = draw.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        others = [item for other in holders for item in (other.values() if isinstance(other, dict) else other)]
        match draw.randrange(4):
            case 0 if holder is not value:
                del holder[name]
            case 1 if isinstance(holder, dict) and holder is not value:
                holder[draw.choice(("", "x", str(name) * 2, str(name).upper()))] = holder.pop(name)
            case 2:
                holder[name] = json.loads(json.dumps(draw.choice(others)))
            case _:
                holder[name] = json.loads(json.dumps(draw.choice(VALUES)))
    return json.dumps(value[""]).encode()


def _holders(value: Any) -> Iterator[Any]:
    if isinstance(value, (dict, list)):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _holders(item)


def fuzz(
    name: str,
    inputs: int,
    folder: Path,
    *,
    seed: int = 0,
    first: int = 0,
    note: Any = None,
    seconds: float = SECONDS,
) -> Outcome:
    """Read this many changed files, each within some seconds.

    `note` holds the number of the one that is read, for a process that watches.
    """
    target, found = TARGETS[name], Outcome()
    seeds = target.seeds()
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGALRM, stop)
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for number in range(first, first + inputs):
                if note is not None:
                    note.value = number
                data = changed(target, seeds, random.Random(f"{seed} {name} {number}"))
                _read_one(target, place, data, number, found, seconds=seconds)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        found.seconds = time.perf_counter() - began
    return found


def _read_one(target: Target, place: Path, data: bytes, number: int, found: Outcome, *, seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds)
    began = time.perf_counter()
    found.inputs += 1
    try:
        target.read(place, data)
    except ConvscopeError:
        found.refused += 1
    except TooLongError:
        found.add(f"longer than {seconds:g} s", number, traceback.format_exc())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
        found.add(kind, number, traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        found.slowest = max(found.slowest, time.perf_counter() - began)


def fuzz_apart(name: str, inputs: int, folder: Path, *, seed: int, first: int = 0) -> Outcome:
    """Fuzz in a process of its own, which is started anew behind an input that brought it down."""
    context = multiprocessing.get_context("fork")
    total, stop = Outcome(), first + inputs
    while first < stop:
        note = context.Value("q", first)
        receiver, sender = context.Pipe(duplex=False)

        def work(first: int = first, note: Any = note, sender: Any = sender) -> None:
            faulthandler.disable()
            # What libtiff and libjpeg complain of.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            sender.send(fuzz(name, stop - first, folder, seed=seed, first=first, note=note))

        process = context.Process(target=work)
        process.start()
        sender.close()
        while process.is_alive() and not receiver.poll(4 * SECONDS):
            before = note.value
            time.sleep(4 * SECONDS)
            if note.value == before and process.is_alive() and not receiver.poll():
                process.kill()  # it hangs where no signal is handled
        try:
            part = receiver.recv()
            first = stop
        except EOFError:
            process.join()
            part = Outcome(inputs=note.value - first + 1)
            part.add(f"ended by {process.exitcode}", note.value, "the process was brought down, or hung")
            first = note.value + 1
        process.join()
        total.inputs += part.inputs
        total.refused += part.refused
        total.seconds += part.seconds
        total.slowest = max(total.slowest, part.slowest)
        for kind, (count, number, details) in part.faults.items():
            had, earlier, kept = total.faults.get(kind, (0, number, details))
            total.faults[kind] = (had + count, earlier, kept)
    return total


def main() -> None:
    """Print a row a target and every fault; exit 1 where there is one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", dest="first", type=int, default=0, help="number of the first input of each target")
    parser.add_argument("--only", default=",".join(TARGETS), help="targets, with commas")
    parser.add_argument("--json", type=Path, help="a file for the counts")
    given = parser.parse_args()
    names = given.only.split(",")
    results = {}
    print(f"{'target':<10}{'inputs':>10}{'refused':>10}{'faults':>8}{'per second':>12}{'slowest, ms':>13}")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        for place, name in enumerate(names):
            share = given.inputs * (place + 1) // len(names) - given.inputs * place // len(names)
            found = results[name] = fuzz_apart(name, share, Path(folder), seed=given.seed, first=given.first)
            rate = found.inputs / found.seconds if found.seconds else 0.0
            print(
                f"{name:<10}{found.inputs:>10,}{found.refused:>10,}{found.failures:>8,}{rate:>12,.0f}"
                f"{1000 * found.slowest:>13,.0f}",
                flush=True,
            )
    for name, found in results.items():
        for kind, (count, number, details) in found.faults.items():
            print(f"\n{name}: {kind}, {count} times, first by input {number}\n{details}")
    if given.json:
        kept = {name: {"inputs": one.inputs, "failures": one.failures} for name, one in results.items()}
        given.json.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    failures = sum(found.failures for found in results.values())
    print(f"\n{sum(found.inputs for found in results.values()):,} inputs, {failures} faults")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
