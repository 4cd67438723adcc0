"""One figure and one table of a recording or a network: how it moves, or how it stands and recovers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.reprs import short_repr
from sharpwave.resilience.brittleness import BrittlenessMap, map_brittleness
from sharpwave.resilience.recovery import Recovery, measure_recovery
from sharpwave.resilience.robustness import DoseCurve, measure_robustness
from sharpwave.resilience.windows import Windows, measure_windows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

COLUMNS = ("part", "state", "measure", "value", "low", "high", "baseline", "n")
MOST_WINDOWS = 40
"""Windows of each state that the card of a recording measures."""


MOST_CHANNELS_PER_SAMPLE = 5
"""Channels per sample above which an array is taken to be transposed."""


@runtime_checkable
class Subject(Protocol):
    """What a network must offer to be tested; `sharpwave.demonstrations.NetworkSubject` does for torch.

    Attributes:
        doses: Doses of each kind of damage, rising from 0.
        parts: What can be damaged alone, and how much damage one dose is there.
        shock: Kind and dose from which it must recover.
        chance: Score of a guess.

    >>> class Lamp:  # damage dims it, a step of recovery turns it up
    ...     doses, parts, shock, chance = {"dim": (0.0, 0.5, 1.0)}, {"bulb": 1.0}, ("dim", 0.5), 0.0
    ...     light = 1.0
    ...     def copy(self):
    ...         return Lamp()
    ...     def score(self):
    ...         return self.light
    ...     def damage(self, kind, dose, *, rng, part=None):
    ...         self.light -= dose
    ...     def recover(self, number):
    ...         self.light = min(1.0, self.light + 0.1)
    >>> isinstance(Lamp(), Subject), round(card(Lamp()).recovery.fraction, 2)
    (True, 1.0)
    """

    doses: Mapping[str, Sequence[float]]
    parts: Mapping[str, float]
    shock: tuple[str, float]
    chance: float

    def copy(self) -> Subject:
        """A copy that can be damaged."""

    def score(self) -> float:
        """Higher is better."""

    def damage(self, kind: str, dose: float, *, rng: np.random.Generator, part: str | None = None) -> None:
        """Damage this copy, or one part of it."""

    def recover(self, number: int) -> None:
        """One step of recovery, the same for every copy; with `recovers = False`, recovery is not measured."""


@dataclass(frozen=True, eq=False)
class Card:
    """What `card` found.

    Attributes:
        kind: "recording" or "network".
        table: One row a number: part, state, measure, value, low, high, baseline, n.
        figure: The same as a picture.
        curves: Score against dose by kind of damage (networks).
        recovery: Return after the shock (networks); None where the network was given no way to recover, and the table
            then says "not measured".
        brittleness: Loss of score by damaged part (networks); None where no part can have that damage.
        notes: Why something was not measured, by its part in the table; "not measured" is its state there.
        windows: Measures of each window, by signal (recordings).

    >>> found = card(np.random.default_rng(0).normal(size=(6000, 4)), rate=100.0)
    >>> found.kind, list(found.windows)
    ('recording', ['signal'])
    """

    __repr__ = short_repr

    kind: str
    table: pd.DataFrame
    figure: Figure
    curves: Mapping[str, DoseCurve] = field(default_factory=dict)
    recovery: Recovery | None = None
    brittleness: BrittlenessMap | None = None
    windows: Mapping[str, Windows] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def card(
    subject: Any,
    *,
    rate: float | None = None,
    rng: np.random.Generator | None = None,
    n_steps: int = 20,
    n_repeats: int = 3,
    modality: str | None = None,
) -> Card:
    """Resilience of a network, or dynamics of a recording, in one figure and one table.

    Args:
        subject: A recording (anything with `signals` by name, each with `read`, `rate`, `start` and `end`, and perhaps
            a `hypnogram`), an array (time,) or (time, channel) with its `rate`, or a network wrapped as a `Subject`.
        rate: Sampling rate of an array, in Hz.
        rng: Source of randomness for damage, surrogates and groups; seeded with 0 where omitted.
        n_steps: Steps of recovery of a network.
        n_repeats: Draws of damage, or surrogates per window of a recording.
        modality: Modality of an array, such as "bold" or "eeg"; told by the rate where omitted (up to 5 Hz BOLD).

    Returns:
        The card. `baseline` is the undamaged score of a network; for a recording, phase-randomised surrogates.

    Raises:
        SharpwaveError: If it is none of these, or no signal can be measured.

    >>> found = card(np.random.default_rng(0).normal(size=(6000, 4)), rate=100.0)
    >>> list(found.table.columns)
    ['part', 'state', 'measure', 'value', 'low', 'high', 'baseline', 'n']
    """
    rng = np.random.default_rng(0) if rng is None else rng
    if all(hasattr(subject, name) for name in ("copy", "score", "damage", "doses", "parts")):
        return _describe_network(subject, rng=rng, n_steps=n_steps, n_repeats=n_repeats)
    if hasattr(subject, "signals"):
        signals = {
            name: Source(signal.read, signal.rate, (signal.start, signal.end), _name_modality(signal))
            for name, signal in subject.signals.items()
        }
        return _describe_signals(signals, getattr(subject, "hypnogram", None), rng=rng, n_surrogates=n_repeats)
    if isinstance(subject, np.ndarray) and rate is not None:
        _notice_transposed(subject)
        signals = {"signal": Source(_reader(subject, rate), rate, (0.0, len(subject) / rate), modality)}
        return _describe_signals(signals, None, rng=rng, n_surrogates=n_repeats)
    raise SharpwaveError(
        "a recording, an array with its rate, or a network wrapped as a Subject",
        got=f"{type(subject).__name__}{' without a rate' if isinstance(subject, np.ndarray) else ''}",
        fix="give rate in Hz, or call sharpwave.card(model, inputs, labels) with a torch module",
    )


@dataclass(frozen=True)
class Source:
    """Where the samples of a signal come from.

    Attributes:
        read: Samples between two times in s, time first.
        rate: Sampling rate in Hz.
        span: First and last second.
        modality: Name of its modality; None where it is not known.
    """

    read: Callable[[float, float], np.ndarray]
    rate: float
    span: tuple[float, float]
    modality: str | None = None


def _name_modality(signal: Any) -> str | None:
    modality = getattr(signal, "modality", None)
    return getattr(modality, "name", modality)


def _list_notes(notes: Mapping[str, str]) -> str:
    return "".join(f"; {name}: {why}" for name, why in list(notes.items())[:3])


def _notice_transposed(samples: np.ndarray) -> None:
    """Refuse an array whose second axis is much the longer one: time comes first."""
    if samples.ndim == 2 and samples.shape[1] > MOST_CHANNELS_PER_SAMPLE * samples.shape[0]:
        raise SharpwaveError(
            "an array (time, channel), time first",
            got=f"shape {samples.shape}: {samples.shape[0]} samples of {samples.shape[1]} channels",
            fix="pass its transpose, samples.T",
        )


def _reader(samples: np.ndarray, rate: float) -> Callable[[float, float], np.ndarray]:
    return lambda begin, end: samples[max(0, int(np.ceil(begin * rate))) : max(0, int(np.ceil(end * rate)))]


def _describe_signals(
    signals: Mapping[str, Source],
    hypnogram: Any,
    *,
    rng: np.random.Generator,
    n_surrogates: int,
) -> Card:
    import pandas as pd

    from sharpwave.resilience.card_figures import draw_windows

    windows: dict[str, Windows] = {}
    notes: dict[str, str] = {}
    for name, source in signals.items():
        try:
            windows[name] = measure_windows(
                source.read,
                source.rate,
                span=source.span,
                rng=rng,
                hypnogram=hypnogram,
                most=MOST_WINDOWS,
                n_surrogates=n_surrogates,
                modality=source.modality,
            )
        except SharpwaveError as error:
            notes[name] = str(error)
            continue
        if windows[name].left_out:
            notes[name] = "; ".join(f"channel {channel} {why}" for channel, why in windows[name].left_out.items())
    if not windows:
        raise SharpwaveError(
            "a signal with at least one whole window without gaps",
            got=f"none among {', '.join(signals) or 'no signals'}{_list_notes(notes)}",
            fix="give at least 30 s of an electrical signal, or 30 volumes",
        )
    rows = [row for name, found in windows.items() for row in _tabulate_windows(name, found)]
    return Card(
        "recording", pd.DataFrame(rows, columns=list(COLUMNS)), draw_windows(windows), windows=windows, notes=notes
    )


def _tabulate_windows(name: str, found: Windows) -> list[tuple[Any, ...]]:
    """Median and quartiles of each measure in each state, beside the surrogates' median."""
    rows: list[tuple[Any, ...]] = []
    for state in dict.fromkeys(sorted(found.states)):
        inside = found.of(state)
        for measure, values in found.values.items():
            finite = values[inside][np.isfinite(values[inside])]
            if not finite.size:
                continue
            low, middle, high = np.percentile(finite, [25, 50, 75])
            random = found.surrogates.get(measure, np.full(len(values), np.nan))[inside]
            baseline = float(np.nanmedian(random)) if np.isfinite(random).any() else float("nan")
            rows.append((name, state, measure, float(middle), float(low), float(high), baseline, finite.size))
    return rows


