"""Events in further channels, and what is said of coupling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.night.decoded import DecodedNight
from sharpwave.night.options import DecodeOptions
from sharpwave.night.oscillations import add_channels, couple_channel, describe_coupling, measure_oscillations
from sharpwave.night.prepare import PreparedNight, Staging
from sharpwave.recordings import MODALITIES, Hypnogram, Recording, Signal
from sharpwave.recordings.recording import empty_events
from sharpwave.signals.coupling import Coupling
from sharpwave.signals.electrodes import choose_electrodes
from sharpwave.signals.spindles import detect_spindles

STAGES = Hypnogram.from_labels(["W"] * 4 + ["N2"] * 16)


def make_signal(name: str, seed: int) -> Signal:
    """Ten minutes of noise with a spindle every ten seconds from 2 min on."""
    rng, time = np.random.default_rng(seed), np.arange(60_000) / 100
    values = 0.3 * np.cumsum(rng.normal(0, 10, time.size)) * np.exp(-0.0 * time)
    values -= pd.Series(values).rolling(200, min_periods=1).mean().to_numpy()
    bursts = np.exp(-0.5 * (((time % 10) - 5) / 0.3) ** 2) * (time > 120)
    return Signal(name, values + 45 * bursts * np.sin(2 * np.pi * 13 * time), 100.0, MODALITIES["eeg"], scale=1e-6)


@pytest.fixture(scope="module")
def prepared() -> PreparedNight:
    signals = {name: make_signal(name, seed) for seed, name in enumerate(("C4-M1", "F4-M1"))}
    emg = Signal("chin", np.zeros(60_000), 100.0, MODALITIES["emg"], scale=1e-6)
    recording = Recording(signals={**signals, "chin": emg}, species="human")
    staging = Staging(STAGES, "mine", sources=np.array(["C4-M1"] * len(STAGES)))
    options = DecodeOptions(event_channels=("F4-M1", "C4-M1"))
    events = detect_spindles(signals["C4-M1"], hypnogram=STAGES)
    return PreparedNight(options, recording, choose_electrodes(recording), empty_events(), staging, events, [])


def make_decoded(prepared: PreparedNight) -> DecodedNight:
    return DecodedNight(
        identifier="a", source="a", duration=600.0, hypnogram=STAGES, stager="mine", verdict="usable",
        events=prepared.events,
    )  # fmt: skip


def test_further_channels_are_searched_and_counted_by_channel(prepared: PreparedNight) -> None:
    before = make_decoded(prepared)
    night = add_channels(prepared, before)
    spindles = night.events[night.events["label"] == "spindle"].groupby("channel").size()
    assert spindles["F4-M1"] > 20
    assert spindles["C4-M1"] == len(before.events), "the channel that staged the night is not searched twice"
    assert night.events["onset"].is_monotonic_increasing
    rows = night.event_summary.set_index(["channel", "stage"])
    assert rows.loc[("F4-M1", "N2"), "minutes"] == 8.0
    assert set(measure_oscillations(prepared, night, rng=np.random.default_rng(0)).notes) == {
        "No spectra: there is no EEG or LFP."
    }, "without a spectrogram there is none"


def test_what_cannot_be_searched_is_refused(prepared: PreparedNight) -> None:
    night = make_decoded(prepared)
    with pytest.raises(SharpwaveError, match="an EEG channel to look for events in"):
        add_channels(replace(prepared, options=DecodeOptions(event_channels=("chin",))), night)
    with pytest.raises(SharpwaveError, match="one of the signals"):
        add_channels(replace(prepared, options=DecodeOptions(event_channels=("Cz",))), night)
    unknown = replace(prepared.recording, metadata={"amplitude_unit": "unknown"})
    told = add_channels(replace(prepared, recording=unknown), night)
    assert told.refusals == ["Spindles and slow waves were not looked for in F4-M1: the unit is unknown."]
    assert len(told.events) == len(night.events)
    assert add_channels(replace(prepared, options=DecodeOptions()), night) is night


def test_coupling_takes_the_spindles_that_were_looked_for_in_the_same_epochs(prepared: PreparedNight) -> None:
    night, rng = make_decoded(prepared), np.random.default_rng(0)
    alone = replace(prepared, options=DecodeOptions())
    n_found = couple_channel(alone, night, "C4-M1", rng=rng)[0].spindles
    assert n_found > 20
    fewer = {"C4-M1": prepared.events.iloc[:7]}
    assert couple_channel(replace(alone, coupled=fewer), night, "C4-M1", rng=rng)[0].spindles == 7
    everywhere = replace(prepared, coupled=fewer)  # the user asked for this channel in all epochs
    assert couple_channel(everywhere, night, "C4-M1", rng=rng)[0].spindles == n_found


def test_words_say_phase_polarity_and_doubt() -> None:
    found = Coupling("C4", 100, 60, 0.6, 0.3, 0.01, -12.0, -30.0, 5.0, 0.5, 0.1, 0.01, "unknown")
    (said,) = describe_coupling(found, skewness=-0.02, blocks=9)
    assert "a phase of −12°" in said
    assert "may be off by 180°" in said
    (said,) = describe_coupling(replace(found, strength_p=0.4, polarity="inverted"), skewness=0.3, blocks=90)
    assert "no preferred phase is shown (p = 0.40)" in said
    assert "upside down (skewness of 0.5–4 Hz in N3 +0.30" in said
    (said,) = describe_coupling(replace(found, coupled=3, polarity="upright"), skewness=-0.3, blocks=90)
    assert "too few for a phase" in said
