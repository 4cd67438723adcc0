"""The morning after: the seal is opened, and the night becomes what the other commands read.

`cues.tsv` is the table that `sharpwave decode night.zarr --cues cues.tsv` takes, `events.tsv` with `events.json` says
the same in the layout of BIDS, and `night.zarr` is the signal. All is made from the folder alone, so it can be made
after a crash as well. Onsets are seconds from the first sample.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.live.audit import INPUTS, LOG
from sharpwave.live.protocol import Protocol, parse_table
from sharpwave.live.schedule import draw_condition, open_seal
from sharpwave.live.verify import read_inputs, verify_log
from sharpwave.outputs import write_file
from sharpwave.untrusted import explained, make_cells_safe, parse_json

SEALED = "sealed.json"
CUES, EVENTS, SIDECAR, SIGNAL = "cues.tsv", "events.tsv", "events.json", "night.zarr"
KINDS = ("open", "intent", "delivered", "outcome")
"""Records of the log that are read here."""
DURATION = 0.05
"""Duration in seconds that the tables give a cue; sounds of one's own have theirs."""
MOST_HOURS = 48
"""Longest signal that is put together, in hours."""


@dataclass(frozen=True)
class Morning:
    """What was found and written.

    Attributes:
        trials: Trials that were delivered, cue or sham.
        cues: Those that sounded.
        problems: What is wrong with the log; empty where nothing is.
        repairs: What was done to the signal, in sentences.
        files: What was written.
    """

    trials: int
    cues: int
    problems: tuple[str, ...]
    repairs: tuple[str, ...]
    files: tuple[Path, ...]


def write_morning(folder: Path, *, checkpoint: Path | None = None) -> Morning:
    """Open the seal and write tables and signal of a night.

    Args:
        folder: Folder of the night.
        checkpoint: File outside it that the run wrote; None where there is none.

    Returns:
        What was found and written; a log with a problem is used all the same, and the problem is said.

    Raises:
        SharpwaveError: If there is no log, or its seed is not the one that was sealed.

    >>> write_morning(Path("nowhere"))
    Traceback (most recent call last):
    sharpwave.errors.SharpwaveError: expected a night with audit.jsonl; got none in nowhere. Fix: name the folder ...
    """
    verdict = verify_log(folder, checkpoint=checkpoint)
    records = [one for one in read_log(folder) if one.get("kind") in KINDS]
    if not records or records[0].get("kind") != "open":
        raise SharpwaveError(
            f"a night with its {LOG}", got="a log that does not open", fix="name the folder of a night"
        )
    protocol, seed = parse_table(records[0]["protocol"]), read_seed(folder)
    open_seal(seed, protocol, records[0]["seal"])
    with explained("trials in the log of the night", name=LOG, fix="look at it by `sharpwave live --verify FOLDER`"):
        table = tabulate_trials(records, protocol, seed)
    files = [_write_table(folder / CUES, table.drop(columns=["trial_type"]))]
    events = table[["onset", "duration", "trial_type", "trial", "content", "level_db", "intended_onset", "disturbed"]]
    files.append(_write_table(folder / EVENTS, events.rename(columns={"content": "cue"})))
    files.append(write_file(folder / SIDECAR, json.dumps(describe_events(protocol), indent=1) + "\n"))
    repairs: tuple[str, ...] = ()
    if (folder / INPUTS).is_file():
        from sharpwave.recordings import write_store

        recording, repairs = assemble_signal(folder, protocol, records[0].get("about") or {})
        files.append(write_store(recording, folder / SIGNAL, overwrite=True))
    sounded = int((table["condition"] == "cue").sum())
    return Morning(len(table), sounded, verdict.problems, repairs, tuple(files))


def read_seed(folder: Path) -> bytes:
    """The seed of the sham, from the file that nobody opens before the morning.

    Args:
        folder: Folder of the night.

    Raises:
        SharpwaveError: If it is not there or broken.
    """
    said = explained("the sealed seed of the night", name=SEALED, fix="take the folder as the run wrote it")
    with said, (folder / SEALED).open("rb") as file:
        return bytes.fromhex(parse_json(file.read(1 << 12), name=SEALED)["seed"])


def read_log(folder: Path) -> Iterator[dict[str, Any]]:
    """Records of the log, as far as they are whole; whether they are true is the matter of `verify_log`.

    Args:
        folder: Folder of the night.
    """
    from sharpwave.live.audit import iterate_lines
    from sharpwave.live.verify import LONGEST

    for line in iterate_lines(folder / LOG, largest=LONGEST):
        try:
            record = parse_json(line, name=LOG)["record"]
        except (SharpwaveError, ValueError, KeyError, TypeError, RecursionError):
            return
        if not isinstance(record, dict):
            return
        yield record


