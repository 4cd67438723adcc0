"""The objects of a store in a bucket that is appended to, where no lock keeps a second process away.

Who appends first puts a mark of its own into the store's head, and from then on replaces each object only as it was
after that (a conditional put, by the tag that the server gives each version). Whoever marks the head later makes the
earlier one fail, at the latest where it replaces the head at the end; and an object that one of two has written, the
other no longer replaces. So at most one of them ends well, and what the head names is its own. Nothing is removed
before the new head stands.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sharpwave import remote
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.recording import Recording
from sharpwave.recordings.store.write import Progress, write_store
from sharpwave.remote import RemotePath

HEAD = "zarr.json"
CLAIM = "sharpwave_append"
"""Attribute of the head while somebody appends."""


class Objects:
    """The objects of a store in a bucket, each with the version in which this process may replace it.

    Args:
        path: Address of the store.

    Attributes:
        versions: What the server calls the version of each object.
        unwanted: Objects that are removed when the new head stands.
    """

    def __init__(self, path: RemotePath) -> None:
        import obstore

        self.path, self.unwanted = path, set[str]()
        self.bucket = remote.open_bucket(str(path), remote.SECONDS_TO_WRITE)
        self.versions: dict[str, dict[str, str]] = {
            str(entry["path"]): _tag(entry) for batch in obstore.list(self.bucket) for entry in batch
        }

    def read_head(self) -> dict[str, Any] | None:
        """The head of the store, with its version; None where there is none."""
        import obstore

        if HEAD not in self.versions:
            return None
        found = obstore.get(self.bucket, HEAD)
        self.versions[HEAD] = _tag(found.meta)
        try:
            head = json.loads(bytes(found.bytes()))
            return {**head, "attributes": dict(head.get("attributes") or {})}
        except (ValueError, TypeError, AttributeError):
            return {"attributes": {"what Zarr did not write": True}}

    def claim(self, head: dict[str, Any] | None) -> Objects:
        """Mark the head as this process's; the objects as they are after that.

        Raises:
            SharpwaveError: If the server does not mind conditions.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, NotSupportedError, PreconditionError

        head = head or {"zarr_format": 3, "node_type": "group", "attributes": {}}
        marked = json.dumps(head | {"attributes": head["attributes"] | {CLAIM: uuid.uuid4().hex}}).encode()
        mode = self.versions.get(HEAD, "create")
        try:
            mine = obstore.put(self.bucket, HEAD, marked, mode=mode)  # type: ignore[arg-type]
            try:  # the same once more: only a server that minds no conditions takes it
                obstore.put(self.bucket, HEAD, marked, mode=mode)  # type: ignore[arg-type]
                minds = False
            except (AlreadyExistsError, PreconditionError):
                minds = True
        except (NotImplementedError, NotSupportedError):
            minds = False
        if not minds:
            raise SharpwaveError(
                f"a server that replaces objects on conditions (If-Match) at {self.path}",
                got="one that does not, so that two who append would mix their samples",
                fix="append to a copy on a disk, and upload that",
            )
        objects = Objects(self.path)
        objects.versions[HEAD] = _tag(mine)
        return objects

    def open_to_write(self) -> Any:
        """What Zarr writes the store through."""
        return _define_store()(self)

    async def put(self, key: str, value: Any) -> None:
        """Write an object that nobody else has written since."""
        import obstore
        from obstore.exceptions import PreconditionError

        mode: Any = self.versions.get(key, "create")
        if (
            self.path.scheme == "gs" and mode != "create" and "version" not in mode
        ):  # Google lists tags, and asks for versions
            known, mode = mode, _tag(await obstore.head_async(self.bucket, key))
            if known["e_tag"] != mode["e_tag"]:
                raise PreconditionError(key)
        self.unwanted.discard(key)
        done = await obstore.put_async(self.bucket, key, value, mode=mode, use_multipart=False)
        self.versions[key] = _tag(done)

    def list_names(self) -> Collection[str]:
        return {key.partition("/")[0] for key in self.versions}

    def settle(self) -> None:
        """What a bucket has taken stays."""

    def remove(self, name: str) -> None:
        self.unwanted |= {key for key in self.versions if key.startswith(f"{name}/")}

    def tidy(self) -> None:
        """Remove what is unwanted, once the new head stands; who may not remove leaves some small objects."""
        import obstore
        from obstore.exceptions import BaseError

        with suppress(BaseError):
            obstore.delete(self.bucket, sorted(self.unwanted))


def _tag(said: Mapping[str, Any]) -> dict[str, str]:
    """What a server said of the version of an object."""
    return {name: said[name] for name in ("e_tag", "version") if said.get(name)}


@cache
def _define_store() -> Any:
    """The class of Zarr stores over `Objects`; made when zarr is there."""
    from zarr.storage import ObjectStore

    class Owned(ObjectStore):  # type: ignore[type-arg]
        """Objects that Zarr replaces only as they were, and removes only at the end."""

        def __init__(self, objects: Objects) -> None:
            super().__init__(objects.bucket)
            self.objects = objects

        async def set(self, key: str, value: Any) -> None:
            await self.objects.put(key, value.as_buffer_like())

        async def set_if_not_exists(self, key: str, value: Any) -> None:
            if key not in self.objects.versions:
                await self.set(key, value)

        async def delete(self, key: str) -> None:
            self.objects.unwanted |= {key} & set(self.objects.versions)

        async def delete_dir(self, prefix: str) -> None:
            self.objects.remove(prefix.rstrip("/"))

    return Owned


def begin_store(objects: Objects, path: RemotePath, recording: Recording, progress: Progress | None) -> None:
    """Write a store beside nothing: made on this machine, then sent, its head last."""
    from zarr.core.sync import sync

    objects.unwanted = set(objects.versions) - {HEAD}
    with TemporaryDirectory() as folder:
        made = write_store(recording, Path(folder, path.name), progress=progress)
        files = {part.relative_to(made).as_posix(): part for part in made.rglob("*") if part.is_file()}
        for key in sorted(files, key=lambda name: (name == HEAD, name)):
            sync(objects.put(key, files[key].read_bytes()))


@contextmanager
def explaining(path: RemotePath) -> Iterator[None]:
    """As `remote.explaining`, and what another process wrote meanwhile."""
    from obstore.exceptions import AlreadyExistsError, PreconditionError
    from zarr.errors import ContainsArrayError, ContainsGroupError

    with remote.explaining(path, "write"):
        try:
            yield
        except (AlreadyExistsError, PreconditionError, ContainsArrayError, ContainsGroupError) as error:
            raise SharpwaveError(
                f"one process that writes {path}",
                got="another one that wrote to it meanwhile",
                fix="nothing of this recording counts: append it again when no other process does",
            ) from error
