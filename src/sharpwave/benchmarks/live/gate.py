"""`sharpwave benchmark live-gate`: does the gate open in N2 and N3, and never in wake or REM?

Every result is made from the samples before it: the last row replaces all that comes after t by noise and looks whether
anything changed. UCDDB's 022 is the one whole night with raw EEG, every 30 s, against experts' stages; its unit is
unknown, so the scale is that of the hours before. Four people of DREAMS have half an hour each, every 5 s, against the
last 5 s of a finer hypnogram. Beside it: YASA's classifier on the whole night, which hears the future, and a gate that
opens on the amplitude of slow waves alone.
Also what the night's filters say: polarity, spindles and ripples (`live.events`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.live.events import measure_polarity, measure_ripples, measure_spindles
from sharpwave.benchmarks.live.phase_runs import DREAMS
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.live.decision import StageResult
from sharpwave.live.protocol import Protocol, SignalPart
from sharpwave.live.stage import init_stager, step_stager
from sharpwave.recordings import Recording, Signal, load_dataset
from sharpwave.recordings.datasets import list_subjects
from sharpwave.signals.staging import compute_epoch_amplitude, stage_night

OURS = "YASA's classifier on the past alone"
OFFLINE = "YASA's classifier on the whole night"
AMPLITUDE = "amplitude of the last 30 s"
THRESHOLDS = (0.7, 0.8, 0.9)
"""Of P(N2) + P(N3); 0.8 is that of the protocols that ship."""
WHOLE_NIGHT = "022"
CUTS = (0.3, 0.5, 0.8)
"""Shares of a recording after which all is replaced by noise."""


@dataclass(frozen=True, eq=False)
class Staged:
    """What was said, beside what experts said.

    Attributes:
        subject: Whose night.
        probabilities: Shape (result, stage).
        stages: Experts' codes at the same moments, 0 to 4.
    """

    subject: str
    probabilities: np.ndarray
    stages: np.ndarray


def tell_stages(
    samples: np.ndarray, *, rate: float, every: float, rescale: bool, channel: str = "EEG"
) -> list[StageResult]:
    """The stager fed as in a night, in pieces of `every` seconds.

    Args:
        samples: One channel in V.
        rate: Samples a second.
        every: Seconds between results.
        rescale: Whether the unit is unknown.
        channel: Its name.
    """
    protocol = Protocol("benchmark", SignalPart(channels=(channel,), rate=rate))
    state = init_stager(protocol, every=every, rescale=rescale)
    said: list[StageResult] = []
    size = round(every * rate)
    for first in range(0, len(samples), size):
        part = samples[first : first + size, None].astype(np.float32)
        results, state = step_stager(state, part, index=first, until=(first + len(part)) / rate)
        said += results
    return said


def compare_with_experts(subject: str, said: list[StageResult], recording: Recording) -> Staged:
    """Each result beside the experts' stage of the last moment that it heard."""
    hypnogram = recording.hypnogram
    assert hypnogram is not None
    places = np.array([round(one.heard_until / hypnogram.epoch_length) - 1 for one in said], dtype=int)
    known = places < len(hypnogram)
    stages = hypnogram.stages[places[known]]
    probabilities = np.array([one.probabilities for one in said])[known]
    return Staged(subject, probabilities[stages >= 0], stages[stages >= 0])


def score_gate(is_open: np.ndarray, stages: np.ndarray) -> dict[str, float]:
    """How a gate did: precision and recall of N2 and N3, and how much of wake, N1 and REM it let through.

    Args:
        is_open: Whether it was open at each result.
        stages: Experts' codes.
    """
    wanted = np.isin(stages, (2, 3))

    def share(mask: np.ndarray) -> float:
        return float(is_open[mask].mean()) if mask.any() else float("nan")

    return {
        "precision": float(wanted[is_open].mean()) if is_open.any() else float("nan"),
        "recall": share(wanted),
        "open_in_wake": share(stages == 0),
        "open_in_rem": share(stages == 4),
        "open_in_n1": share(stages == 1),
    }


