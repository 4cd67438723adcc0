"""BIDS nights: an EEG file with what its sidecars say about channels, events, stages and the participant."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import recognise_channel
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.readers.bids_layout import (
    find_derivative,
    find_root,
    find_sidecar,
    list_bids_nights,
    parse_entities,
)
from sharpwave.recordings.readers.files import guarded
from sharpwave.recordings.readers.scoring import CONVENTIONS, name_stage
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.recordings.units import check_length, convert_unit, read_age

TYPES = {
    "EEG": "eeg",
    "EOG": "eog",
    "HEOG": "eog",
    "VEOG": "eog",
    "EMG": "emg",
    "ECG": "ecg",
    "SEEG": "lfp",
    "ECOG": "lfp",
    "DBS": "lfp",
    "RESP": "respiration",
    "TEMP": "temperature",
    "PPG": "other",
    "TRIG": "other",
    "MISC": "other",
}
"""BIDS channel types (`_channels.tsv`) as modalities."""


def read_bids(
    path: str | Path,
    *,
    channels: Sequence[str] | None = None,
    overrides: Mapping[str, str] | None = None,
    unit: str | None = None,
    convention: str | Mapping[int, str] | None = None,
    epoch_length: float | None = None,
    scorer: str | None = None,
) -> Recording:
    """Read one night of a BIDS data set.

    Args:
        path: Its EEG file (`…_eeg.edf`, `.bdf`, `.vhdr`, `.set`, `.fif`), or a folder that holds one night.
        channels: Keep only these (labels or recognised names).
        overrides: Label → "name:modality", where the alias table is wrong.
        unit: Unit of the electrical channels, where the file is wrong about it.
        convention: Meaning of integers in `_hypnogram.tsv`, see `read_hypnogram`; what the `Levels` of its JSON say,
            where omitted.
        epoch_length: Length of an epoch of the hypnogram in seconds, where it does not say.
        scorer: Whose scoring to take, where several scored; a person's, else the first, where omitted.

    Returns:
        The recording, with modalities and bad channels from `_channels.tsv`, events, the hypnogram (from
        `_hypnogram.tsv`, a derivative of it, or stages among the events), age and sex.

    Raises:
        SharpwaveError: If the folder holds no night or several, or a sidecar contradicts the file.
    """
    path = Path(path)
    if path.is_dir():
        nights = list_bids_nights(path)
        if len(nights) != 1:
            raise SharpwaveError(
                f"one night in {path}",
                got=f"{len(nights)}: {', '.join(night.name for night in nights[:4])}",
                fix="name the EEG file, or choose participants: sharpwave bids",
            )
        path = nights[0]
    recording = _read_file(path, channels=channels, overrides=overrides, unit=unit)
    repairs = list(recording.repairs)
    metadata: dict[str, Any] = {**recording.metadata, **_read_participant(path, repairs)}
    signals = _apply_channels(dict(recording.signals), path, metadata, repairs)
    _check_sidecar(recording, path, metadata)
    found = _read_events(path, repairs)
    events = recording.events if found is None else found
    how = {"convention": convention, "epoch_length": epoch_length, "scorer": scorer}
    hypnogram = _read_stages(path, recording, events, repairs, how)
    entities = parse_entities(path)
    return replace(
        recording,
        signals=signals,
        hypnogram=hypnogram if hypnogram is not None else recording.hypnogram,
        events=events,
        subject=entities.get("sub", recording.subject),
        species=str(metadata.pop("species", recording.species if recording.species != "unknown" else "human")),
        source=path.name,
        repairs=tuple(repairs),
        metadata=metadata,
    )


def _read_file(path: Path, **options: Any) -> Recording:
    if path.suffix.lower() in (".edf", ".bdf"):
        from sharpwave.recordings.readers.edf import read_edf

        return read_edf(path, **options)
    from sharpwave.recordings.readers.mne_reader import read_mne

    return read_mne(path, **options)


def _read_table(path: Path) -> pd.DataFrame:
    with guarded(path, "a BIDS table"):
        return pd.read_csv(path, sep="\t", na_values=["n/a"], dtype={"participant_id": str}, encoding="utf-8-sig")


def _apply_channels(
    signals: dict[str, Signal], path: Path, metadata: dict[str, Any], repairs: list[str]
) -> dict[str, Signal]:
    """Types, units and status of `_channels.tsv`; the file's own names win where both are known."""
    sidecar = find_sidecar(path, "channels.tsv")
    if sidecar is None:
        return signals
    table = _read_table(sidecar)
    if "name" not in table:
        raise SharpwaveError(
            f"a column 'name' in {sidecar.name}", got=", ".join(map(str, table)), fix="add it, as BIDS requires"
        )
    labels = metadata.get("labels", {})
    by_label = {str(labels.get(name, name)).strip(): name for name in signals}
    bad, missing = [], []
    for row in table.to_dict("records"):
        label = str(row["name"]).strip()
        name = by_label.get(label) or (label if label in signals else None) or recognise_channel(label).name
        if name not in signals:
            missing.append(label)
            continue
        if str(row.get("status", "")).lower() == "bad":
            bad.append(name)
        modality = TYPES.get(str(row.get("type", "")).upper())
        signal = signals[name]
        if modality is not None and modality != signal.modality.name and modality != "other":
            signals[name] = _retyped(signal, modality, str(row.get("units", "")), repairs)
    if bad:
        metadata["bad_channels"] = bad
    if missing:
        repairs.append(f"{sidecar.name} names channels that the file does not hold: {', '.join(missing[:8])}")
    return signals