def tabulate_trials(records: list[dict[str, Any]], protocol: Protocol, seed: bytes) -> Any:
    """Every trial that was delivered, with what it was: one row each, by onset.

    Args:
        records: Of the log.
        protocol: Of the night.
        seed: Of the sham.

    Returns:
        onset (s from the first sample), duration (s), label, condition ("cue" or "sham"), content, trial, level_db,
        intended_onset (s), disturbed ("no", "arousal", "waking", "" where the night ended before), trial_type.
    """
    import pandas as pd

    intents = {one["trial"]: one for one in records if one["kind"] == "intent"}
    disturbed = {one["trial"]: one["disturbed"] for one in records if one["kind"] == "outcome"}
    rows = []
    for one in records:
        if one["kind"] != "delivered" or one["trial"] not in intents or one.get("position") is None:
            continue
        intent, trial = intents[one["trial"]], one["trial"]
        onset = float(one["position"]) / protocol.signal.rate
        rows.append(
            {
                "onset": onset,
                "duration": DURATION,
                "label": intent["cue_ref"],
                "condition": draw_condition(seed, protocol.schedule, trial),
                "content": intent["cue_ref"],
                "trial": trial,
                "level_db": float(intent["level_db"]),
                "intended_onset": onset + float(intent["onset"]) - float(one["onset"]),
                "disturbed": disturbed.get(trial, ""),
            }
        )
    columns = ("onset", "duration", "label", "condition", "content", "trial", "level_db", "intended_onset", "disturbed")
    table = pd.DataFrame(rows, columns=list(columns)).sort_values("onset", ignore_index=True)
    return table.assign(trial_type=table["condition"])


def assemble_signal(folder: Path, protocol: Protocol, about: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The signal of the night as one recording, samples at their place by the source's count.

    Args:
        folder: Folder of the night.
        protocol: Of the night.
        about: What the first record of the log says.

    Returns:
        The recording, and what was done to it: what is missing is zero, and said.

    Raises:
        SharpwaveError: If the count of samples is impossible.
    """
    from sharpwave.recordings import MODALITIES, Recording, Signal

    rate, names = protocol.signal.rate, protocol.signal.channels
    chunks = [chunk for _, chunk, *_ in read_inputs(folder / INPUTS) if chunk is not None and len(chunk.samples)]
    n = max((chunk.index + len(chunk.samples) for chunk in chunks), default=0)
    if n > MOST_HOURS * 3600 * rate or any(chunk.index < 0 for chunk in chunks):
        raise SharpwaveError(f"samples of at most {MOST_HOURS} h", got=f"a count up to {n}", fix="look at the source")
    samples, there = np.zeros((n, len(names)), np.float32), np.zeros(n, bool)
    for chunk in chunks:
        place = slice(chunk.index, chunk.index + len(chunk.samples))
        samples[place], there[place] = chunk.samples, True
    repairs = []
    if n and not there.all():
        repairs.append(f"{float(np.sum(~there)) / rate:.2f} s never arrived; they are zero in the signal")
    bad = int(np.sum(~np.isfinite(samples)))
    if bad:
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        repairs.append(f"{bad} samples were no numbers; they are zero in the signal")
    kinds = {protocol.signal.eog: "eog", protocol.signal.emg: "emg"}
    signals = {
        name: Signal(name, np.ascontiguousarray(samples[:, index]), rate, MODALITIES[kinds.get(name, "eeg")])
        for index, name in enumerate(names)
    }
    recording = Recording(
        signals=signals,
        subject=str((about.get("consent") or {}).get("participant", "simulated")),
        species="human",
        source="sharpwave live",
        start=_read_start(about.get("began")),
        repairs=tuple(repairs),
    )
    return recording, tuple(repairs)


def describe_events(protocol: Protocol) -> dict[str, Any]:
    """The sidecar of `events.tsv`: columns, units, and what set off a trial, so that the proposal for stimulation fits.

    Args:
        protocol: Of the night.

    >>> describe_events(Protocol("mine"))["StimulationTrigger"]["Target"]["Value"]
    -45.0
    """
    target, limits = protocol.target, protocol.limits
    return {
        "onset": {"Description": "Onset as measured or calibrated, from the first sample", "Units": "s"},
        "duration": {"Description": "Nominal duration of the sound", "Units": "s"},
        "trial_type": {
            "Description": "Whether the trial sounded; drawn before the night from a sealed seed",
            "Levels": {"cue": "the sound was given", "sham": "the same path with a gain of 0"},
        },
        "trial": {"Description": "Number of the trial in this night; cancelled trials keep theirs"},
        "cue": {"Description": "Which of the consented cues"},
        "level_db": {"Description": "Level at the ear; that of a sham is what it would have had", "Units": "dB(A)"},
        "intended_onset": {"Description": "Onset that was intended", "Units": "s"},
        "disturbed": {
            "Description": "What was suspected within the window after the onset",
            "Levels": {"no": "nothing", "arousal": "an arousal or movement", "waking": "wake"},
        },
        "StimulationTrigger": {
            "Type": "closed loop",
            "Protocol": protocol.name,
            "ProtocolHash": protocol.hash,
            "Target": {"Quantity": "phase of the slow oscillation", "Value": target.phase_deg, "Units": "deg"},
            "Channel": protocol.signal.channels[0],
            "States": list(protocol.sleep.stages),
            "DeclaredLatency": {"Value": protocol.signal.latency, "Units": "s"},
            "Refractory": {"Value": limits.refractory, "Units": "s"},
            "ShamShare": protocol.schedule.sham_share,
        },
    }


def _write_table(path: Path, table: Any) -> Path:
    text = make_cells_safe(table).to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.4f", lineterminator="\n")
    return write_file(path, text)


def _read_start(text: Any) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