def score_stages(staged: Staged) -> dict[str, float]:
    """Agreement with the experts, and of N3 alone."""
    said, stages = staged.probabilities.argmax(axis=1), staged.stages
    table = np.zeros((5, 5))
    np.add.at(table, (stages, said), 1)
    total = table.sum()
    agreed, chance = np.trace(table) / total, float(table.sum(axis=0) @ table.sum(axis=1)) / total**2
    deep = staged.probabilities[:, 3] > 0.5
    return {
        "kappa": float((agreed - chance) / (1 - chance)),
        "n3_sensitivity": float(deep[stages == 3].mean()) if (stages == 3).any() else float("nan"),
        "n3_specificity": float((~deep[stages != 3]).mean()),
    }


def make_rows(data: str, setting: str, method: str, nights: list[Staged], *, rng: np.random.Generator) -> list[Row]:
    """Scores of a method: means over people, with an interval where there are several."""
    rows: list[Row] = []
    scores: dict[str, list[dict[str, float]]] = {setting: [score_stages(one) for one in nights]}
    for threshold in THRESHOLDS:
        name = f"{setting}, P(N2) + P(N3) > {threshold:g}"
        scores[name] = [score_gate(one.probabilities[:, 2:4].sum(axis=1) > threshold, one.stages) for one in nights]
    for name, each in scores.items():
        for metric in each[0]:
            values = [one[metric] for one in each]
            if len(values) == 1:
                rows.append(Row(data, name, method, metric, values[0], n=len(nights[0].stages)))
            else:
                rows.append(estimate_row(data, name, method, metric, values, rng=rng))
    return rows


def gate_by_amplitude(recording: Recording, *, share: float) -> list[Row]:
    """A gate that opens where the last 30 s are larger than most of those before, for the same share of time."""
    amplitude = compute_epoch_amplitude(recording["EEG"])
    hypnogram = recording.hypnogram
    assert hypnogram is not None
    stages = hypnogram.stages[: amplitude.size]
    is_open = np.zeros(amplitude.size, dtype=bool)
    for place in range(10, amplitude.size):
        before = amplitude[:place][np.isfinite(amplitude[:place])]
        is_open[place] = before.size > 5 and amplitude[place] > np.quantile(before, 1 - share)
    known = (stages >= 0) & np.isfinite(amplitude)
    scores = score_gate(is_open[known], stages[known])
    setting = "whole night, every 30 s, open as often as at 0.8"
    return [Row("ucddb", setting, AMPLITUDE, name, value, n=int(known.sum())) for name, value in scores.items()]


def stage_whole_night(data: Path | None, *, rng: np.random.Generator) -> list[Row]:
    """UCDDB's 022."""
    recording = load_dataset(f"ucddb/{WHOLE_NIGHT}", data)
    samples, rate = recording["EEG"].read(dtype=np.float64) * 1e-5, recording["EEG"].rate
    said = tell_stages(samples, rate=rate, every=30.0, rescale=True)
    night = compare_with_experts(WHOLE_NIGHT, said, recording)
    rows = make_rows("ucddb", "whole night, every 30 s", OURS, [night], rng=rng)
    is_open = night.probabilities[:, 2:4].sum(axis=1) > 0.8
    rows += gate_by_amplitude(recording, share=float(is_open.mean()))
    offline = stage_night(recording, eeg="EEG")
    assert offline.probabilities is not None
    assert recording.hypnogram is not None
    n = min(len(offline), len(recording.hypnogram))
    known = (recording.hypnogram.stages[:n] >= 0) & np.isfinite(offline.probabilities[:n]).all(axis=1)
    whole = Staged(WHOLE_NIGHT, offline.probabilities[:n][known], recording.hypnogram.stages[:n][known])
    rows += make_rows("ucddb", "whole night, every 30 s", OFFLINE, [whole], rng=rng)
    return rows + check_causality("ucddb", samples, rate=rate, said=said, rng=rng)


