"""The predictor: weights as their card says, the right phase at any rate, and an undeclared latency is found."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.live.filters import design_causal, settle_filter, step_filter
from sharpwave.live.phase import (
    GRID,
    TAPS,
    GridState,
    PhaseState,
    compute_undeclared_latency,
    load_predictor,
    mix,
    step_grid,
    step_phase,
    unpack_predictor,
)
from sharpwave.live.phase_methods import METHODS, find_delayed


def make_wave(seconds: float, rate: float, *, frequency: float = 0.8) -> np.ndarray:
    rng = np.random.default_rng(5)
    times = np.arange(round(seconds * rate)) / rate
    return 60 * np.cos(2 * np.pi * frequency * times) + rng.normal(0, 5, times.size)


def test_weights_are_small_and_as_their_card_says() -> None:
    raw = (files("sharpwave") / "weights" / "phase.bin").read_bytes()
    card = json.loads((files("sharpwave") / "weights" / "phase.json").read_text())
    assert len(raw) == card["bytes"] <= 2048
    assert not set(card["trained_on"]) & {"ucddb/015", "ucddb/022", "dreams/excerpt1"}


def test_too_few_weights_are_refused() -> None:
    with pytest.raises(SharpwaveError, match="weights of the predictor"):
        unpack_predictor(np.zeros(7), n_components=3, n_leads=13)


@pytest.mark.parametrize("rate", [100.0, 250.0, 512.0])
def test_the_phase_ahead_is_that_of_the_wave_at_any_rate(rate: float) -> None:
    wave = make_wave(30, rate)
    values, grid = step_grid(rate, GridState(), wave.tolist())
    predictor = load_predictor()
    components = tuple((predictor.basis @ np.array(values[-TAPS:])).tolist())
    age = 1 / GRID - grid.ahead / rate
    for lead in (0.0, 0.05, 0.2):
        told = mix(predictor, components, age + lead)
        right = 2 * np.pi * 0.8 * ((wave.size - 1) / rate + lead)
        assert abs(np.degrees(np.angle(told * np.exp(-1j * right)))) < 25.0  # regression leans to the usual wave


def test_an_offset_of_the_amplifier_changes_nothing() -> None:
    wave = make_wave(20, 128.0)
    phases = []
    for offset in (0.0, 40_000.0):
        phase, _ = step_phase(PhaseState(), (wave + offset).tolist(), rate=128.0, target=0.0, latency=0.05)
        assert phase is not None
        phases.append((phase.phase, phase.amplitude))
    assert phases[0] == pytest.approx(phases[1], rel=1e-3)


def test_the_wait_ends_a_latency_before_the_target() -> None:
    wave = make_wave(30, 128.0)
    waits = []
    for latency in (0.0, 0.1):
        phase, _ = step_phase(PhaseState(), wave.tolist(), rate=128.0, target=np.pi, latency=latency)
        assert phase is not None
        assert phase.wait is not None
        waits.append(phase.wait)
    assert waits[0] - waits[1] == pytest.approx(0.1, abs=1e-6)


def test_a_filter_is_that_of_scipy_and_the_same_in_pieces() -> None:
    from scipy.signal import butter, sosfilt

    samples = np.random.default_rng(2).normal(0, 1, 500)
    sections = design_causal("bandpass", (11.0, 16.0), order=2, rate=128.0)
    state = settle_filter(sections, 0.0)
    whole, _ = step_filter(sections, state, samples.tolist())
    first, state = step_filter(sections, state, samples[:123].tolist())
    second, _ = step_filter(sections, state, samples[123:].tolist())
    assert first + second == whole
    oracle = sosfilt(butter(2, (11.0, 16.0), "bandpass", fs=128.0, output="sos"), samples)
    assert np.abs(np.array(whole) - oracle).max() < 1e-9


def test_an_edge_past_half_the_rate_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="half the rate"):
        design_causal("lowpass", 60.0, order=2, rate=100.0)


@pytest.mark.parametrize("late", [-0.03, 0.0, 0.05, 0.12])
def test_an_undeclared_latency_is_found(late: float) -> None:
    rng = np.random.default_rng(8)
    frequencies = rng.normal(0.85, 0.1, 400)
    errors = np.angle(np.exp(1j * (2 * np.pi * frequencies * late + rng.normal(0, 0.6, 400))))
    assert compute_undeclared_latency(errors, frequencies) == pytest.approx(late, abs=0.015)


@pytest.mark.parametrize("method", list(METHODS))
def test_other_methods_know_a_clean_wave(method: str) -> None:
    wave = 60 * np.cos(2 * np.pi * 0.85 * np.arange(1600) / GRID)
    told = METHODS[method](wave, 0.05)[400:1500]
    right = np.exp(2j * np.pi * 0.85 * (np.arange(400, 1500) / GRID + 0.05))
    assert np.degrees(np.abs(np.angle(told / right))).mean() < 30.0
    assert np.isnan(METHODS[method](wave, 0.05)[: TAPS - 1]).all()


def test_a_fixed_delay_follows_every_trough_of_a_clean_wave() -> None:
    wave = 60 * np.cos(2 * np.pi * 0.85 * np.arange(1600) / GRID)
    times, told = find_delayed(wave, np.ones(1600, bool), delay=0.4, lead=0.05)
    assert np.diff(times) == pytest.approx(1 / 0.85, abs=2 / GRID)
    assert len(told) == len(times)
