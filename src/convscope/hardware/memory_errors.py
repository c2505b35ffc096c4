"""What torch and NumPy raise where there is no memory left: whether an error is one, and how much was asked for."""

from __future__ import annotations

import re

import torch

from convscope.report.units import byte_size, parse_byte_size

# What torch, NumPy and the device say when there is no more.
_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "unable to allocate")
_ASKED = re.compile(r"allocate (\d{1,18}(?:\.\d{1,18})?) ?([KMGTP]iB|bytes)")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there was no memory left.

    >>> is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ...")), \
        is_out_of_memory(RuntimeError("shapes do not fit"))
    (True, False)
    """
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)


def memory_asked(error: BaseException) -> str:
    """Return how much memory an error of `is_out_of_memory` says was asked for, in words.

    >>> memory_asked(RuntimeError("can't allocate memory: you tried to allocate 4000000000000 bytes. Error code 12"))
    '4.000 TB of memory, and less is free'
    >>> memory_asked(MemoryError())
    'more memory than is free'
    """
    found = _ASKED.search(str(error))
    if found is None:
        return "more memory than is free"
    return f"{byte_size(parse_byte_size(found[1] + found[2].replace('bytes', 'B')))} of memory, and less is free"


def too_large(what: str, error: BaseException) -> str:
    """Return the message of an operation on an input for which the memory was not enough.

    >>> too_large("conv1: convolution", MemoryError("Unable to allocate 3.00 GiB for an array"))
    'conv1: convolution asks for 3.221 GB of memory, and less is free: take a smaller image or batch'
    """
    return f"{what} asks for {memory_asked(error)}: take a smaller image or batch"
