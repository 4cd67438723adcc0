"""A small seeded fuzzer: damages valid files as transfers, editors and hostile hands do."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import signal
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

Mutation = Callable[[bytes, np.random.Generator], bytes]

_STRANGE_NUMBERS = (
    b"nan",
    b"inf",
    b"-inf",
    b"1e308",
    b"-1",
    b"0",
    b"99999999",
    b"1e-300",
    b"9" * 40,
    b"",
    b"0x10",
    b"1,5",
)
_ENCODINGS = ("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "cp037")


def flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 20))):
        out[_position(out, rng)] ^= 1 << int(rng.integers(8))
    return bytes(out)


def randomise_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    low = _position(out, rng)
    high = min(len(out), low + int(rng.integers(1, 64)))
    out[low:high] = rng.bytes(high - low)
    return bytes(out)


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def remove_block(data: bytes, rng: np.random.Generator) -> bytes:
    low = _position(data, rng)
    return data[:low] + data[low + int(rng.integers(1, max(2, len(data) // 4))) :]


def repeat_block(data: bytes, rng: np.random.Generator) -> bytes:
    low = _position(data, rng)
    high = low + int(rng.integers(1, max(2, len(data) // 4)))
    return data[:high] + data[low:]


def fill_block(data: bytes, rng: np.random.Generator) -> bytes:
    low = _position(data, rng)
    high = min(len(data), low + int(rng.integers(1, 256)))
    return data[:low] + bytes([int(rng.choice([0, 255, 32]))]) * (high - low) + data[high:]


def change_numbers(data: bytes, rng: np.random.Generator) -> bytes:
    found = list(re.finditer(rb"[+-]?\d+(?:\.\d+)?", data[:8192]))
    for match in [found[int(rng.integers(len(found)))] for _ in range(int(rng.integers(1, 4)))] if found else []:
        new = _STRANGE_NUMBERS[int(rng.integers(len(_STRANGE_NUMBERS)))]
        width = match.end() - match.start()
        same_width = new[:width].ljust(width) if rng.random() < 0.5 else new
        data = data[: match.start()] + same_width + data[match.end() :]
    return data


def change_words(data: bytes, rng: np.random.Generator) -> bytes:
    """Little-endian integers of 2, 4 or 8 bytes near the start, set to extremes: sizes, counts, offsets."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        width = int(rng.choice([2, 4, 8]))
        low = int(rng.integers(0, max(1, min(len(out), 4096) - width)))
        value = int(rng.choice([0, 1, 2 ** (8 * width - 1) - 1, 2 ** (8 * width - 2), 255]))
        out[low : low + width] = value.to_bytes(width, "little")
    return bytes(out)


