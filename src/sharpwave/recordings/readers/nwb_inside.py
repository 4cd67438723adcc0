"""The one way into an HDF5 file: what lies inside it, its size looked at before it is read.

Links are followed step by step, never by HDF5 itself, which would open any file of the machine that a link names. What
leads out of the file (external and user-defined links, soft links through them, external storage, virtual data sets)
is as if it were not there, and is named in `outside`. What is taken into memory comes out of one allowance per file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.files import check_declared

if TYPE_CHECKING:
    import h5py

FREE_BYTES = 64 * 2**20
"""What a file of any size may take in memory."""
MOST_GROWTH = 50
"""Beyond that, bytes in memory for one byte of the file: no real table or chunk is compressed better."""
MOST_BYTES = 4 * 2**30
MOST_STEPS = 64
"""Links that one path may pass through."""
MOST_NAMES = 500_000
"""Names in the groups of a file."""
LONGEST_TEXT = 10_000
"""Characters of a text that stands alone."""


@dataclass(eq=False)
class Allowance:
    """What a file may still take, and what in it leads out.

    Attributes:
        where: Name of the file, for messages.
        size: Its size in bytes.
        outside: Places that lead out of the file, in the order in which they were met.
        taken: Bytes read into memory so far.
        named: Names listed so far.
    """

    where: str
    size: int
    outside: dict[str, None] = field(default_factory=dict)
    taken: int = 0
    named: int = 0

    @property
    def most(self) -> int:
        """Bytes that may be read into memory."""
        return min(max(FREE_BYTES, MOST_GROWTH * self.size), MOST_BYTES)

    def take(self, n_bytes: int, place: str) -> None:
        """Count bytes that are about to be read.

        Raises:
            SharpwaveError: If they are more than a file of this size may take.
        """
        self.taken += n_bytes
        if self.taken > self.most:
            raise SharpwaveError(
                f"tables of at most {self.most} bytes in {self.where}, a file of {self.size}",
                got=f"{self.taken} bytes with {place}",
                fix="the file is damaged or made to fill the memory: export it again",
            )


@dataclass(frozen=True, eq=False)
class InsideArray:
    """A data set that lies in the file.

    Attributes:
        data: The h5py data set, for reading it piece by piece.
        place: Its path in the file.
        allowance: Of its file.
    """

    data: h5py.Dataset
    place: str
    allowance: Allowance

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape or ())

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def kind(self) -> str:
        """NumPy's letter for the kind of its values."""
        return str(self.data.dtype.kind)

    @property
    def stored(self) -> int:
        """Bytes of it in the file."""
        return int(self.data.id.get_storage_size())

    @property
    def where(self) -> str:
        return f"{self.allowance.where}:/{self.place}"

    def check_size(self) -> None:
        """Refuse a data set that is declared larger than what the file stores of it, or cut into giant chunks.

        Raises:
            SharpwaveError: If so.
        """
        if not self.size:
            return
        width = self.data.dtype.itemsize
        compressed = self.data.chunks is not None and self.data.id.get_create_plist().get_nfilters() > 0
        check_declared(declared=self.size * width, stored=self.stored, where=self.where, compressed=compressed)
        chunk = math.prod(self.data.chunks or (1,)) * width
        if chunk > self.allowance.most:
            raise SharpwaveError(
                f"chunks of at most {self.allowance.most} bytes in {self.where}",
                got=f"chunks of {chunk} bytes",
                fix="write the data set again in smaller chunks",
            )

    def read(self) -> np.ndarray:
        """All of its numbers, in memory.

        Raises:
            SharpwaveError: If they are no numbers, or more than the file may take.
        """
        if self.kind not in "biuf":
            raise SharpwaveError(f"numbers in {self.where}", got=f"type {self.data.dtype}", fix="correct the file")
        self.check_size()
        self.allowance.take(self.size * max(self.data.dtype.itemsize, 8), self.place)
        return np.asarray(self.data[()])

    def read_number(self) -> float:
        """The one number that it holds.

        Raises:
            SharpwaveError: If it holds none, or several.
        """
        if self.size != 1 or self.kind not in "biuf":
            raise SharpwaveError(
                f"one number in {self.where}",
                got=f"shape {self.shape}, type {self.data.dtype}",
                fix="correct the file",
            )
        return float(self.read().reshape(()))

    def read_text(self) -> str:
        """The one text that it holds; empty for anything else, and for a text that is no word or sentence."""
        texts = self.read_texts() if self.size == 1 else []
        return texts[0] if texts and len(texts[0]) <= LONGEST_TEXT else ""

    def read_texts(self) -> list[str]:
        """Its texts, in order; empty where it holds something else.

        Texts of any length lie beside the data set, and many rows may share one: they are read a few at a time.

        Raises:
            SharpwaveError: If they are more than the file may take.
        """
        if self.kind not in "OS" or len(self.shape) > 1:
            return []
        self.check_size()
        texts: list[str] = []
        n_rows = int(np.clip(FREE_BYTES // max(1, self.allowance.size), 64, 2**16))
        for low in range(0, self.size, n_rows):
            rows = self.data[low : low + n_rows] if self.shape else [self.data[()]]
            if not all(isinstance(item, bytes | str) for item in rows):
                return []
            self.allowance.take(sum(64 + len(item) for item in rows), self.place)
            texts += [item.decode("utf-8", errors="replace") if isinstance(item, bytes) else item for item in rows]
        return texts

    def attribute(self, name: str, default: Any = None) -> Any:
        """One value of an attribute; the default where there is none."""
        return _read_attribute(self.data, name, default)


@dataclass(frozen=True, eq=False)
class InsideGroup:
    """A group that lies in the file.

    Attributes:
        group: The h5py group; nothing is opened through it but what hard links lead to.
        place: Its path in the file, without a leading slash.
        allowance: Of its file.
    """

    group: h5py.Group
    place: str
    allowance: Allowance

    @property
    def address(self) -> tuple[int, int]:
        """What tells it from every other group of the file, however it was reached."""
        import h5py

        info = h5py.h5o.get_info(self.group.id)
        return int(info.fileno), int(info.addr)

    @property
    def root(self) -> InsideGroup:
        """The group of the whole file."""
        return InsideGroup(self.group.file, "", self.allowance)

    def __iter__(self) -> Iterator[str]:
        for name in self.group:
            self.allowance.named += 1
            if self.allowance.named > MOST_NAMES:
                raise SharpwaveError(
                    f"at most {MOST_NAMES} names in {self.allowance.where}", got="more", fix="split it"
                )
            yield name

    def declares(self, name: str) -> bool:
        """Whether it has something of this name, be it inside the file or not."""
        return self.group.id.links.exists(name.encode())

    def arrays(self) -> Iterator[tuple[str, InsideArray]]:
        """Its data sets by name."""
        for name in self:
            item = self.get(name)
            if isinstance(item, InsideArray):
                yield name, item

    def array(self, path: str) -> InsideArray | None:
        """The data set at a path from here; None where there is none inside the file."""
        item = self.get(path)
        return item if isinstance(item, InsideArray) else None

    def child(self, path: str) -> InsideGroup | None:
        """The group at a path from here; None where there is none inside the file."""
        item = self.get(path)
        return item if isinstance(item, InsideGroup) else None

    def attribute(self, name: str, default: Any = None) -> Any:
        """One value of an attribute; the default where there is none."""
        return _read_attribute(self.group, name, default)

    def get(self, path: str) -> InsideGroup | InsideArray | None:
        """The group or data set at a path from here; None where there is none inside the file."""
        import h5py

        place = f"{self.place}/{path}".strip("/")
        item: Any = self.group
        waiting, steps, linked = split_path(path), 0, False
        while waiting:
            name, steps = waiting.pop(0).encode(errors="surrogateescape"), steps + 1
            if steps > MOST_STEPS or not isinstance(item, h5py.Group) or not item.id.links.exists(name):
                if linked:
                    self._leave(f"{place} (broken link)")
                return None
            kind = item.id.links.get_info(name).type
            if kind == h5py.h5l.TYPE_HARD:
                try:
                    item = item[name]
                except (KeyError, OSError, RuntimeError):
                    self._leave(f"{place} (broken link)")
                    return None
            elif kind == h5py.h5l.TYPE_SOFT:
                target = item.id.links.get_val(name).decode(errors="surrogateescape")
                item, linked = (item.file if target.startswith("/") else item), True
                waiting = split_path(target) + waiting
            else:
                self._leave(f"{place} (in another file)")
                return None
        if isinstance(item, h5py.Group):
            return InsideGroup(item, place, self.allowance)
        if not isinstance(item, h5py.Dataset):
            return None
        if item.external or item.is_virtual:
            self._leave(f"{place} (in another file)")
            return None
        return InsideArray(item, place, self.allowance)

    def _leave(self, said: str) -> None:
        self.allowance.outside[said] = None


def open_inside(file: h5py.File, *, where: str, size: int) -> InsideGroup:
    """The root of a file.

    Args:
        file: The open file.
        where: Its name, for messages.
        size: Its size in bytes.
    """
    return InsideGroup(file, "", Allowance(where, size))


def split_path(path: str) -> list[str]:
    """The names of a path in a file."""
    return [part for part in path.split("/") if part not in ("", ".")]


def read_text_value(value: Any) -> str:
    """One string of a file, however it is stored."""
    value = np.asarray(value).reshape(-1)[0] if np.size(value) else ""
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _read_attribute(item: h5py.HLObject, name: str, default: Any) -> Any:
    """One value; labels of several values and what is too large for one are left alone."""
    if name not in item.attrs:
        return default
    entry = item.attrs.get_id(name)
    if math.prod(entry.shape or ()) != 1 or entry.get_storage_size() > LONGEST_TEXT:
        return default
    return item.attrs[name]


def check_links(path: str, *, where: str) -> None:
    """Refuse an HDF5 file, for a library that follows its links, if anything in it leads to another file.

    Args:
        path: The file.
        where: Its name, for messages.

    Raises:
        SharpwaveError: If a link, an external data set or a virtual one leads out.
    """
    import h5py

    with h5py.File(path, "r") as file:
        root = open_inside(file, where=where, size=1)
        seen, waiting = {root.address}, [root]
        while waiting:
            group = waiting.pop()
            for name in group:
                item = group.get(name)
                if isinstance(item, InsideGroup) and item.address not in seen:
                    seen.add(item.address)
                    waiting.append(item)
        outside = [place for place in root.allowance.outside if place.endswith("(in another file)")]
    if outside:
        raise SharpwaveError(
            f"everything of {where} inside it",
            got=f"links to other files: {', '.join(outside[:3])}",
            fix="export it as one file",
        )