def _retyped(signal: Signal, name: str, unit: str, repairs: list[str]) -> Signal:
    """The signal as another modality; one that was read as plain numbers takes the unit of the table."""
    modality = MODALITIES[name]
    if signal.modality.unit == modality.unit:
        return replace(signal, modality=modality)
    factors = convert_unit(unit, modality)
    if factors is None or signal.modality.unit:
        repairs.append(f"{signal.name}: the channel table says {name} in {unit!r}; kept as {signal.modality.name}")
        return signal
    return replace(
        signal, modality=modality, scale=signal.scale * factors[0], offset=signal.offset * factors[0] + factors[1]
    )


def _check_sidecar(recording: Recording, path: Path, metadata: dict[str, Any]) -> None:
    sidecar = find_sidecar(path, f"{path.stem.rpartition('_')[2]}.json")
    if sidecar is None:
        return
    with guarded(sidecar, "a BIDS sidecar"):
        content = json.loads(sidecar.read_text(encoding="utf-8-sig"))
    if not isinstance(content, dict):
        raise SharpwaveError(f"an object in {sidecar.name}", got=type(content).__name__, fix="correct the sidecar")
    names = {
        "PowerLineFrequency": "power_line_hz",
        "EEGReference": "reference",
        "TaskName": "task",
        "Manufacturer": "device",
    }
    metadata |= {ours: content[theirs] for theirs, ours in names.items() if content.get(theirs) not in (None, "n/a")}
    stated = content.get("RecordingDuration")
    longest = max(recording.signals.values(), key=lambda signal: signal.duration, default=None)
    if longest is not None and isinstance(stated, int | float) and math.isfinite(stated) and stated > 0:
        check_length(n_samples=len(longest), rate=longest.rate, duration=float(stated), name=longest.name)
    rate = content.get("SamplingFrequency")
    if isinstance(rate, int | float) and recording.signals:
        rates = [signal.rate for signal in recording.signals.values()]
        if not any(abs(rate - other) <= 0.01 * other for other in rates):
            raise SharpwaveError(
                f"the rate of the file, {max(rates):g} Hz, in {sidecar.name}",
                got=f"SamplingFrequency {rate:g}",
                fix="correct the sidecar, or check that both belong together",
            )


def _read_events(path: Path, repairs: list[str]) -> pd.DataFrame | None:
    sidecar = find_sidecar(path, "events.tsv")
    if sidecar is None:
        return None
    table = _read_table(sidecar)
    if "onset" not in table:
        raise SharpwaveError(
            f"a column 'onset' in {sidecar.name}", got=", ".join(map(str, table)), fix="add it, as BIDS requires"
        )
    labelled = next((name for name in (*LABELS, BOAS) if name in table), None)
    labels = pd.Series("event", index=table.index)
    if labelled:
        labels = table[labelled].map(lambda value: "" if pd.isna(value) else str(value)).astype(str)
        labels = _name_levels(sidecar, labels, repairs, column=labelled)
    durations = pd.to_numeric(table["duration"], errors="coerce") if "duration" in table else 0.0
    rest = table.drop(columns=[name for name in ("onset", "duration", "label", labelled) if name in table])
    onsets = pd.to_numeric(table["onset"], errors="coerce")
    events = pd.DataFrame(
        {"onset": onsets, "duration": durations, "label": labels, **{name: rest[name] for name in rest}}
    )
    return events[events["onset"].notna()].reset_index(drop=True)