def shuffle_lines(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.split(b"\n")
    rng.shuffle(lines)  # type: ignore[arg-type]
    return b"\n".join(lines)


def drop_cells(data: bytes, rng: np.random.Generator) -> bytes:
    separators = [match.start() for match in re.finditer(rb"[\t,; ]", data)]
    for position in (
        sorted(rng.choice(separators, min(len(separators), 5), replace=False), reverse=True) if separators else []
    ):
        data = data[: int(position)] + data[int(position) + 1 :]
    return data


def reencode(data: bytes, rng: np.random.Generator) -> bytes:
    return data.decode("latin-1").encode(_ENCODINGS[int(rng.integers(len(_ENCODINGS)))], errors="replace")


def recompress(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage inside a gzip file, so that it still unpacks."""
    inner = (change_words, randomise_bytes, truncate, repeat_block)[int(rng.integers(4))]
    try:
        return gzip.compress(inner(gzip.decompress(data), rng))
    except (OSError, EOFError, zlib.error):
        return randomise_bytes(data, rng)


_STRANGE_VALUES: tuple[object, ...] = (
    None, True, -1, 0, 2.5, 1e308, -1e308, 1e-300, 10**30, float("nan"), "", "x", "=1+2", "\ud800", [], {}, [1, 2, 3],
    ["a"], {"a": 1}, [[1], [2, 3]],
)  # fmt: skip


def change_json(data: bytes, rng: np.random.Generator) -> bytes:
    """One value of JSON, gzipped or not, replaced by one of another kind, left out, or nested without end."""
    packed = data[:2] == b"\x1f\x8b"
    try:
        content = json.loads(gzip.decompress(data) if packed else data)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error):
        return randomise_bytes(data, rng)
    places = list(_list_places(content))
    if not places:
        return data
    holder, key = places[int(rng.integers(len(places)))]
    if rng.random() < 0.1:
        del holder[key]
    else:
        holder[key] = _STRANGE_VALUES[int(rng.integers(len(_STRANGE_VALUES)))]
    text = json.dumps(content)
    if rng.random() < 0.02:
        text = text.replace(":", ":" + "[" * 50_000 + "]" * 50_000 + ', "more":', 1)
    return gzip.compress(text.encode(), 1) if packed else text.encode()


def _list_places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder and key in JSON; of long lists the first three items."""
    keys: list[Any] = list(content) if isinstance(content, dict) else []
    for key in keys or range(min(3, len(content)) if isinstance(content, list) else 0):
        yield content, key
        yield from _list_places(content[key])


def bury(data: bytes, rng: np.random.Generator) -> bytes:
    """Another format's first bytes, or markup that names commands, in front."""
    heads = (
        b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.",
        b"PK\x03\x04",
        b"\x89HDF\r\n\x1a\n",
        b"<?xml version='1.0'?>",
        b"\x1f\x8b\x08",
    )
    head = heads[int(rng.integers(len(heads)))]
    return head + data[len(head) :] if rng.random() < 0.5 else head + data


MUTATIONS: dict[str, Mutation] = {
    function.__name__: function
    for function in (
        flip_bits, randomise_bytes, truncate, remove_block, repeat_block, fill_block, change_numbers, change_words,
        shuffle_lines, drop_cells, reencode, recompress, change_json, bury,
    )
}  # fmt: skip


def mutate(valid: Path, folder: Path, rng: np.random.Generator) -> tuple[Path, str]:
    """A damaged copy of a file, or of a folder with one of its files damaged.

    Args:
        valid: What to damage; for a file, its siblings are copied along.
        folder: Where to put the copy; emptied first.
        rng: Source of all choices.

    Returns:
        The path to read, and what was done.
    """
    shutil.rmtree(folder, ignore_errors=True)
    root = valid if valid.is_dir() else valid.parent
    copy = folder / root.name
    shutil.copytree(root, copy)
    target = copy if valid.is_dir() else copy / valid.name
    victims = sorted(path for path in copy.rglob("*") if path.is_file() and path.stat().st_size)
    victim = target if target.is_file() and rng.random() < 0.8 else victims[int(rng.integers(len(victims)))]
    done = []
    for _ in range(1 + int(rng.random() < 0.2)):
        name = list(MUTATIONS)[int(rng.integers(len(MUTATIONS)))]
        if victim.suffix == ".json" or victim.name.endswith(".json.gz"):
            name = "change_json" if rng.random() < 0.5 else name
        data = victim.read_bytes()
        if data:
            victim.write_bytes(MUTATIONS[name](data, rng))
        done.append(name)
    return target, f"{'+'.join(done)} on {victim.name}"


class TimedOutError(BaseException):
    """Reading took too long; not an `Exception`, so that no reader can swallow it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimedOutError` in the main thread after `seconds`."""

    def stop(*_: object) -> None:
        raise TimedOutError

    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("time_limit needs the main thread")
    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


_FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "pickle.find_class",
    "socket.connect", "socket.getaddrinfo", "urllib.Request", "os.remove", "os.rename", "shutil.rmtree",
    "ctypes.dlopen",
)  # fmt: skip
_watching: list[str] | None = None


def _audit(event: str, arguments: tuple) -> None:
    if _watching is None:
        return
    if event in _FORBIDDEN:
        _watching.append(f"{event} {str(arguments)[:200]}")
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        _watching.append(f"open for writing {arguments[0]}")


@contextmanager
def watch() -> Iterator[list[str]]:
    """What code inside tried to run, unpickle, connect to, write or delete."""
    global _watching
    if not getattr(sys, "_sharpwave_audited", False):
        sys.addaudithook(_audit)
        sys._sharpwave_audited = True  # type: ignore[attr-defined]
    _watching = []
    try:
        yield _watching
    finally:
        _watching = None


def _position(data: bytes | bytearray, rng: np.random.Generator) -> int:
    """Half of the time near the start, where headers are."""
    span = min(len(data), 2048) if rng.random() < 0.5 else len(data)
    return int(rng.integers(0, span))