def _describe_network(subject: Subject, *, rng: np.random.Generator, n_steps: int, n_repeats: int) -> Card:
    import pandas as pd

    from sharpwave.resilience.card_figures import draw_network

    notes: dict[str, str] = dict(getattr(subject, "left_out", {}))
    curves: dict[str, DoseCurve] = {}
    for kind, doses in subject.doses.items():
        score = partial(_score_under, subject, kind)
        try:
            curves[kind] = measure_robustness(
                score, doses, rng=rng, n_repeats=n_repeats, chance=subject.chance, least=_find_least(subject)
            )
        except SharpwaveError as error:
            notes[kind] = str(error)
    recovery = _recover(subject, n_steps=n_steps, seed=int(rng.integers(0, 2**32)), notes=notes)
    brittleness = None
    kind, dose = subject.shock
    try:
        brittleness = map_brittleness(
            lambda part, generator: _score_under(subject, kind, 0.0 if part is None else dose, generator, part),
            subject.parts,
            rng=rng,
            damage=lambda part: subject.parts[part],
            n_repeats=n_repeats,
        )
    except SharpwaveError as error:
        notes["parts"] = str(error)
    whole = float(next(iter(curves.values())).scores[0]) if curves else subject.score()
    rows = _tabulate_network(curves, recovery, brittleness, whole=whole, n=n_repeats)
    rows += [
        (part, "not measured", "kept", *[float("nan")] * 4, 0) for part in notes if part not in {"recovery", "parts"}
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    figure = draw_network(curves, recovery, brittleness)
    return Card("network", table, figure, curves, recovery, brittleness, notes=notes)


def _score_under(
    subject: Subject, kind: str, size: float, generator: np.random.Generator, part: str | None = None
) -> float:
    copy = subject.copy()
    if size > 0:
        copy.damage(kind, size, rng=generator, part=part)
    return copy.score()


def _find_least(subject: Subject) -> float:
    """Score above chance below which nothing was learned: two standard errors of as many answers."""
    n_items = getattr(subject, "n_items", 0)
    return max(0.01, 2 * float(np.sqrt(subject.chance * (1 - subject.chance) / n_items))) if n_items else 0.0


def _recover(subject: Subject, *, n_steps: int, seed: int, notes: dict[str, str]) -> Recovery | None:
    """Return after the shock; None, with a note, where there is no way to recover or no such shock."""
    kind, dose = subject.shock
    if not getattr(subject, "recovers", True) or not callable(getattr(subject, "recover", None)):
        notes["recovery"] = "there is no way to recover: pass recover="
        return None
    probe = subject.copy()
    try:
        probe.damage(kind, dose, rng=np.random.default_rng(seed))
    except SharpwaveError as error:
        notes["recovery"] = str(error)
        return None
    made: list[Subject] = []

    def make() -> Subject:
        made.append(subject.copy())
        return made[-1]

    found = measure_recovery(
        make,
        perturb=lambda copy: copy.damage(kind, dose, rng=np.random.default_rng(seed)),
        step=lambda copy, number: copy.recover(number),
        score=lambda copy: copy.score(),
        n_steps=n_steps,
    )
    if not all(getattr(copy, "was_trained", True) for copy in made):
        raise SharpwaveError(
            "recover(model, step) that trains the copy that it is given",
            got=f"recover, which left its copy as it was in {n_steps} steps",
            fix="make its optimiser from the copy's parameters() inside, or use NetworkSubject.from_sleep",
        )
    return found


def _tabulate_network(
    curves: Mapping[str, DoseCurve],
    recovery: Recovery | None,
    brittleness: BrittlenessMap | None,
    *,
    whole: float,
    n: int,
) -> list[tuple[Any, ...]]:
    nan = float("nan")
    rows: list[tuple[Any, ...]] = []
    for kind, curve in curves.items():
        rows.append((kind, "damaged", "area", curve.area, nan, nan, whole, n))
        rows.append((kind, "damaged", "kept", curve.kept, nan, nan, 1.0, n))
        rows.append((kind, "damaged", "half_dose", curve.half_dose, nan, nan, nan, n))
    if recovery is None:
        rows.append(("recovery", "not measured", "fraction", nan, nan, nan, nan, 0))
    for measure in () if recovery is None else ("shock", "fraction", "fraction_alone", "area", "half_step", "residual"):
        rows.append(("recovery", "after the shock", measure, getattr(recovery, measure), nan, nan, nan, 1))
    if brittleness is None:
        return rows
    for part, loss in zip(brittleness.parts, brittleness.per_damage, strict=True):
        rows.append((part, "damaged alone", "loss_per_damage", float(loss), nan, nan, nan, n))
    return rows
