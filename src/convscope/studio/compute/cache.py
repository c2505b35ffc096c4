"""Things that are kept by key within a number or a size, the least recently used dropped first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

CacheItem = TypeVar("CacheItem")


class Cache(Generic[CacheItem]):
    """Things by key, the least recently used dropped first, by number or by size.

    >>> cache = Cache[str](limit=2)
    >>> for word in ("one", "two", "six"):
    ...     cache.put(word, word)
    >>> cache.get("one"), cache.get("six")
    (None, 'six')
    """

    def __init__(self, limit: int, size_of: Callable[[CacheItem], int] = lambda _: 1) -> None:
        self._limit, self._size_of, self._size = limit, size_of, 0
        self._kept: OrderedDict[object, CacheItem] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object) -> CacheItem | None:
        """Return what is kept under a key, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: object, thing: CacheItem) -> None:
        """Keep a thing; the one just put is never dropped."""
        with self._lock:
            if key in self._kept:
                self._size -= self._size_of(self._kept.pop(key))
            self._kept[key] = thing
            self._size += self._size_of(thing)
            while self._size > self._limit and len(self._kept) > 1:
                self._size -= self._size_of(self._kept.popitem(last=False)[1])

    def drop(self, unwanted: Callable[[CacheItem], bool]) -> None:
        """Drop what is not wanted any more."""
        with self._lock:
            for key in [key for key, thing in self._kept.items() if unwanted(thing)]:
                self._size -= self._size_of(self._kept.pop(key))

    def all(self) -> list[CacheItem]:
        """Return what is kept, the least recently used first."""
        with self._lock:
            return list(self._kept.values())