def check_causality(
    data: str, samples: np.ndarray, *, rate: float, said: list[StageResult], rng: np.random.Generator,
    cuts: tuple[float, ...] = CUTS,
) -> list[Row]:  # fmt: skip
    """How many results differ once all that comes after t is noise: none may before t, most do after it."""
    changed_before = changed_after = before = after = 0
    for share in cuts:
        cut = int(share * len(samples))
        noise = rng.normal(0, 3 * float(np.nanstd(samples)), len(samples) - cut)
        again = tell_stages(np.concatenate((samples[:cut], noise)), rate=rate, every=30.0, rescale=True)
        first = {one.heard_until: one.probabilities for one in said}
        second = {one.heard_until: one.probabilities for one in again}
        for moment in first.keys() | second.keys():
            differs = first.get(moment) != second.get(moment)
            if moment <= cut / rate:
                before, changed_before = before + 1, changed_before + differs
            else:
                after, changed_after = after + 1, changed_after + differs
    setting = "all after t replaced by noise"
    return [
        Row(data, setting, OURS, "results_changed_before_t", float(changed_before), n=before),
        Row(data, setting, OURS, "share_changed_after_t", changed_after / max(after, 1), n=after),
    ]


def stage_second_world(data: Path | None, *, rng: np.random.Generator) -> list[Row]:
    """Four people of DREAMS, every 5 s."""
    nights = []
    for subject in DREAMS:
        recording = load_dataset(f"dreams/{subject}", data)
        signal: Signal = next(iter(recording.signals.values()))
        samples = signal.read(dtype=np.float64)
        said = tell_stages(samples, rate=signal.rate, every=5.0, rescale=False)
        nights.append(compare_with_experts(subject, said, recording))
    rows = make_rows("dreams", "half an hour, every 5 s", OURS, nights, rng=rng)
    is_open = [one.probabilities[:, 2:4].sum(axis=1) > 0.8 for one in nights]
    stages = np.concatenate([one.stages for one in nights])
    for name, gates in (
        ("all results of four people", is_open),
        ("all results of four people, open for 60 s", [hold_open(one, 12) for one in is_open]),
    ):
        scores = score_gate(np.concatenate(gates), stages)
        setting = f"half an hour, every 5 s, P(N2) + P(N3) > 0.8, {name}"
        rows += [Row("dreams", setting, OURS, metric, value, n=stages.size) for metric, value in scores.items()]
    return rows


def hold_open(is_open: np.ndarray, n: int) -> np.ndarray:
    """Whether a gate was open at this and all of the `n` results before."""
    padded = np.r_[np.zeros(n, dtype=bool), is_open]
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, n + 1).all(axis=1))


PARTS: dict[Callable[..., list[Row]], tuple[str, ...]] = {
    stage_whole_night: ("ucddb",),
    stage_second_world: ("dreams",),
    measure_polarity: ("ucddb", "dreams"),
    measure_spindles: ("dreams",),
}
"""What is measured on recorded people, and the data sets it needs."""


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Score the gate's stager, its causality, polarity, spindles and ripples.

    Args:
        data: Folder of data sets; the usual one where omitted.
        seeds: Simulated nights for ripples.
        train: Not used: nothing is trained.

    Returns:
        Configuration and rows.

    Raises:
        SharpwaveError: If a data set is damaged, or not there though `data` is given.
    """
    rng = np.random.default_rng(0)
    rows, notes = list[Row](), list[str]()
    for part, needed in PARTS.items():
        absent = [name for name in needed if not list_subjects(name, data, required=False)]
        if absent and data is None:
            notes.append(f"{part.__name__} left out: {' and '.join(absent)} not here")
        else:
            rows += part(data, rng=rng)
    rows += measure_ripples(seeds, rng=rng)
    config = {
        "thresholds": list(THRESHOLDS),
        "cuts": list(CUTS),
        "interval": "95 %, bootstrap over people; none for one person, whose n counts results",
        "simulated": f"{seeds} rats of half an hour, for ripples",
        "notes": ["One whole night of raw EEG exists: what the gate does in other people's REM is not known.", *notes],
    }
    return config, rows
