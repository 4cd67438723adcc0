"""Files and stores behind an address: `https://`, `s3://`, `gs://`, read by range requests through obstore.

`locate` makes of an address a path that readers can use as one on a disk: it has a name, a size, and opens for reading.
Only addresses that a person or a program gives are ever looked up; what a file says is never taken for one. An address
leads to its own server alone: `file://` is refused, so are passwords in it, and plain `http://` but for this machine,
so that no server can send a reader on to files here or to unencrypted places.

Blocks that were read are kept in a temporary file without a name, each fetched once by a process, up to a limit.
"""

from __future__ import annotations

import io
import math
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

from sharpwave.errors import MissingExtraError, SharpwaveError

SCHEMES = ("https", "s3", "gs", "http")
"""`http` for this machine alone."""
WRITABLE = ("s3", "gs")
"""Where stores are appended to; elsewhere is only read."""
HERE = ("127.0.0.1", "localhost", "::1")
SECONDS = 30
"""Seconds in which a request must be answered; it is asked again within twice as long."""
SECONDS_TO_WRITE = 600
"""The same where a piece of a store, 32 MiB, is sent."""
FRESH = 60.0
"""Seconds for which what a server said of a file's size is believed."""
BLOCK = 1 << 20
"""Bytes that are fetched at least."""
MOST_AT_ONCE = 16 << 20
"""Bytes that are fetched by one request at most."""
MOST_KEPT = 8 << 30
"""Bytes of one file that are kept in the temporary file; of a larger one nothing is."""
CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for an open bucket",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SKIP_SIGNATURE=true for an open bucket",
}


def is_address(source: object) -> bool:
    """Whether something is an address, well formed or not, and no path on a disk.

    >>> is_address("s3://bucket/year.zarr"), is_address("night.edf"), is_address("file:///etc/passwd")
    (True, False, True)
    """
    return isinstance(source, RemotePath) or re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", str(source)) is not None


def locate(source: str | Path) -> Path:
    """A path on a disk, or one behind an address; what is a path stays as it is.

    Args:
        source: A path, or an address as text.

    Raises:
        SharpwaveError: If the address is none that is read.

    >>> locate("https://example.org/nights/one.edf").name, locate("night.edf").suffix
    ('one.edf', '.edf')
    >>> locate("file:///etc/passwd")
    Traceback (most recent call last):
    sharpwave.errors.SharpwaveError: expected an address that begins with https://, s3:// or gs://; got file://. ...
    """
    if isinstance(source, Path):
        return source
    return RemotePath(str(source)) if is_address(source) else Path(source)


def _split(address: str) -> tuple[str, str, str]:
    """Scheme, server or bucket, and key of an address.

    Raises:
        SharpwaveError: If it is none that is read.
    """
    scheme, _, rest = address.partition("://")
    parts = urlsplit(f"//{rest}")
    if scheme not in SCHEMES or (scheme == "http" and parts.hostname not in HERE):
        fix = "give the path without file://" if scheme == "file" else "give such an address, or download the file"
        raise SharpwaveError("an address that begins with https://, s3:// or gs://", got=f"{scheme}://", fix=fix)
    if parts.username is not None or parts.query or parts.fragment:
        raise SharpwaveError(
            "an address without password, ? and #",
            got=f"{scheme}://{parts.hostname} with one of them",
            fix="keep secrets in the environment (see docs/cohorts.md); download files behind signed addresses",
        )
    key = unquote(parts.path).strip("/")
    if not parts.hostname or any(piece in ("..", ".") for piece in key.split("/")):
        raise SharpwaveError(
            "a server or bucket, and a path without ..", got=address[:200], fix="write the address out in full"
        )
    return scheme, parts.netloc, key


_HEADS: dict[str, tuple[float, dict[str, Any]]] = {}


