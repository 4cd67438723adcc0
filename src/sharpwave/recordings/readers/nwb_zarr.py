"""NWB as a folder of Zarr arrays (hdmf-zarr): the same view as of an HDF5 file, under the same rules.

Nothing outside the folder is opened: symbolic links and links to other stores are as if they were not there, and named.
No codec runs that could execute code (pickle); what a piece claims to unpack to is looked at before it is unpacked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.recordings.readers.nwb_inside import (
    MOST_NAMES,
    MOST_STEPS,
    Allowance,
    InsideArray,
    InsideGroup,
    split_path,
)
from sharpwave.recordings.readers.nwb_zarr_arrays import (
    CODECS_3,
    MOST_PIECES,
    NUMBERS,
    TEXTS,
    Declared,
    ZarrArray,
    list_codecs,
    read_node,
    take_attribute,
    walk,
)


def is_nwb_folder(path: Path) -> bool:
    """Whether a folder is an NWB session as Zarr.

    Args:
        path: The folder.
    """
    try:
        attributes = read_node(path)[1]
    except (OSError, ValueError, SharpwaveError):
        return False
    return "nwb_version" in attributes or attributes.get("neurodata_type") == "NWBFile"


def open_zarr_inside(path: Path) -> InsideGroup:
    """The root of an NWB session as Zarr, of format 2 or 3.

    Args:
        path: The folder.

    Raises:
        SharpwaveError: If it is no Zarr folder of NWB.
    """
    try:
        import zarr  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("zarr", extra="brain") from error
    if not is_nwb_folder(path):
        raise SharpwaveError(
            f"an NWB session (NWB as Zarr) in the folder {path.name}",
            got="a folder without the attributes of one (.zgroup and .zattrs, or zarr.json)",
            fix="name the folder that hdmf-zarr wrote, or export the session as one .nwb file",
        )
    size = 0
    for number, (_, status) in enumerate(walk(path)):
        size += status.st_size
        if number > 10 * MOST_PIECES:
            raise SharpwaveError(
                f"at most {10 * MOST_PIECES} files in {path.name}", got="more", fix="split the session"
            )
    return ZarrGroup(path, "", Allowance(path.name, size))


@dataclass(frozen=True, eq=False)
class ZarrGroup(InsideGroup):
    """A group of the folder: `group` is its path on disk."""

    group: Any

    @property
    def top(self) -> Path:
        return Path(*self.group.parts[: len(self.group.parts) - len(split_path(self.place))])

    @property
    def address(self) -> tuple[int, int]:
        status = self.group.stat()
        return status.st_dev, status.st_ino

    @property
    def root(self) -> InsideGroup:
        return ZarrGroup(self.top, "", self.allowance)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        return read_node(self.group)[1]

    @cached_property
    def links(self) -> dict[str, tuple[str, str]]:
        """Links by name: the store that each leads to, and the path there."""
        listed = self.attributes.get("zarr_link", [])
        found = [link for link in listed if isinstance(link, dict)] if isinstance(listed, list) else []
        return {str(link.get("name")): (str(link.get("source")), str(link.get("path"))) for link in found}

    def __iter__(self) -> Iterator[str]:
        with os.scandir(self.group) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and not entry.is_file())
        for name in [*names, *(name for name in self.links if name not in names)]:
            self.allowance.named += 1
            if self.allowance.named > MOST_NAMES:
                raise SharpwaveError(
                    f"at most {MOST_NAMES} names in {self.allowance.where}", got="more", fix="split it"
                )
            yield name

    def declares(self, name: str) -> bool:
        plain = name not in (".", "..") and "/" not in name
        return plain and (os.path.lexists(self.group / name) or name in self.links)

    def attribute(self, name: str, default: Any = None) -> Any:
        return take_attribute(self.attributes, name, default)

    def get(self, path: str) -> InsideGroup | InsideArray | None:
        return self._find(path, MOST_STEPS)

    def _find(self, path: str, steps: int) -> InsideGroup | InsideArray | None:
        place = f"{self.place}/{path}".strip("/")
        names = split_path(path)
        if steps <= 0 or ".." in names:
            return None
        if not names:
            return self
        folder = self.group / names[0]
        if not os.path.lexists(folder):
            return self._follow(names, place, steps)
        if folder.is_symlink():
            self._leave(f"{place} (in another file)")
            return None
        try:
            declared, attributes = read_node(folder)
        except (OSError, ValueError, SharpwaveError):
            return None
        own = f"{self.place}/{names[0]}".strip("/")
        if declared is None:
            return ZarrGroup(folder, own, self.allowance)._find("/".join(names[1:]), steps - 1)
        return self._open(folder, own, declared, attributes) if len(names) == 1 else None

    def _follow(self, names: list[str], place: str, steps: int) -> InsideGroup | InsideArray | None:
        """What a link of this group leads to, where that is inside the folder."""
        if names[0] not in self.links:
            return None
        source, target = self.links[names[0]]
        if source not in (".", "./", "", self.top.name):
            self._leave(f"{place} (in another file)")
            return None
        root = ZarrGroup(self.top, "", self.allowance)
        return root._find("/".join([target, *names[1:]]), steps - 1)

    def _open(
        self, folder: Path, place: str, declared: dict[str, Any], attributes: dict[str, Any]
    ) -> InsideArray | None:
        """An array, if all of it is inside the folder and no codec of it is strange."""
        import zarr

        if any(entry.is_symlink() for entry, _ in walk(folder)):
            self._leave(f"{place} (in another file)")
            return None
        strange = [name for name in list_codecs(declared) if name not in (*NUMBERS, *TEXTS, *CODECS_3)]
        if strange:
            self._leave(f"{place} (stored with {', '.join(strange)}, which is not opened)")
            return None
        try:
            if "json2" in list_codecs(declared):
                data: Any = Declared.of(declared)
            else:
                data = zarr.open_array(str(folder), mode="r", zarr_format=declared.get("zarr_format"))
        except Exception as error:  # zarr raises its own, of many kinds
            raise SharpwaveError(
                f"an undamaged array in {self.allowance.where}:/{place}",
                got=f"{type(error).__name__}: {' '.join(str(error).split())}"[:200],
                fix="export the session again",
            ) from error
        return ZarrArray(data, place, self.allowance, folder, declared, attributes)
