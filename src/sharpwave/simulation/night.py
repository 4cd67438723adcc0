"""Simulate a night: its hidden stages and events first, then the signals, each from a random stream of its own.

>>> "eeg" in SIGNALS, DEMO["species"]
(True, 'human')
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from types import MappingProxyType
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram, compute_consensus
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.simulation.artefacts import add_artefacts, draw_artefacts
from sharpwave.simulation.behaviour import simulate_activity, simulate_heart_rate, simulate_memory, simulate_temperature
from sharpwave.simulation.bold import PARCELS, simulate_parcels, simulate_volumes
from sharpwave.simulation.dynamics import simulate_dynamics
from sharpwave.simulation.effects import CONTENTS, Effects, Nuisance
from sharpwave.simulation.firing import PLAIN, Firing, assign_decoys
from sharpwave.simulation.hypnograms import Architecture, load_architecture, simulate_scorers
from sharpwave.simulation.lfp import draw_gamma_bursts, simulate_lfp
from sharpwave.simulation.polysomnography import (
    draw_eye_movements,
    leak_blinks,
    simulate_eeg,
    simulate_emg,
    simulate_eog,
)
from sharpwave.simulation.scene import (
    TRACK_LENGTH,
    Scene,
    compute_precursor,
    draw_ripples,
    draw_slow_oscillations,
    draw_spindles,
)
from sharpwave.simulation.species import Species, get_species
from sharpwave.simulation.spikes import (
    POSITION_RATE,
    Run,
    draw_place_cells,
    give_second_fields,
    simulate_run,
    simulate_spikes,
)
from sharpwave.simulation.truth import Truth, label_events, tabulate_seconds

SIGNALS = (
    "eeg", "eog", "emg", "lfp", "spikes", "position", "bold", "bold_volume", "heart_rate", "activity", "temperature",
)  # fmt: skip
"""What can be asked for."""

DEFAULT_SIGNALS = {
    "human": ("eeg", "eog", "emg"),
    "mouse": ("eeg", "emg", "lfp"),
    "rat": ("eeg", "emg", "lfp", "spikes", "position"),
}

_CHANNELS = {
    "human": {"eeg": ("C4-M1", "F4-M1"), "eog": ("LOC-M2", "ROC-M2"), "emg": ("EMG chin",), "lfp": ("HIP",)},
    "mouse": {"eeg": ("EEG",), "eog": (), "emg": ("EMG",), "lfp": ("HIP",)},
    "rat": {"eeg": ("EEG",), "eog": (), "emg": ("EMG",), "lfp": ("HIP",)},
}

EVENING = datetime(2024, 3, 4, 22, 54)
"""When human nights start: lights go off at 23:00, after the task."""

_STREAMS = (
    "dynamics", "events", "precursor", "scorers", "artefacts", "eyes", "gamma", "memory", "run", "cells", "noise",
    "volumes", *SIGNALS, "firing",
)  # fmt: skip
"""Random streams, in the order in which they are spawned: append only, or every seed gives another night."""


def simulate_night(
    species: str | Species = "human",
    hours: float = 8.0,
    *,
    rng: np.random.Generator,
    effects: Effects | None = None,
    nuisance: Nuisance | None = None,
    modalities: tuple[str, ...] | None = None,
    architecture: Architecture | None = None,
    contents: tuple[str, ...] = CONTENTS,
    task_start: float = 0.0,
    n_units: int = 40,
    firing: Firing = PLAIN,
    n_scorers: int = 5,
    subject: str = "simulated",
) -> tuple[Recording, Truth]:
    """Simulate a night with everything that was planted in it.

    Stages and events never depend on `modalities`.

    Args:
        species: "human" (five stages), "mouse" or "rat" (three), or one of these with other rates (`Species`).
        hours: Length of the night in hours.
        rng: Random generator; the same seed gives the same night.
        effects: Planted effects; none by default.
        nuisance: Common causes and faults; realistic by default.
        modalities: Any of `SIGNALS`; by default EEG, EOG and EMG (human), EEG, EMG and LFP (mouse), and
            spikes and position besides (rat).
        architecture: Odds of stage changes; the shipped one of the species by default.
        contents: Contents of the memories, each learnt on its own track and equally often replayed.
        task_start: When the task on the tracks begins, in seconds; the sleep before it holds no replay.
        n_units: Number of units, where spikes are asked for.
        firing: How they fire, and what the bursts hold that are no replay; Poisson units by default.
        n_scorers: Number of experts who score the night.
        subject: Identifier of the subject.

    Returns:
        The recording, as a reader would give it (its hypnogram is the experts' consensus, theirs are in
        `metadata["scorers"]`), and the truth.

    Raises:
        SharpwaveError: If a name is unknown or the night is too short to hold the task.

    >>> recording, truth = simulate_night("human", 0.2, rng=np.random.default_rng(0), modalities=("heart_rate",))
    >>> recording.duration, recording["heart_rate"].modality.unit, truth.hypnogram.epoch_length
    (720.0, '1/min', 1.0)
    """
    preset = get_species(species)
    wanted = DEFAULT_SIGNALS[preset.name] if modalities is None else tuple(modalities)
    task = (float(task_start), float(task_start) + preset.task_length)
    _check(hours, wanted, task, preset)
    streams = dict(zip(_STREAMS, rng.spawn(len(_STREAMS)), strict=True))
    scene = _simulate_scene(
        round(hours * 3600), preset, architecture or load_architecture(preset.name), effects or Effects(),
        nuisance or Nuisance(), contents, task, firing, streams,
    )  # fmt: skip
    run = simulate_run(task, contents=contents, rng=streams["run"])
    truth = _make_truth(scene, run, n_units if "spikes" in wanted else 0, n_scorers, firing, streams)
    recording = _record(scene, run, truth, wanted, firing, streams, subject)
    return recording, truth


def simulate_cohort(n: int, *, rng: np.random.Generator, **options: Any) -> Iterator[tuple[Recording, Truth]]:
    """Simulate subjects one after the other, so that a cohort of any size fits in memory.

    Args:
        n: Number of subjects.
        rng: Random generator.
        options: Options passed to `simulate_night`.

    Yields:
        Recording and truth of each subject, named sim-001 and so on.

    >>> cohort = simulate_cohort(2, rng=np.random.default_rng(0), hours=0.2, modalities=("activity",))
    >>> [recording.subject for recording, _ in cohort]
    ['sim-001', 'sim-002']
    """
    for index, stream in enumerate(rng.spawn(n), start=1):
        yield simulate_night(rng=stream, subject=f"sim-{index:03d}", **options)


DEMO = MappingProxyType(
    {
        "species": "human",
        "hours": 5.6,
        "modalities": tuple(name for name in SIGNALS if name != "bold_volume"),
        "n_units": 40,
        "subject": "demo",
    }
)
"""The night that `sharpwave demo` decodes."""

DEMO_SEED = 61


def simulate_demo(*, seed: int | None = None, **options: Any) -> tuple[Recording, Truth]:
    """The demonstration night, the same each time unless another seed is given; options override `DEMO`.

    Args:
        seed: Seed of another night; None for the one that ships.
        **options: Arguments of `simulate_night`, such as hours or modalities.

    >>> recording, _ = simulate_demo(hours=0.2, modalities=("temperature",))
    >>> recording.subject, list(recording.signals)
    ('demo', ['temperature'])
    """
    return simulate_night(rng=np.random.default_rng(DEMO_SEED if seed is None else seed), **{**DEMO, **options})


def _check(hours: float, wanted: tuple[str, ...], task: tuple[float, float], species: Species) -> None:
    unknown = [name for name in wanted if name not in SIGNALS]
    if unknown:
        raise SharpwaveError(f"modalities among {', '.join(SIGNALS)}", got=", ".join(unknown), fix="leave it out")
    if "eog" in wanted and not _CHANNELS[species.name]["eog"]:
        raise SharpwaveError(
            "modalities that a rodent recording has", got="eog", fix="leave eog out, or simulate a human"
        )
    if not np.isfinite(hours) or hours * 3600 < task[1] + 60 or task[0] < 0:
        raise SharpwaveError(
            f"a night that holds the task ({task[0]:g} to {task[1]:g} s) and a minute more",
            got=f"{hours} h",
            fix="simulate a longer night, or start the task earlier",
        )


def _simulate_scene(
    n_seconds: int,
    species: Species,
    architecture: Architecture,
    effects: Effects,
    nuisance: Nuisance,
    contents: tuple[str, ...],
    task: tuple[float, float],
    firing: Firing,
    streams: dict[str, np.random.Generator],
) -> Scene:
    dynamics = simulate_dynamics(
        n_seconds,
        species=species,
        architecture=architecture,
        effects=effects,
        nuisance=nuisance,
        contents=contents,
        task=task,
        rng=streams["dynamics"],
    )
    spindles = draw_spindles(dynamics, species=species, rng=streams["events"])
    return Scene(
        species=species,
        dynamics=dynamics,
        spindles=spindles,
        slow_oscillations=draw_slow_oscillations(dynamics, spindles, species=species, rng=streams["events"]),
        ripples=assign_decoys(
            draw_ripples(dynamics, species=species, rng=streams["events"]), firing, rng=streams["firing"]
        ),
        precursors=compute_precursor(dynamics, species=species, effects=effects, rng=streams["precursor"]),
        effects=effects,
        nuisance=nuisance,
        task=task,
        contents=contents,
    )


def _make_truth(
    scene: Scene, run: Run, n_units: int, n_scorers: int, firing: Firing, streams: dict[str, np.random.Generator]
) -> Truth:
    species, channels = scene.species, _CHANNELS[scene.species.name]
    electrodes = tuple(name for group in channels.values() for name in group)
    cells = draw_place_cells(n_units, n_tracks=len(scene.contents), rng=streams["cells"]) if n_units else None
    if cells is not None and firing.second_fields:
        cells = give_second_fields(cells, firing.second_fields, rng=streams["firing"])
    eeg = channels["eeg"][0]
    return Truth(
        species=species.name,
        hypnogram=Hypnogram(scene.dynamics.stage, 1.0, species.n_stages, scorer="truth"),
        scorers=MappingProxyType(
            simulate_scorers(scene.dynamics.stage, species=species, n_scorers=n_scorers, rng=streams["scorers"])
        ),
        per_second=tabulate_seconds(scene),
        slow_oscillations=label_events(scene.slow_oscillations, "slow_oscillation", eeg),
        spindles=label_events(scene.spindles, "spindle", eeg),
        ripples=label_events(scene.ripples, "ripple", "HIP"),
        arousals=label_events(scene.dynamics.arousals, "arousal", eeg),
        eye_movements=label_events(draw_eye_movements(scene, rng=streams["eyes"]), None, "LOC-M2"),
        gamma_bursts=label_events(draw_gamma_bursts(scene, rng=streams["gamma"]), "gamma_burst", "HIP"),
        artefacts=label_events(draw_artefacts(scene, channels=electrodes, rng=streams["artefacts"]), None, None),
        laps=label_events(run.laps, None, ""),
        cells=cells,
        memory=MappingProxyType(simulate_memory(scene, rng=streams["memory"])),
        effects=scene.effects,
        nuisance=scene.nuisance,
    )


def _record(
    scene: Scene,
    run: Run,
    truth: Truth,
    wanted: tuple[str, ...],
    firing: Firing,
    streams: dict[str, np.random.Generator],
    subject: str,
) -> Recording:
    spikes = None
    if truth.cells is not None:
        import pynapple as nap

        times = simulate_spikes(scene, run, truth.cells, firing=firing, rng=streams["spikes"])
        support = nap.IntervalSet(0.0, float(scene.n_seconds))
        spikes = nap.TsGroup({index: nap.Ts(unit) for index, unit in enumerate(times)}, time_support=support)
    signals = _simulate_electrodes(scene, truth, wanted, streams) | _simulate_others(scene, run, wanted, streams)
    human = scene.species.name == "human"
    lights_off = scene.task[1] if scene.task[0] == 0 else 0.0
    return Recording(
        signals={signal.name: signal for signal in signals.values()},
        spikes=spikes,
        hypnogram=compute_consensus(list(truth.scorers.values())),
        events=truth.laps,
        subject=subject,
        species=scene.species.name,
        source="simulated",
        start=EVENING if human else None,
        metadata={
            "scorers": dict(truth.scorers),
            **({"lights_off": lights_off, "lights_on": float(scene.n_seconds)} if human else {}),
            "task": scene.task,
            "contents": scene.contents,
            "track_length": TRACK_LENGTH,
            "memory": dict(truth.memory),
        },
    )


def _simulate_electrodes(
    scene: Scene, truth: Truth, wanted: tuple[str, ...], streams: dict[str, np.random.Generator]
) -> dict[str, Signal]:
    """EEG, EOG, EMG and LFP with their artefacts; in µV as stored, in V as read."""
    species, channels = scene.species, _CHANNELS[scene.species.name]
    raw: dict[str, tuple[str, np.ndarray]] = {}
    if {"eeg", "eog"} & set(wanted):
        eeg = simulate_eeg(scene, channels=channels["eeg"], rng=streams["eeg"])
        if "eog" in wanted:
            eyes = simulate_eog(scene, truth.eye_movements, eeg["F4-M1"], rng=streams["eog"])
            raw = {name: ("eog", eye) for name, eye in zip(channels["eog"], eyes, strict=True)}
        if "eeg" in wanted:
            for name, gain in (("F4-M1", 0.25), ("C4-M1", 0.08)):
                if name in eeg:
                    leak_blinks(eeg[name], truth.eye_movements, gain=gain, rate=species.eeg_rate)
            raw = {name: ("eeg", signal) for name, signal in eeg.items()} | raw
    if "emg" in wanted:
        raw[channels["emg"][0]] = ("emg", simulate_emg(scene, rng=streams["emg"]))
    if "lfp" in wanted:
        raw["HIP"] = ("lfp", simulate_lfp(scene, truth.gamma_bursts, rng=streams["lfp"]))
    names = [name for group in channels.values() for name in group]
    noise = dict(zip(names, streams["noise"].spawn(len(names)), strict=True))
    out = {}
    for name, (modality, signal) in raw.items():
        rate = species.lfp_rate if modality == "lfp" else species.eeg_rate
        size = 1.0 if modality == "lfp" else 6.0  # implanted wires move less
        add_artefacts(signal, truth.artefacts, channel=name, rate=rate, size=size, rng=noise[name])
        out[name] = Signal(name, signal, rate, MODALITIES[modality], scale=1e-6)
    return out


def _simulate_others(
    scene: Scene, run: Run, wanted: tuple[str, ...], streams: dict[str, np.random.Generator]
) -> dict[str, Signal]:
    """Position, BOLD, heart rate, activity and temperature."""
    out = {}
    if "position" in wanted or "spikes" in wanted:
        out["position"] = Signal("position", run.position, POSITION_RATE, MODALITIES["position"], start=run.start)
    if {"bold", "bold_volume"} & set(wanted):
        parcels = simulate_parcels(scene, rng=streams["bold"])
        rate = 1 / scene.species.repetition_time
        if "bold" in wanted:
            out["bold"] = Signal("bold", parcels, rate, MODALITIES["bold"], channels=PARCELS)
        if "bold_volume" in wanted:
            volumes = simulate_volumes(parcels, rng=streams["volumes"])
            out["bold_volume"] = Signal("bold_volume", volumes, rate, MODALITIES["bold"])
    if "heart_rate" in wanted:
        values = simulate_heart_rate(scene, rng=streams["heart_rate"])
        out["heart_rate"] = Signal("heart_rate", values, 1.0, MODALITIES["heart_rate"])
    if "activity" in wanted:
        values = simulate_activity(scene, rng=streams["activity"])
        out["activity"] = Signal("activity", values, 1.0, MODALITIES["activity"])
    if "temperature" in wanted:
        values = simulate_temperature(scene, rng=streams["temperature"])
        out["temperature"] = Signal("temperature", values, 1 / 60, MODALITIES["temperature"])
    return out
