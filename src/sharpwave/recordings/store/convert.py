"""Recordings of any format into stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.store.layout import CHUNK_SECONDS
from sharpwave.recordings.store.write import Progress, write_store


def convert(
    sources: Sequence[str | Path],
    target: str | Path,
    *,
    chunk_seconds: float = CHUNK_SECONDS,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Write each recording as a store.

    Args:
        sources: Files or folders that `read_recording` reads.
        target: The store where it ends in `.zarr` and there is one source; else a folder for `<name>.zarr` of each.
        chunk_seconds: Seconds read at a time.
        overwrite: Replace stores that are there.
        resume: Go on with an interrupted conversion: finished stores are kept as they are.
        progress: Called with a signal's name and the share of its recording that is written.

    Returns:
        Paths of the stores, in the order of the sources.

    Raises:
        SharpwaveError: If there is no source, two would become the same store, or one cannot be read or written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     table = Path(folder) / "watch.csv"
    ...     _ = table.write_text("time,heart_rate_bpm\\n0,61\\n30,58\\n60,57\\n")
    ...     [path.name for path in convert([table], folder)]
    ['watch.zarr']
    """
    from sharpwave.recordings.readers import read_recording

    paths = [Path(source) for source in sources]
    stores = _name_stores(paths, Path(target))
    for source, store in zip(paths, stores, strict=True):
        if resume and store.exists() and not overwrite:
            continue
        write_store(
            read_recording(source),
            store,
            chunk_seconds=chunk_seconds,
            overwrite=overwrite,
            resume=resume,
            progress=progress,
        )
    return stores


def _name_stores(sources: list[Path], target: Path) -> list[Path]:
    if not sources:
        raise SharpwaveError("at least one recording", got="none", fix="name the files to convert")
    if len(sources) == 1 and target.suffix == ".zarr":
        return [target]
    names = [source.name.removesuffix(".gz").rpartition(".")[0] or source.name for source in sources]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise SharpwaveError(
            "sources with different names",
            got=f"several {doubled[0]!r}",
            fix="convert them one by one, naming each store",
        )
    return [target / f"{name}.zarr" for name in names]
