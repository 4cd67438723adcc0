"""Spectra by stage of a decoded night, their aperiodic part, and spindles on slow waves in every channel searched."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.sleep_cycles import number_cycles
from sharpwave.night.decoded import DecodedNight, Spectrogram
from sharpwave.night.parts import Oscillations
from sharpwave.night.prepare import PreparedNight
from sharpwave.night.scores import summarise_events
from sharpwave.signals.coupling import COUPLED_SPINDLES, FEWEST, Coupling, Polarity, measure_coupling, measure_polarity
from sharpwave.signals.slow_waves import detect_slow_waves
from sharpwave.signals.spindles import detect_spindles
from sharpwave.signals.stage_spectra import fit_aperiodic, mark_clean, summarise_spectra

CLEAR_P = 0.05
"""Probability by chance below which a preferred phase is called shown."""


def measure_oscillations(prepared: PreparedNight, night: DecodedNight, *, rng: np.random.Generator) -> Oscillations:
    """Spectra by stage, their aperiodic part, and the coupling of spindles to slow waves.

    Args:
        prepared: The prepared night.
        night: The same night decoded: its spectrogram, cycles and events.
        rng: Source of randomness of intervals and surrogates.

    >>> from sharpwave.night.prepare import prepare_night
    >>> from sharpwave.recordings import Hypnogram, Recording
    >>> stages = Hypnogram.from_labels(["W", "N2"])
    >>> night = DecodedNight(identifier="a", source="", duration=60, hypnogram=stages, stager="", verdict="usable")
    >>> measure_oscillations(prepare_night(Recording(hypnogram=stages)), night, rng=np.random.default_rng(0)).notes
    ['No spectra: there is no EEG or LFP.']
    """
    if night.spectrogram is None or prepared.depth_channel is None:
        return Oscillations(notes=["No spectra: there is no EEG or LFP."])
    found = measure_spectra(prepared, night, Spectrogram(*night.spectrogram), rng=rng)
    rows, histograms, notes = [], [], list(found.notes)
    if prepared.recording.species in ("mouse", "rat"):
        notes.append("Spindles on slow waves were not looked for: the criteria of both are those of people.")
    else:
        spindles = night.events[night.events["label"] == "spindle"]
        for channel in dict.fromkeys(str(name) for name in spindles.get("channel", ())):
            coupling, histogram, more = couple_channel(prepared, night, channel, rng=rng)
            rows.append(asdict(coupling))
            histograms.append(histogram.assign(channel=channel))
            notes += more
    return replace(
        found,
        coupling=pd.DataFrame(rows),
        phases=pd.concat(histograms, ignore_index=True) if histograms else pd.DataFrame(),
        notes=notes,
    )


def add_channels(prepared: PreparedNight, night: DecodedNight) -> DecodedNight:
    """The night with spindles and slow waves of the further channels that the user asked for, in all its epochs.

    They stand in the tables, files and coupling; what reactivations do to sleep, and what was found of planted events,
    rest on the channels that staged the night.

    Args:
        prepared: The prepared night; `options.event_channels` names the channels.
        night: The same night decoded.

    Raises:
        SharpwaveError: If a channel does not exist or is no EEG.
    """
    recording, tables, refusals = prepared.recording, [night.events], []
    done = {str(name) for name in night.events.get("channel", ()) if isinstance(name, str)}
    for name in dict.fromkeys(prepared.options.event_channels):
        signal = recording[name]
        if signal.modality.name != "eeg":
            raise SharpwaveError("an EEG channel to look for events in", got=name, fix="give another --event-channels")
        if name in done or name in prepared.staging.channels:
            continue
        if recording.metadata.get("amplitude_unit") in ("unknown", "rescaled"):
            refusals.append(f"Spindles and slow waves were not looked for in {name}: the unit is unknown.")
            continue
        tables += [detect(signal, hypnogram=night.hypnogram) for detect in (detect_spindles, detect_slow_waves)]
    found = [table for table in tables if len(table)]
    if len(found) < 2 and not refusals:
        return night
    events = pd.concat(found, ignore_index=True).sort_values("onset", kind="stable", ignore_index=True)
    summary = summarise_events(events, night.hypnogram, sources=prepared.staging.sources)
    return replace(night, events=events, event_summary=summary, refusals=[*night.refusals, *refusals])


def measure_spectra(
    prepared: PreparedNight, night: DecodedNight, spectrogram: Spectrogram, *, rng: np.random.Generator
) -> Oscillations:
    """Spectra by stage of the channel that gives the depth of sleep.

    Args:
        prepared: The prepared night.
        night: The same night decoded.
        spectrogram: Its spectrogram, one window an epoch of at least 4 s.
        rng: Source of randomness of the intervals.
    """
    channel, hypnogram = str(prepared.depth_channel), night.hypnogram
    times = np.asarray(spectrogram.times, dtype=float)
    window = max(hypnogram.epoch_length, 4.0)
    spans = prepared.depth_artefacts
    stages = np.where(mark_clean(times, window, spans), hypnogram.at(times), -1)
    cycles = None
    if len(night.architecture.cycles):
        numbers = number_cycles(hypnogram, night.architecture.cycles)
        place = np.floor((times - hypnogram.start) / hypnogram.epoch_length).astype(int)
        inside = (place >= 0) & (place < len(numbers))
        cycles = np.where(inside, numbers[np.clip(place, 0, len(numbers) - 1)], 0)
    power = 10 ** (np.asarray(spectrogram.power_db, dtype=float).T / 10)
    curves, table = summarise_spectra(power, spectrogram.frequencies, stages, hypnogram.names, cycles=cycles)
    notes, aperiodic = [], pd.DataFrame()
    try:
        middles = hypnogram.onsets + hypnogram.epoch_length / 2
        clean = mark_clean(middles, hypnogram.epoch_length, spans)
        aperiodic = fit_aperiodic(prepared.recording[channel], hypnogram, rng=rng, clean=clean)
    except SharpwaveError as error:
        notes.append(f"The aperiodic part of the spectra was not computed: {error}")
    if not len(table):
        notes.append(f"No stage has enough epochs with a good signal in {channel} for a spectrum.")
    return Oscillations(
        curves=curves if curves.shape[1] > 1 else pd.DataFrame(),
        power=table,
        aperiodic=aperiodic,
        channel=channel,
        notes=notes,
    )


def couple_channel(
    prepared: PreparedNight, night: DecodedNight, channel: str, *, rng: np.random.Generator
) -> tuple[Coupling, pd.DataFrame, list[str]]:
    """Spindles on slow waves in one EEG channel, turned upright first where it is measured upside down.

    Args:
        prepared: The prepared night.
        night: The same night decoded.
        channel: Name of the channel.
        rng: Source of randomness of the surrogates.

    Returns:
        The coupling, the histogram of phases, and what must be known of them, one sentence each.
    """
    signal, where = prepared.recording[channel], prepared.staging.restrict_to(channel)
    if channel in prepared.options.event_channels:
        where = prepared.hypnogram
    polarity, skewness, blocks = measure_polarity(signal, where)
    if polarity == "inverted":
        signal = replace(signal, scale=-signal.scale, offset=-signal.offset)
        waves = detect_slow_waves(signal, hypnogram=where)
    else:
        events = night.events
        waves = events[(events["channel"] == channel) & (events["label"] == "slow_wave")]
    spindles = prepared.coupled.get(channel)
    if spindles is None or channel in prepared.options.event_channels or polarity == "inverted":
        spindles = detect_spindles(signal, hypnogram=where, settings=COUPLED_SPINDLES)
    coupling, histogram = measure_coupling(spindles, waves, where, rng=rng, channel=channel)
    coupling = replace(coupling, polarity=polarity, turned=polarity == "inverted")
    return coupling, histogram, describe_coupling(coupling, skewness=skewness, blocks=blocks)


_POLARITY: dict[Polarity, str] = {
    "upright": "the down-state is negative, as usual (skewness of 0.5–4 Hz in N3 {skew}, {blocks} blocks of 30 s)",
    "inverted": (
        "the EEG is upside down (skewness of 0.5–4 Hz in N3 {skew}, {blocks} blocks of 30 s): slow waves were looked "
        "for anew in the signal turned upright; those among the events are of the signal as it is stored"
    ),
    "unknown": (
        "which way up the EEG is could not be measured (skewness of 0.5–4 Hz in N3 {skew}, {blocks} blocks of 30 s): "
        "the phase may be off by 180°"
    ),
}


def describe_coupling(coupling: Coupling, *, skewness: float, blocks: int) -> list[str]:
    """What was found in one channel, in words.

    Args:
        coupling: The coupling.
        skewness: Mean skewness of deep sleep.
        blocks: Number of blocks that it was measured in.
    """
    skew = "not known" if not np.isfinite(skewness) else f"{skewness:+.2f}".replace("-", "−")
    up = _POLARITY[coupling.polarity].format(skew=skew, blocks=blocks)
    if coupling.coupled < FEWEST:
        return [f"{coupling.channel}: {coupling.coupled} spindles on slow waves are too few for a phase; {up}."]
    if coupling.strength_p < CLEAR_P:
        phase = f"{coupling.phase:.0f}".replace("-", "−")
        said = f"spindles prefer a phase of {phase}° (0°: peak of the up-state), p = {coupling.strength_p:.3f}"
    else:
        said = f"no preferred phase is shown (p = {coupling.strength_p:.2f})"
    return [f"{coupling.channel}: {said}; {up}."]
