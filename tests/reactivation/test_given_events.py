"""The user's own events are read as laboratories write them, and held against the session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pynapple as nap
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.candidates import find_candidates
from sharpwave.reactivation.given_events import fit_events, read_events
from sharpwave.recordings import MODALITIES, Recording, Signal

ONSET = np.arange(20.0, 980.0, 7.0)
LASTING = 0.1 + 0.001 * np.arange(len(ONSET))


def _session(**more: object) -> Recording:
    """Ten units that fire once a second, and at 40 Hz in the events."""
    rng = np.random.default_rng(0)
    units = {}
    for unit in range(10):
        parts = [rng.uniform(0, 1000, 1000)]
        parts += [rng.uniform(on, on + lasting, 4) for on, lasting in zip(ONSET, LASTING, strict=True)]
        units[unit] = nap.Ts(np.sort(np.concatenate(parts)))
    return Recording(spikes=nap.TsGroup(units), **more)  # type: ignore[arg-type]


def _table(columns: tuple[np.ndarray, ...], head: str = "", mark: str = ",") -> str:
    rows = [mark.join(f"{value:.4f}" for value in row) for row in zip(*columns, strict=True)]
    return "\n".join([head] * bool(head) + rows) + "\n"


END = ONSET + LASTING
TABLES = {
    "onset, duration": _table((ONSET, LASTING), "onset,duration"),
    "start, stop": _table((ONSET, END), "start,stop"),
    "in capitals, tabs": _table((ONSET, END), "Start Time\tEnd Time", "\t"),
    "start_time, peak, stop_time": _table((ONSET, END - 0.05, END), "start_time,peak,stop_time"),
    "t_start, t_end": _table((ONSET, END), "t_start,t_end"),
    "decimal commas": _table((ONSET, LASTING), "onset;duration", ";").replace(".", ","),
    "milliseconds by name": _table((1e3 * ONSET, 1e3 * LASTING), "onset (ms),duration_ms"),
    "milliseconds": _table((1e3 * ONSET, 1e3 * LASTING), "onset,duration"),
    "durations in milliseconds": _table((ONSET, 1e3 * LASTING), "onset,duration"),
    "start and end without names": _table((ONSET, END)),
    "start, peak, end without names": _table((ONSET, END - 0.05, END), mark=" "),
    "onset and duration without names": _table((ONSET, LASTING), mark="\t"),
    "each twice": _table((np.repeat(ONSET, 2), np.repeat(LASTING, 2)), "onset,duration"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_events_are_where_they_were(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(TABLES[kind])
    events, notes = fit_events(read_events(path), _session())
    np.testing.assert_allclose(events[["onset", "duration"]], np.c_[ONSET, LASTING], atol=1.1e-4)
    plain = kind in ("decimal commas", "milliseconds by name") or kind[:5] in ("onset", "start", "t_sta", "in ca")
    assert bool(notes) == (not plain or "without" in kind)


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("onset,duration,label\n1.5,0.1,a\n2.5,0,b\n,1,c\n5000,0.1,d\n")
    events, notes = fit_events(read_events(path), _session())
    assert events["onset"].tolist() == [1.5, 5000]
    assert notes == [
        "2 of 4 given events have no onset or no duration; left out.",
        "1 of 2 given events lie outside the session, 0 to 1000 s.",
    ]


@pytest.mark.parametrize("text", ["peak\n1.5\n", "a,b,c\n1,2,3\n", "1\n2\n", "3,1,7\n9,8,2\n"])
def test_other_tables_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(text)
    with pytest.raises(SharpwaveError, match="columns onset and duration in seconds, or start and end"):
        read_events(path)


def test_events_in_samples_are_refused() -> None:
    with pytest.raises(SharpwaveError, match="none within it"):
        fit_events(pd.DataFrame({"onset": 3e4 * ONSET, "duration": 3e4 * LASTING}), _session())


def test_events_on_another_clock_are_told() -> None:
    given = pd.DataFrame({"onset": ONSET, "duration": LASTING})
    assert find_candidates(_session(), given=given, min_units=2).attrs["notes"] == []
    (said,) = find_candidates(_session(), given=given.assign(onset=ONSET + 2), min_units=1).attrs["notes"]
    assert "events and spikes are not on one clock" in said


def test_an_lfp_without_ripples_or_of_a_part_is_said() -> None:
    samples = np.zeros(250_000, np.float32)
    flat = _session(signals={"LFP": Signal("LFP", samples, 1000.0, MODALITIES["lfp"])}, species="rat")
    found = find_candidates(flat)
    assert set(found["source"]) == {"burst"}
    assert "No ripple was found" in found.attrs["notes"][0]
    rng = np.random.default_rng(1)
    samples += 5e-6 * rng.standard_normal(len(samples)).astype(np.float32)
    for on in ONSET[ONSET < 240]:
        samples[int(1000 * on) : int(1000 * on) + 80] += 2e-4 * np.sin(2 * np.pi * 0.18 * np.arange(80))
    part = _session(signals={"LFP": Signal("LFP", samples, 1000.0, MODALITIES["lfp"])}, species="rat")
    found = find_candidates(part)
    assert set(found["source"]) == {"ripple"}
    assert any("The LFP is of 0 to 250 s of a session of 0 to 1000 s" in said for said in found.attrs["notes"])
