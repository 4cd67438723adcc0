"""One channel as numbers in a text file, one a line, as in the DREAMS data base: no rate, no clock."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.assembly import RawChannel, assemble_signals
from sharpwave.recordings.readers.files import read_text
from sharpwave.recordings.readers.wearable import read_wearable
from sharpwave.recordings.readers.wearable_beats import name_lone_intervals
from sharpwave.recordings.readers.wearable_columns import INTERVAL_NAMES, is_time_column
from sharpwave.recordings.recording import Recording

_HEADER = re.compile(r"\[\s*([^\[\]]{1,40}?)\s*\]")


def read_plain_text(
    path: str | Path,
    *,
    rate: float | None = None,
    channels: Sequence[str] | None = None,
    overrides: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> Recording:
    """Read one channel of numbers; a first line `[C3-A1]` names it. Numbers that are intervals between heart beats,
    with neither name nor `rate`, become a heart rate; a table, by its header, is read as one of a watch.

    Args:
        path: The file.
        rate: Sampling rate, Hz: the file has none.
        channels: Channels to keep, as in `read_recording`.
        overrides: Names of channels, as in `read_recording`; a file without a name is labelled "EEG".
        unit: Unit of the numbers; without it the unit that makes the amplitude plausible is taken, and declared.

    Raises:
        SharpwaveError: If no rate is given, or a line is not a number.
    """
    path = Path(path)
    first, _, rest = (text := read_text(path)).partition("\n")
    header = _HEADER.fullmatch(first.strip())
    if rate is None and header is None and _heads_a_table(first):
        return read_wearable(path)
    if rate is None and header is None and name_lone_intervals([line for line in text.split("\n") if line.strip()]):
        return read_wearable(path)
    label = header.group(1) if header else "EEG"
    samples = _numbers(rest if header else text, path)
    if rate is None:
        raise SharpwaveError(
            f"the sampling rate of {path.name}, a text file of numbers",
            got="none",
            fix="pass rate=, for example rate=200 (Hz)",
        )
    if not (np.isfinite(rate) and rate > 0):
        raise SharpwaveError("a positive sampling rate", got=f"{rate}", fix="pass rate= in Hz")
    raw = RawChannel(label, samples, float(rate), unit="")
    assembled = assemble_signals([raw], channels=channels, overrides=overrides, unit=unit)
    return Recording(
        signals=assembled.signals,
        species=assembled.species,
        source=path.name,
        repairs=assembled.repairs,
        metadata={"doubtful": assembled.doubtful, "labels": assembled.labels},
    )


def _heads_a_table(line: str) -> bool:
    """Whether a line names a column of times beside others, or of intervals between beats, as apps write them."""
    cells = [cell.strip().strip('"') for cell in re.split(r"[;,\t]", line)]
    return any(INTERVAL_NAMES.search(cell.lower().replace("-", "_")) for cell in cells) or (
        len(cells) > 1 and any(is_time_column(cell) for cell in cells)
    )


def _numbers(text: str, path: Path) -> np.ndarray:
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            values = np.loadtxt(io.StringIO(text), dtype=np.float32, ndmin=1)
    except ValueError as error:
        raise SharpwaveError(
            f"one number a line in {path.name}",
            got=str(error)[:120],
            fix="read another format by its name (.edf, .fif, .csv …), or write one channel as numbers",
        ) from error
    if values.ndim != 1:
        raise SharpwaveError(
            f"one number a line in {path.name}", got=f"{values.shape[1]} columns", fix="write one channel as numbers"
        )
    if not np.isfinite(values).any():
        raise SharpwaveError(
            f"finite numbers in {path.name}", got="none", fix="check that it is a recording, and how it was exported"
        )
    return values
