"""Units of a session by where they lie, what cells they are, and how good they are, in the words of the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Recording

COLUMNS: dict[str, tuple[str, ...]] = {
    "area": (
        "area", "brain_area", "brain_region", "brainregion", "region", "location", "structure", "acronym",
        "electrode_location", "anatomical_location",
    ),
    "cell type": (
        "cell_type", "celltype", "putativecelltype", "putative_cell_type", "cell_class", "neuron_type",
        "unit_type", "waveform_class", "type",
    ),
    "quality": (
        "quality", "unit_quality", "group", "kslabel", "ks_label", "isolation", "default_qc", "labels", "label",
    ),
}  # fmt: skip
"""What a unit is chosen by → columns that may say it, in lower case, the first that is there."""
FEWEST_SPIKES = 20
"""Spikes of a unit from which another with the same ones is no chance."""
FEWEST_LETTERS = 3
"""Letters of a value that may stand for a longer word: "pyr" for "pyramidal"."""


def choose_units(
    recording: Recording,
    *,
    area: Sequence[str] = (),
    cell_type: Sequence[str] = (),
    quality: Sequence[str] = (),
) -> Recording:
    """The session with the units of these areas, cell types and qualities alone.

    A word fits a value that is it or holds it as a word ("pyramidal": "Pyramidal Cell"); where no value does, one that
    begins with it or stands for it ("CA1": "CA1sp"; "pyramidal": "pyr"). Case does not count.

    Args:
        recording: Session with units, whose metadata say it (NWB, Phy, CellExplorer, pynapple).
        area: Areas to keep; all by default.
        cell_type: Cell types to keep; all by default.
        quality: Qualities to keep; all by default.

    Returns:
        The session; which values were taken, and how many units are left, is among its repairs.

    Raises:
        SharpwaveError: If the file does not say it of its units, or none fits.

    >>> import pynapple as nap
    >>> group = nap.TsGroup({0: nap.Ts([1.0, 2.0]), 1: nap.Ts([1.0, 3.0])}, metadata={"area": np.array(["CA1", "CA3"])})
    >>> chosen = choose_units(Recording(spikes=group), area=["ca1"])
    >>> list(chosen.spikes), chosen.repairs
    ([0], ('1 of 2 units were kept: area CA1',))
    """
    wanted = {"area": list(area), "cell type": list(cell_type), "quality": list(quality)}
    wanted = {what: words for what, words in wanted.items() if words}
    if not wanted:
        return recording
    spikes = recording.spikes
    if spikes is None or not len(spikes):
        raise SharpwaveError("a session with units", got="none", fix="leave out --area, --cell-type and --quality")
    kept = np.ones(len(spikes), dtype=bool)
    said = []
    for what, words in wanted.items():
        values = _read_values(spikes, what)
        taken = _match(values, words, what)
        kept &= np.array([value in taken for value in values])
        said.append(f"{what} {', '.join(sorted(taken))}")
    units = [unit for unit, keep in zip(spikes, kept, strict=True) if keep]
    if not units:
        raise SharpwaveError(f"units of {'; '.join(said)}", got="none that is all of it", fix="ask for less")
    sentence = f"{len(units)} of {len(spikes)} units were kept: {'; '.join(said)}"
    return replace(recording, spikes=spikes[units], repairs=(*recording.repairs, sentence))


def drop_repeated_units(recording: Recording) -> Recording:
    """The session without units whose spikes are, one by one, those of a unit before; which they are is a repair.

    A unit that a file holds twice would count as two cells that agree.

    Args:
        recording: Session with or without units.

    >>> import pynapple as nap
    >>> times = np.arange(30.0)
    >>> session = Recording(spikes=nap.TsGroup({0: nap.Ts(times), 1: nap.Ts(times + 0.5), 7: nap.Ts(times)}))
    >>> drop_repeated_units(session).repairs
    ('1 of 3 units has the spikes of another, one by one; left out: 7 (as 0)',)
    """
    spikes = recording.spikes
    if spikes is None:
        return recording
    first: dict[bytes, Any] = {}
    repeated = {}
    for unit in spikes:
        times = np.asarray(spikes[unit].t, dtype=np.float64)
        owner = first.setdefault(times.tobytes(), unit)
        if owner != unit and len(times) >= FEWEST_SPIKES:
            repeated[unit] = owner
    if not repeated:
        return recording
    pairs = [f"{unit} (as {owner})" for unit, owner in repeated.items()]
    listed = ", ".join(pairs[:5]) + (f" and {len(pairs) - 5} more" if len(pairs) > 5 else "")
    verb = "has" if len(pairs) == 1 else "have"
    said = f"{len(pairs)} of {len(spikes)} units {verb} the spikes of another, one by one; left out: {listed}"
    kept = spikes[[unit for unit in spikes if unit not in repeated]]
    return replace(recording, spikes=kept, repairs=(*recording.repairs, said))


def _read_values(spikes: Any, what: str) -> list[str]:
    """What the file says of each unit, as text."""
    names = {str(name).lower(): str(name) for name in spikes.metadata_columns}
    column = next((names[name] for name in COLUMNS[what] if name in names), None)
    if column is None:
        known = ", ".join(sorted(name for name in names.values() if name != "rate")) or "nothing"
        raise SharpwaveError(
            f"the {what} of each unit, in a column such as {', '.join(COLUMNS[what][:3])}",
            got=f"units of which the file says {known}",
            fix=f"leave out --{what.replace(' ', '-')}, or write the column into the file",
        )
    return [_to_text(value) for value in spikes[column]]


def _to_text(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def _match(values: Sequence[str], words: Sequence[str], what: str) -> set[str]:
    """The values that these words ask for: those that hold them as words, else those that begin with them."""
    taken: set[str] = set()
    for word in words:
        asked = word.strip().lower()
        whole = {value for value in values if asked == value.lower() or asked in re.split(r"[^a-z0-9]+", value.lower())}
        found = whole or {value for value in values if _stands_for(value.lower(), asked)}
        if not asked or not found:
            there = ", ".join(f"{value or 'not stated'} ({n})" for value, n in Counter(values).most_common(12))
            raise SharpwaveError(
                f"units of {what} {word!r}", got=there, fix=f"choose among these with --{what.replace(' ', '-')}"
            )
        taken |= found
    return taken


def _stands_for(value: str, asked: str) -> bool:
    return any(token.startswith(asked) for token in re.split(r"[^a-z0-9]+", value) if token) or (
        len(value) >= FEWEST_LETTERS and asked.startswith(value)
    )
