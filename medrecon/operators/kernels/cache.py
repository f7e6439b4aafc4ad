"""Compiled code on disk that is checked before it runs: what is damaged is made anew, what cannot be kept is done without."""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import config
from numba.core.caching import FunctionCache, IndexDataCacheFile

__all__ = ["keep_compiled"]

_DAMAGED = "the compiled code in {} is damaged, and is made anew"
_UNKEPT = (
    "compiled code cannot be kept, and is made anew each time: {}; set NUMBA_CACHE_DIR to a folder that can be written"
)
_ELSEWHERE = "NUMBA_CACHE_DIR, {}, cannot be written, and compiled code is kept elsewhere; make it a folder that can be"

_DIGEST = hashlib.sha256().digest_size
_told: set[str] = set()


def keep_compiled(dispatcher: Any) -> Callable[..., Any]:
    """Let what a dispatcher of numba compiles be kept beside its module, or in the user's cache, where either can be written."""
    try:
        dispatcher._cache = cache = _CheckedCache(dispatcher.py_func)
        if config.CACHE_DIR and not Path(cache.cache_path).is_relative_to(config.CACHE_DIR):
            _tell_once(_ELSEWHERE, config.CACHE_DIR)
    except (RuntimeError, OSError) as error:  # numba finds no folder
        _tell_once(_UNKEPT, str(error))
    return dispatcher  # type: ignore[no-any-return]


class _CheckedFile(IndexDataCacheFile):  # type: ignore[misc]
    """Files that begin with the hash of the rest: machine code that is damaged would crash, and so may a damaged pickle."""

    def _load_index(self) -> dict[Any, str]:
        try:
            version, rest = pickle.loads(self._read(self._index_path))
        except FileNotFoundError:
            return {}
        if version != self._version:  # its types may be others, and are left alone
            return {}
        stamp, overloads = pickle.loads(rest)
        return overloads if stamp == self._source_stamp else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(self._index_path, pickle.dumps((self._version, self._dump((self._source_stamp, overloads)))))

    def _load_data(self, name: str) -> Any:
        return pickle.loads(self._read(self._data_path(name)))

    def _save_data(self, name: str, data: Any) -> None:
        self._write(self._data_path(name), self._dump(data))

    def _write(self, path: str, content: bytes) -> None:
        with self._open_for_write(path) as file:
            file.write(hashlib.sha256(content).digest() + content)

    def _read(self, path: str) -> bytes:
        stored = Path(path).read_bytes()
        digest, content = stored[:_DIGEST], stored[_DIGEST:]
        if digest != hashlib.sha256(content).digest():
            raise ValueError(f"{path}: was written otherwise")
        return content


class _CheckedCache(FunctionCache):  # type: ignore[misc]
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        implementation = self._impl
        self._cache_file = _CheckedFile(
            cache_path=self._cache_path,
            filename_base=f"{implementation.filename_base}.checked",
            source_stamp=implementation.locator.get_source_stamp(),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            _tell_once(_DAMAGED, self._cache_path)
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _tell_once(_UNKEPT, " ".join(str(error).split()))


def _tell_once(words: str, what: str) -> None:
    """Say it once in a process, of the first function that it befalls."""
    if words not in _told:
        _told.add(words)
        logging.getLogger(__name__).warning(words.format(what))