class RemotePath(type(Path())):  # type: ignore[misc]
    """A file or a store behind an address, to read from.

    Args:
        address: The address.

    >>> path = RemotePath("s3://bucket/nights/year.zarr")
    >>> path.name, str(path.parent), str(path / "zarr.json")
    ('year.zarr', 's3://bucket/nights', 's3://bucket/nights/year.zarr/zarr.json')
    """

    def __new__(cls, address: str) -> RemotePath:
        self: RemotePath = super().__new__(cls, f"/{_split(address)[2]}")
        return self

    def __init__(self, address: str) -> None:
        self.scheme, self.server, self.key = _split(address)
        if super().__init__ is not object.__init__ and hasattr(self, "with_segments"):  # from Python 3.12 on
            super().__init__(f"/{self.key}")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.server}/{self.key}".rstrip("/")

    __fspath__ = __str__

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __reduce__(self) -> Any:
        return RemotePath, (str(self),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def parent(self) -> RemotePath:
        above = self.key.rpartition("/")[0]
        return RemotePath(f"{self.scheme}://{self.server}/{above}")

    def __truediv__(self, name: Any) -> RemotePath:
        return self.joinpath(name)

    def joinpath(self, *names: Any) -> RemotePath:
        return RemotePath("/".join(map(str, (self, *names))))

    def with_name(self, name: str) -> RemotePath:
        return self.parent / name

    def resolve(self, strict: bool = False) -> RemotePath:
        return self

    absolute = resolve

    def open_bucket(self) -> Any:
        """The obstore store of this address's server or bucket.

        Raises:
            MissingExtraError: If obstore is not installed.
        """
        return open_bucket(f"{self.scheme}://{self.server}")

    def open_group(self) -> Any:
        """What Zarr reads the store at this address from."""
        from zarr.storage import ObjectStore

        return ObjectStore(open_bucket(str(self)), read_only=True)

    def _find(self) -> dict[str, Any] | None:
        """Size and date that the server says, asked again after `FRESH` seconds; None where there is nothing."""
        import obstore

        said, found = _HEADS.get(str(self), (-math.inf, {}))
        if time.monotonic() - said < FRESH:
            return found
        bucket = self.open_bucket()
        with explaining(self):
            try:
                found = dict(obstore.head(bucket, self.key))
            except FileNotFoundError:
                return None
        _HEADS[str(self)] = time.monotonic(), found
        return found

    def exists(self, **_: Any) -> bool:
        return self.is_dir() or self._find() is not None

    def is_dir(self) -> bool:
        """Whether it is a Zarr group or array: of other folders a server does not tell."""
        if ".zarr" not in self.key or re.search(r"/zarr\.json$|/c(/\d+)+$", self.key):
            return False
        return (self / "zarr.json")._find() is not None

    def is_file(self) -> bool:
        return not self.is_dir() and self._find() is not None

    def stat(self, **_: Any) -> Any:
        found = self._find()
        if found is None:
            raise FileNotFoundError(2, "No such file", str(self))
        return SimpleNamespace(st_size=int(found["size"]), st_mtime=found["last_modified"].timestamp())

    def open(self, mode: str = "r", buffering: int = -1, encoding: str | None = None, *_: Any, **__: Any) -> Any:
        """Open for reading, bytes or text; what is not read is not fetched."""
        if set(mode) - set("rbt"):
            raise SharpwaveError(
                "an address to read from", got=f"one to write to, {self}", fix="write to a disk, and upload the results"
            )
        raw = RemoteFile(self)
        if "b" in mode:
            return raw if buffering == 0 else io.BufferedReader(raw, BLOCK)
        return io.TextIOWrapper(io.BufferedReader(raw, BLOCK), encoding=encoding or "utf-8")

    def iterdir(self) -> Iterator[Path]:
        raise SharpwaveError(
            "the address of a recording", got=f"{self}, a folder, which is not listed", fix="name the recordings in it"
        )


class RemoteFile(io.RawIOBase):
    """A file behind an address, read by range requests.

    Args:
        path: Its address.

    Raises:
        FileNotFoundError: If there is none.
    """

    def __init__(self, path: RemotePath) -> None:
        super().__init__()
        self.name, self.size, self.place = path.name, int(path.stat().st_size), 0
        self._blocks = _keep_blocks(path, self.size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.place = max(offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.size}[whence], 0)
        return self.place

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        last = min(self.place + len(view), self.size)
        done = 0
        while self.place < last:
            data = self._blocks.read(self.place, min(last, self.place + MOST_AT_ONCE))
            view[done : done + len(data)] = data
            done += len(data)
            self.place += len(data)
        return done


class _Blocks:
    """Blocks of one file: in a temporary file once they were fetched, unless the file is too large for that."""

    def __init__(self, path: RemotePath, size: int) -> None:
        self.path, self.size, self.there, self.lock = path, size, set[int](), threading.Lock()
        self.kept = tempfile.TemporaryFile() if size <= MOST_KEPT else None  # noqa: SIM115  as long as the process

    def read(self, low: int, high: int) -> bytes:
        """Bytes low to high (excluded) of the file."""
        if self.kept is None:
            return self.fetch(low, high)
        with self.lock:
            first, last = low // BLOCK, -(-high // BLOCK)
            missing = [block for block in range(first, last) if block not in self.there]
            while missing:  # neighbours by one request
                run = [block for index, block in enumerate(missing) if block == missing[0] + index]
                data = self.fetch(run[0] * BLOCK, min((run[-1] + 1) * BLOCK, self.size))
                self.kept.seek(run[0] * BLOCK)
                self.kept.write(data)
                self.there.update(run)
                missing = missing[len(run) :]
            self.kept.seek(low)
            return self.kept.read(high - low)

    def fetch(self, low: int, high: int) -> bytes:
        """Bytes by a range request."""
        import obstore

        with explaining(self.path):
            data = bytes(obstore.get_range(self.path.open_bucket(), self.path.key, start=low, end=high))
        if len(data) != high - low:
            raise SharpwaveError(
                f"{self.path} to stay as it was when it was opened",
                got=f"{len(data)} of {high - low} bytes",
                fix="read it again when it is no longer written to",
            )
        return data


_KEPT: dict[tuple[str, int, float, str], _Blocks] = {}
_LOCK = threading.Lock()


def _keep_blocks(path: RemotePath, size: int) -> _Blocks:
    """The blocks of a file, those that were fetched before where it has not changed since."""
    mark = str((path._find() or {}).get("e_tag"))  # dates have whole seconds
    key = str(path), size, float(path.stat().st_mtime), mark
    with _LOCK:
        for old in [other for other in _KEPT if other[0] == key[0] and other != key]:
            del _KEPT[old]
        return _KEPT.setdefault(key, _Blocks(path, size)) if key not in _KEPT else _KEPT[key]


def check_writable(path: RemotePath) -> None:
    """Raise unless an address is that of a store that can be appended to.

    >>> check_writable(RemotePath("https://example.org/year.zarr"))
    Traceback (most recent call last):
    sharpwave.errors.SharpwaveError: expected an address to append to (s3://, gs://), ending in .zarr; got https://...
    """
    if path.scheme not in WRITABLE or path.suffix != ".zarr":
        raise SharpwaveError(
            "an address to append to (s3://, gs://), ending in .zarr",
            got=str(path),
            fix="give the store's address in its bucket, or append to a copy on a disk and upload that",
        )


def forget(folder: RemotePath) -> None:
    """Ask anew for what lies in a folder: it was written to."""
    inside = f"{folder}/"
    with _LOCK:
        for name in [name for name in _HEADS if name.startswith(inside)]:
            del _HEADS[name]
        for key in [key for key in _KEPT if key[0].startswith(inside)]:
            del _KEPT[key]


_BUCKETS: dict[tuple[str, float], Any] = {}


def open_bucket(address: str, seconds: float | None = None) -> Any:
    """The obstore store of a server, a bucket, or a folder of a server; opened once.

    Args:
        address: Such as `s3://bucket`.
        seconds: Seconds in which a request must be answered; `SECONDS` where omitted.

    Raises:
        MissingExtraError: If obstore is not installed.
    """
    seconds = SECONDS if seconds is None else seconds
    if (address, seconds) not in _BUCKETS:
        try:
            from obstore.store import from_url
        except ImportError as error:
            raise MissingExtraError("obstore", extra="objects") from error
        client: Any = {
            "timeout": timedelta(seconds=seconds),
            "connect_timeout": timedelta(seconds=SECONDS),
            "allow_http": address.startswith("http://"),
        }
        retry: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=2 * seconds)}
        with explaining(address):
            _BUCKETS[address, seconds] = from_url(address, client_options=client, retry_config=retry)
    return _BUCKETS[address, seconds]


@contextmanager
def explaining(address: str | Path, verb: str = "read") -> Iterator[None]:
    """What a server or obstore says of an address, in words; a file that is not there stays `FileNotFoundError`."""
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    scheme = str(address).partition("://")[0]
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise SharpwaveError(
            f"permission to {verb} {address}",
            got=_shorten(error),
            fix=CREDENTIALS.get(scheme, "ask who keeps the server, or download the file yourself"),
        ) from error
    except BaseError as error:
        raise SharpwaveError(
            f"an answer from {address}", got=_shorten(error), fix="check the address and the network, and try again"
        ) from error


def _shorten(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
