"""Windows of nights on disk, of which training reads only the pieces that it draws.

A recording is windowed once, stretch by stretch, into one memory-mapped array per modality. Measures that compare with
the night so far need all of it, which a piece does not hold; so they are computed then, and a piece is a slice.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.windows import STEP, Grid, WindowedRecording, Windows, align_stages, make_grid
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.recording import Recording

STRETCH = 240
"""Steps windowed at a time."""
CACHE = ".sharpwave-windows"
"""Folder beside the stores, where no other is given."""


class StoredNight:
    """A windowed recording on disk: `restrict` reads those steps and nothing else.

    Args:
        folder: Written by `store_windows`.

    Raises:
        SharpwaveError: If the folder is no such night, or is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            content = json.loads((self.folder / "night.json").read_text(encoding="utf-8"))
            self.grid = Grid(**content["grid"])
            self.channels = {name: tuple(channels) for name, channels in content["channels"].items()}
            self.about: dict[str, Any] = content["about"]
            if self.about["scorable"] is not None:
                self.about["scorable"] = tuple(self.about["scorable"])
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise SharpwaveError(
                "a folder of windows with night.json",
                got=f"{self.folder.name}: {str(error)[:200]}",
                fix="remove it; it is made again from the recording",
            ) from error

    def __len__(self) -> int:
        return len(self.grid)

    @property
    def subject(self) -> str:
        """Who."""
        return str(self.about["subject"])

    def restrict(self, first: int, last: int) -> WindowedRecording:
        """Steps first to last (excluded), in memory."""
        windows = {
            name: Windows(
                self._read(f"{name}.values", first, last), self._read(f"{name}.present", first, last), channels
            )
            for name, channels in self.channels.items()
        }
        stages, votes = self._read("stages", first, last), self._read("votes", first, last)
        return WindowedRecording(self.grid.restrict(first, last), windows, stages, votes, **self.about)

    def _read(self, name: str, first: int, last: int) -> np.ndarray:
        try:
            array = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise SharpwaveError(
                f"the windows {name}.npy", got=f"{str(error)[:200]}", fix="remove their folder; it is made again"
            ) from error
        return np.array(array[first:last])


def store_windows(
    recording: Recording,
    folder: str | Path,
    *,
    modalities: Collection[str] | None = None,
    step: float = STEP,
    scorable: tuple[int, ...] | None = None,
    cohort: str = "",
) -> StoredNight:
    """Window a recording into a folder; the same numbers as `window_recording`, in bounded memory.

    Args:
        recording: Signals may lie on disk.
        folder: Replaced if it exists.
        modalities: Keys of `ENCODERS`; all where omitted.
        step: Length of a step in seconds.
        scorable: Stages that can be labelled at all where signals exist, if not all.
        cohort: Kept with the windows.

    Raises:
        SharpwaveError: If the recording is shorter than a step, or has none of the modalities.
    """
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    grid = make_grid(recording, step=step)
    channels: dict[str, tuple[str, ...]] = {}
    for name in ENCODERS if modalities is None else modalities:
        found = _store_modality(name, recording, grid, partial)
        if found is not None:
            channels[name] = found
    if not channels:
        shutil.rmtree(partial)
        raise SharpwaveError(
            "a recording with a modality that the model knows",
            got=f"{', '.join(recording.modalities) or 'no signals'}",
            fix="name the channels so that they are recognised, or choose other modalities",
        )
    stages, votes, n_stages = align_stages(recording.hypnogram, grid)
    np.save(partial / "stages.npy", stages)
    np.save(partial / "votes.npy", votes)
    about = {"n_stages": n_stages, "scorable": scorable, "cohort": cohort, "subject": recording.subject}
    content = {
        "grid": {"start": grid.start, "step": grid.step, "n_steps": grid.n_steps},
        "channels": channels,
        "about": about,
    }
    (partial / "night.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return StoredNight(folder)


def _store_modality(name: str, recording: Recording, grid: Grid, folder: Path) -> tuple[str, ...] | None:
    """Window one modality into two arrays; its channels, or None where the recording does not have it."""
    kind, past, values, present = ENCODERS[name], None, None, None
    channels: tuple[str, ...] = ()
    for first in range(0, len(grid), STRETCH):
        last = min(first + STRETCH, len(grid))
        measured = kind.measure(recording, grid.restrict(first, last))
        if measured is None:
            return None
        windows, past = kind.relate(measured, past)
        if values is None or present is None:
            channels, shape = windows.channels, (len(grid), *windows.values.shape[1:])
            values = _create(folder / f"{name}.values.npy", windows.values.dtype, shape)
            present = _create(folder / f"{name}.present.npy", np.dtype(bool), shape[:2])
        values[first:last], present[first:last] = windows.values, windows.present
    return channels


def _create(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.memmap:
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def find_stores(paths: Iterable[str | Path]) -> list[Path]:
    """Stores (.zarr) among the paths and in the folders among them, at any depth.

    Raises:
        SharpwaveError: If there is none.
    """
    given = [Path(path) for path in paths]
    stores: list[Path] = []
    for path in given:
        stores += [path] if path.suffix == ".zarr" else sorted(path.rglob("*.zarr"))
    if not stores:
        raise SharpwaveError(
            "stores of recordings (.zarr)",
            got=f"none in {', '.join(path.name for path in given) or 'no folder'}",
            fix="make them with `sharpwave convert FILES -o FOLDER`",
        )
    return list(dict.fromkeys(stores))


def stream_stores(
    paths: Iterable[str | Path], *, cache: str | Path | None = None, modalities: Sequence[str] | None = None
) -> list[StoredNight]:
    """Nights of stores, ready to draw pieces from; each is windowed the first time.

    Args:
        paths: Stores (.zarr), or folders that hold them.
        cache: Folder for the windows; `.sharpwave-windows` beside each store where omitted.
        modalities: Keys of `ENCODERS`; all where omitted.

    Raises:
        SharpwaveError: If there is no store, or one cannot be read.
    """
    from rich.console import Console
    from rich.progress import track

    from sharpwave.recordings.store import open_store

    nights = []
    for path in track(find_stores(paths), "Windows", console=Console(stderr=True), transient=True):
        home = path.parent / CACHE if cache is None else Path(cache)
        folder = home / f"{path.stem}-{_sign(path, modalities)}"
        if (folder / "night.json").is_file():
            nights.append(StoredNight(folder))
        else:
            nights.append(store_windows(open_store(path), folder, modalities=modalities, cohort=path.parent.name))
    return nights


def _sign(path: Path, modalities: Sequence[str] | None) -> str:
    """Twelve digits that change with the store, the modalities and the code that makes windows."""
    here = Path(__file__).parent
    digest = hashlib.sha256(json.dumps([str(path.resolve()), modalities]).encode())
    for source in [path / "zarr.json", here / "windows.py", *sorted((here / "encoders").glob("*.py"))]:
        digest.update(source.read_bytes() if source.is_file() else b"")
    return digest.hexdigest()[:12]