def _read_levels(table: Path, repairs: list[str]) -> dict[int, str] | None:
    """What integers of a table mean by the `Levels` of the JSON beside it; None where it says nothing of stages."""
    sidecar = find_sidecar(table, table.name.rpartition("_")[2].replace(".tsv", ".json"))
    if sidecar is None:
        return None
    with guarded(sidecar, "a BIDS sidecar"):
        content = json.loads(sidecar.read_text(encoding="utf-8-sig"))
    columns = content.values() if isinstance(content, dict) else ()
    for column in columns:
        levels = column.get("Levels") if isinstance(column, dict) else None
        if not isinstance(levels, dict) or not all(re.fullmatch(r"-?\d{1,3}", str(code)) for code in levels):
            continue
        named = {int(code): _name_level(level) for code, level in levels.items()}
        if any(name != "?" for name in named.values()):
            meant = ", ".join(f"{code} is {name}" for code, name in named.items())
            repairs.append(f"integers mean what {sidecar.name} says: {meant}")
            return named
    return None


def _name_level(level: object) -> str:
    """The stage that a level names, in a word or in one of its texts; "?" where it names none."""
    texts = [level.get(key) for key in ("LongName", "Label", "Description")] if isinstance(level, dict) else [level]
    for text in (str(text) for text in texts if text):
        bare = re.sub(r"\b(sleep|stage)\b", " ", text, flags=re.IGNORECASE).strip()
        name = name_stage(text) or (name_stage(bare) if bare else None)
        if name is not None:
            return name
    return "?"


LABELS = ("trial_type", "label", "description", "value")
BOAS = "stage_hum"
"""Column of the Bitbrain Open Access Sleep data set: the experts' stage, 0 to 4; 8 and below 0 are unscored."""


def _name_levels(table: Path, labels: pd.Series, repairs: list[str], *, column: str) -> pd.Series:
    """Integers among the labels of events as the stages that the JSON beside the table says they are."""
    numbers = labels.str.fullmatch(r"-?\d{1,3}(\.0*)?")
    levels = _read_levels(table, repairs) if numbers.any() else None
    if not levels and column == BOAS:
        levels = {**CONVENTIONS["aasm"], **dict.fromkeys((8, -1, -2), "?")}
        repairs.append(f"the stages are those of {BOAS}, where 0 to 4 is W, N1, N2, N3, REM, and all else unscored")
    if not levels:
        return labels
    words = {code: f"Sleep stage {name}" for code, name in levels.items()}
    return labels.where(~numbers, labels.where(numbers, "-1").astype(float).astype(int).map(words).fillna(labels))


def _read_stages(
    path: Path, recording: Recording, events: pd.DataFrame, repairs: list[str], how: Mapping[str, Any]
) -> Any:
    from sharpwave.recordings.readers.hypnogram_files import fit_hypnogram, hypnogram_from_events, read_scoring

    sidecar = find_sidecar(path, "hypnogram.tsv") or find_derivative(path)
    if sidecar is not None:
        how = {**how, "convention": how["convention"] or _read_levels(sidecar, repairs)}
        scoring = read_scoring(sidecar, start=recording.start, duration=recording.duration, **how)
        hypnogram, notes = fit_hypnogram(scoring.hypnogram, recording.duration, placed=scoring.placed)
        repairs += [*scoring.repairs, *notes]
        return hypnogram if how["scorer"] is None else replace(hypnogram, scorer=how["scorer"])
    how = {name: how[name] for name in ("epoch_length", "scorer")}
    found = hypnogram_from_events(events, duration=recording.duration or None, **how)
    if found is None:
        return None
    hypnogram, notes = found
    repairs += notes
    return hypnogram


def _read_participant(path: Path, repairs: list[str]) -> dict[str, Any]:
    """Age, sex and the other columns of this participant's row; an age that cannot be is left out and declared."""
    root, subject = find_root(path), parse_entities(path).get("sub")
    table_path = root / "participants.tsv" if root is not None else None
    if table_path is None or not table_path.is_file():
        return {}
    table = _read_table(table_path)
    table.columns = table.columns.astype(str).str.strip().str.lower()
    if "participant_id" not in table:
        return {}
    rows = table[table["participant_id"].astype(str).str.removeprefix("sub-") == subject]
    if rows.empty:
        return {}
    row = rows.iloc[0].drop("participant_id").dropna().to_dict()
    found = {str(name).lower(): value.item() if hasattr(value, "item") else value for name, value in row.items()}
    age, doubt = read_age(found.pop("age", None), source="participants.tsv")
    repairs += [doubt] if doubt else []
    return found if age is None else {**found, "age": age}
