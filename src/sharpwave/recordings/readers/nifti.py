"""BOLD from NIfTI: volumes as (time, x, y, z) left on disk, or the mean of each region of an atlas."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.readers.files import OnDisk, check_declared, check_file, guarded
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.recordings.sliced import Sliced

PLAUSIBLE_TR = (0.05, 20.0)
SECONDS_PER = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
BLOCK_BYTES = 64 * 2**20


def read_bold(path: str | Path, *, atlas: str | Path | None = None, tr: float | None = None) -> Recording:
    """Read a 4-D NIfTI image as BOLD.

    Args:
        path: `.nii` or `.nii.gz`. A BIDS sidecar (`.json`) beside it gives the repetition time.
        atlas: Image of integer labels on the same grid (0 is outside); gives parcels in place of volumes. Names are
            taken from a table (`index`, `name`) of the same name ending in `.tsv`, where there is one.
        tr: Repetition time in seconds, in place of the header's.

    Returns:
        One signal "bold" of shape (time, x, y, z), or (time, parcel) with an atlas; intensities have no unit.

    Raises:
        SharpwaveError: If the image has no time axis, the repetition time is implausible, or the atlas does not fit.
    """
    path = check_file(path, "a BOLD image")
    with guarded(path, "a NIfTI image"):
        image = _load_image(path)
        if len(image.shape) != 4 or min(image.shape) < 1:
            raise SharpwaveError(
                f"an image with three axes of space and one of time in {path.name}",
                got=f"shape {tuple(image.shape)}",
                fix="choose the functional image (…_bold.nii.gz)",
            )
        repetition_time, repairs = _find_repetition_time(image, path, tr)
        volumes = OnDisk(_TimeFirst(image.dataobj, path.suffix == ".gz"), path.name)
        samples: Any = volumes
        names: tuple[str, ...] = ()
        if atlas is not None:
            samples, names = _average_parcels(volumes, image.affine, Path(atlas))
    signal = Signal("bold", samples, 1 / repetition_time, MODALITIES["bold"], channels=names)
    subject = re.match(r"sub-([^_]+)_", path.name)
    return Recording(
        signals={"bold": signal},
        subject=subject.group(1) if subject else "unknown",
        source=path.name,
        repairs=tuple(repairs),
        metadata={
            "repetition_time": repetition_time,
            "affine": np.asarray(image.affine).tolist(),
            **({"atlas": Path(atlas).name} if atlas is not None else {}),
        },
    )


@dataclass(frozen=True, eq=False)
class _TimeFirst(Sliced):
    """NIfTI keeps time last; slices here are along time.

    A gzip stream can only be read from its start, so the volumes that a slice needs are read in one pass.
    """

    array: Any
    compressed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.array.shape[3], *self.array.shape[:3])

    @property
    def dtype(self) -> np.dtype:
        plain = (self.array.slope, self.array.inter) == (1.0, 0.0)
        return np.dtype(self.array.dtype).newbyteorder("=") if plain else np.dtype(np.float64)

    def _take(self, low: int, high: int) -> np.ndarray:
        return np.moveaxis(np.asarray(self.array[..., low:high]), -1, 0)


def _load_image(path: Path) -> Any:
    import nibabel

    image = nibabel.load(path)
    if not isinstance(image, nibabel.Nifti1Image | nibabel.Nifti2Image):
        raise SharpwaveError(
            f"a NIfTI image in {path.name}",
            got=type(image).__name__,
            fix="convert it to NIfTI, for example with nibabel",
        )
    dtype = image.get_data_dtype()
    if dtype.kind not in "iuf":
        raise SharpwaveError(f"real intensities in {path.name}", got=f"type {dtype}", fix="export magnitude images")
    declared = math.prod(int(length) for length in image.shape) * dtype.itemsize
    compressed = path.suffix == ".gz"
    check_declared(declared=declared, stored=path.stat().st_size, where=path.name, compressed=compressed)
    return image


def _find_repetition_time(image: Any, path: Path, stated: float | None) -> tuple[float, list[str]]:
    """Repetition time in seconds: as stated, from the sidecar, or from the header in whichever unit is plausible."""
    if stated is not None:
        return _checked(float(stated), f"tr={stated}"), []
    zoom = float(image.header.get_zooms()[3])
    unit = image.header.get_xyzt_units()[1]
    seconds = zoom * SECONDS_PER.get(unit, 1.0)
    sidecar = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    if sidecar.is_file():
        try:
            declared = float(json.loads(sidecar.read_text(encoding="utf-8"))["RepetitionTime"])
        except (ValueError, KeyError, TypeError, RecursionError):
            declared = math.nan
        if math.isfinite(declared):
            differs = abs(declared - seconds) > 0.01 * declared
            note = f"the header's repetition time ({zoom:g} {unit}) contradicts the sidecar's; {declared:g} s taken"
            return _checked(declared, f"RepetitionTime {declared} in {sidecar.name}"), [note] * differs
    if PLAUSIBLE_TR[0] <= seconds <= PLAUSIBLE_TR[1]:
        note = "the header gives the repetition time no unit; seconds taken"
        return seconds, [note] * (unit not in SECONDS_PER)
    for other, factor in SECONDS_PER.items():
        if PLAUSIBLE_TR[0] <= zoom * factor <= PLAUSIBLE_TR[1]:
            return zoom * factor, [f"a repetition time of {zoom:g} {unit} is implausible; taken as {zoom:g} {other}"]
    raise _implausible(f"{zoom:g} {unit} in the header of {path.name}")


def _checked(seconds: float, source: str) -> float:
    if not PLAUSIBLE_TR[0] <= seconds <= PLAUSIBLE_TR[1]:
        raise _implausible(source)
    return seconds


def _implausible(got: str) -> SharpwaveError:
    low, high = PLAUSIBLE_TR
    return SharpwaveError(
        f"a repetition time of {low:g} to {high:g} s", got=got, fix="pass tr= in seconds (2.0, not 2000)"
    )


def _average_parcels(volumes: OnDisk, affine: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Mean of each label's voxels, shape (time, parcel), read in blocks; voxels that are not finite are left out."""
    labels = _read_labels(check_file(path, "an atlas"), volumes.shape[1:], affine)
    codes = np.unique(labels[labels > 0])
    voxels = np.flatnonzero(labels.ravel() > 0)
    parcel = np.searchsorted(codes, labels.ravel()[voxels])
    per_volume = math.prod(volumes.shape[1:]) * 8
    step = max(1, BLOCK_BYTES // per_volume)
    means = np.empty((len(volumes), len(codes)), dtype=np.float32)
    for low in range(0, len(volumes), step):
        block = volumes[low : low + step]
        for row, volume in enumerate(block.reshape(len(block), -1)[:, voxels]):
            finite = np.isfinite(volume)
            sums = np.bincount(parcel[finite], weights=volume[finite], minlength=len(codes))
            counts = np.bincount(parcel[finite], minlength=len(codes))
            means[low + row] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return means, _name_parcels(codes, path)


def _read_labels(path: Path, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    with guarded(path, "an atlas"):
        image = _load_image(path)
        space = tuple(image.shape[:3])
        same_place = np.allclose(image.affine, affine, atol=1e-2)
        if space != shape or math.prod(image.shape) != math.prod(shape) or not same_place:
            raise SharpwaveError(
                f"an atlas on the grid of the image, {shape}",
                got=f"{path.name} of shape {tuple(image.shape)}" + ("" if same_place else " in another space"),
                fix="resample the atlas to the image with nearest-neighbour interpolation",
            )
        values = np.asarray(image.dataobj, dtype=np.float64).reshape(shape)
    labels = np.rint(values)
    if not np.array_equal(labels, values) or not (labels > 0).any():
        raise SharpwaveError(
            "an atlas of integer labels above 0",
            got=f"{path.name} with values such as {values.ravel()[np.argmax(labels != values)]:g}",
            fix="use the label image, not a probabilistic atlas",
        )
    return labels.astype(np.int64)


def _name_parcels(codes: np.ndarray, path: Path) -> tuple[str, ...]:
    table = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".tsv")
    names: dict[int, str] = {}
    if table.is_file():
        with guarded(table, "a table of labels"):
            frame = pd.read_csv(table, sep="\t")
            if {"index", "name"} <= set(frame.columns):
                names = dict(zip(frame["index"].astype(int), frame["name"].astype(str), strict=True))
    return tuple(names.get(int(code), str(code)) for code in codes)
