"""What moved the forecasts of a night: which modality, which channel, how far back; found by occlusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave import moved
from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.explanation.attribution import get_attribution, measure_spans, spread_spans
from sharpwave.brainmu.explanation.latents import Directions
from sharpwave.brainmu.explanation.measures import SENSORS, is_measurable
from sharpwave.brainmu.explanation.occlusion import (
    RecordingPass,
    forecast_without_channels,
    forecast_without_modalities,
    pass_over_night,
)
from sharpwave.brainmu.explanation.out_of_distribution import OutOfDistribution
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.uncertainty import Calibration
from sharpwave.errors import SharpwaveError

N_PROBES = 6
"""Moments of the night at which each modality is left out."""
REACHED = 0.8
"""Share of a modality's whole effect that the named span must have."""
SMALL = 0.2
"""Log-odds below which an occlusion has changed nothing worth naming."""
DOMINANT = 0.5
"""Share of a modality's effect with which a single channel is named."""
APART = 600.0
"""Seconds between explained forecasts."""


def _empty() -> pd.DataFrame:
    return pd.DataFrame()


@dataclass(frozen=True, eq=False)
class Explanation:
    """Tables; times in seconds from the start of the recording, effects in log-odds of a change.

    Attributes:
        forecasts: One row a forecast explained: onset (when it was made), horizon (s), p_change, p_typical (the
            night's median), modality, channel, reach (s back from the forecast), effect (by which the log-odds fall
            without that), share (of the way of the log-odds from the night's median; above 1 where other parts speak
            against), p_without. `modality` is "" where no occlusion changes the forecast by more than `SMALL`.
        parts: One row a part of a forecast's context: onset (of the forecast), modality, from and to (s relative to
            the forecast), weight (what the part adds to the log-odds, by the attribution), effect (fall of the
            log-odds without the modality since `from`).
        modalities: modality, effect (mean absolute change of the log-odds over the night without its last ten
            minutes), share, n (moments), present (share of the night).
        latents: Named directions of the latent over the night, in standard deviations, and onset: those alone that are
            named after something that the night's own sensors measure, and NaN where these recorded nothing.
        directions: How well each direction tracks what it is named after; see `Directions.table`.
        out_of_distribution: onset, novelty, modality, channel, abstain; see `OutOfDistribution.score`.

    Example:
        >>> len(Explanation(_empty(), _empty(), _empty()).out_of_distribution)
        0
    """

    forecasts: pd.DataFrame
    parts: pd.DataFrame
    modalities: pd.DataFrame
    latents: pd.DataFrame = field(default_factory=_empty)
    directions: pd.DataFrame = field(default_factory=_empty)
    out_of_distribution: pd.DataFrame = field(default_factory=_empty)


@moved.rename_keywords(piece="recording", novelty="out_of_distribution")
def explain_night(
    model: BrainMu,
    recording: EpochedRecording,
    *,
    at: Sequence[float] = (),
    n_forecasts: int = 5,
    horizon: float = 30.0,
    attribution: str = "spans",
    calibration: Calibration | None = None,
    directions: Directions | None = None,
    out_of_distribution: OutOfDistribution | None = None,
    night: RecordingPass | None = None,
) -> Explanation:
    """Explain the surest forecasts of a change, or those made at given times.

    Args:
        model: Model in evaluation mode.
        recording: The recording.
        at: Times in seconds from the start; the forecast in force at each is explained.
        n_forecasts: How many forecasts to explain where no times are given.
        horizon: Seconds ahead, one of the model's.
        attribution: Key of `ATTRIBUTIONS` that weighs parts: "spans" is quick, "integrated" the most faithful.
        calibration: How logits become probabilities; as they are where omitted.
        directions: Named directions of the latent, to follow over the night; none where omitted.
        out_of_distribution: What the model has seen, to score each step against; no scores where omitted.
        night: The recording already passed over by `pass_over_night`; passed over now where omitted.

    Raises:
        SharpwaveError: If the horizon is not one of the model's, or a time is not in the recording.

    Example:
        >>> from sharpwave.brainmu import epoch_recording
        >>> from sharpwave.brainmu.checkpoints import make_lite
        >>> from sharpwave.simulation import simulate_night
        >>> night, _ = simulate_night("human", 0.5, rng=np.random.default_rng(0), modalities=("heart_rate",))
        >>> recording = epoch_recording(night, modalities=["heart_rate"])
        >>> model = make_lite(seed=0, modalities=["heart_rate"], width=16, n_heads=2).eval()
        >>> found = explain_night(model, recording, at=[900.0])
        >>> found.forecasts["onset"].tolist(), found.modalities["modality"].tolist()
        ([900.0], ['heart_rate'])
    """
    index = _find_horizon(model, horizon)
    calibration = calibration or Calibration()
    night = night or pass_over_night(model, recording)
    raw = night.readout.change[0].double().numpy()
    steps = [_find_step(recording, time) for time in at] or choose_forecasts(
        calibration.changes(raw)[:, index], n_forecasts, step=recording.grid.step
    )
    explained = [
        _explain_forecast(model, night, step, recording, index, raw, calibration, attribution) for step in steps
    ]
    parts = [table for _, table in explained]
    return Explanation(
        forecasts=pd.DataFrame([row for row, _ in explained]),
        parts=pd.concat(parts, ignore_index=True) if parts else _empty(),
        modalities=weigh_modalities(model, night, horizon=index),
        latents=_read_directions(directions, night, recording),
        directions=_keep_measurable(directions, recording),
        out_of_distribution=_empty() if out_of_distribution is None else out_of_distribution.score(recording),
    )


def _find_horizon(model: BrainMu, horizon: float) -> int:
    """Index of a horizon among the model's."""
    if horizon not in model.config.horizons:
        known = ", ".join(f"{value:g}" for value in model.config.horizons)
        raise SharpwaveError(f"a horizon among {known} s", got=f"{horizon:g} s", fix="choose one of these")
    return model.config.horizons.index(horizon)


def _list_recorded(recording: EpochedRecording) -> list[str]:
    """Modalities of which something was recorded."""
    return [name for name, part in recording.epochs.items() if part.present.any()]


def _keep_measurable(directions: Directions | None, recording: EpochedRecording) -> pd.DataFrame:
    """How well directions track what they are named after; of those alone whose sensor the night has."""
    if directions is None:
        return _empty()
    recorded = _list_recorded(recording)
    kept = [is_measurable(str(name), recorded) for name in directions.table["name"]]
    return directions.table[kept].reset_index(drop=True)


def _read_directions(directions: Directions | None, night: RecordingPass, recording: EpochedRecording) -> pd.DataFrame:
    """Named directions over the night and onset, NaN where their sensors recorded nothing; empty without directions."""
    if directions is None:
        return _empty()
    latents = directions.read(night.latents)
    latents = latents[[name for name in latents if is_measurable(str(name), _list_recorded(recording))]]
    for name in latents:
        sensors = [recording.epochs[one] for one in SENSORS.get(str(name), ()) if one in recording.epochs]
        if sensors:
            latents[name] = latents[name].where(np.any([one.present.any(axis=1) for one in sensors], axis=0))
    latents.insert(0, "onset", recording.grid.ends - recording.grid.step)
    return latents


def choose_forecasts(chances: Float[np.ndarray, " step"], n: int, *, step: float) -> list[int]:
    """Steps of the highest probabilities, at least ten minutes apart, in order of time.

    Args:
        chances: Probability of a change at each step.
        n: How many steps to choose at most.
        step: Length of a step in seconds.

    Example:
        >>> import numpy as np
        >>> choose_forecasts(np.array([0.1, 0.9, 0.8, 0.2]), 2, step=300.0)
        [1, 3]
    """
    apart = max(1, round(APART / step))
    chosen: list[int] = []
    for index in np.argsort(-chances, kind="stable").tolist():
        if len(chosen) == n:
            break
        if all(abs(index - other) >= apart for other in chosen):
            chosen.append(index)
    return sorted(chosen)


def weigh_modalities(
    model: BrainMu, night: RecordingPass, *, horizon: int = 0, n_probes: int = N_PROBES
) -> pd.DataFrame:
    """How much each modality's last ten minutes matter, on average over moments spread evenly over the night.

    Args:
        model: Model in evaluation mode.
        night: The recording passed over once.
        horizon: Index among the model's horizons.
        n_probes: Number of moments.

    Returns:
        modality, effect, share, n, present; see `Explanation.modalities`.

    Example:
        >>> from sharpwave.brainmu import epoch_recording
        >>> from sharpwave.brainmu.checkpoints import make_lite
        >>> from sharpwave.simulation import simulate_night
        >>> night, _ = simulate_night("human", 0.5, rng=np.random.default_rng(0), modalities=("heart_rate",))
        >>> recording = epoch_recording(night, modalities=["heart_rate"])
        >>> model = make_lite(seed=0, modalities=["heart_rate"], width=16, n_heads=2).eval()
        >>> weigh_modalities(model, pass_over_night(model, recording)).loc[0, "share"].round(6)
        np.float64(1.0)
    """
    names, n_steps = tuple(night.recording.epochs), len(night.recording)
    steps = np.unique(np.linspace(min(n_steps - 1, 20), n_steps - 1, n_probes).round().astype(int))
    effects = []
    for step in steps.tolist():
        logit = float(night.readout.change[0, step, horizon])
        effects.append(np.abs(forecast_without_modalities(model, night.open(step), horizon=horizon) - logit))
    effect = np.mean(effects, axis=0)
    present = [float(epochs.present.any(axis=1).mean()) for epochs in night.recording.epochs.values()]
    table = pd.DataFrame({"modality": names, "effect": effect, "share": effect / max(float(effect.sum()), 1e-12)})
    table = table.assign(n=len(steps), present=present)
    return table.sort_values("effect", ascending=False, ignore_index=True)


def _find_step(recording: EpochedRecording, time: float) -> int:
    """The step at whose end the forecast in force at a time was made."""
    step = int(np.searchsorted(recording.grid.ends, time + 1e-6, side="right")) - 1
    if step < 0 or time > recording.grid.ends[-1] + recording.grid.step:
        raise SharpwaveError(
            f"a time between {recording.grid.ends[0]:g} and {recording.grid.ends[-1]:g} s, when there are forecasts",
            got=f"{time:g} s",
            fix="choose a time within the recording",
        )
    return step


def _explain_forecast(
    model: BrainMu,
    night: RecordingPass,
    step: int,
    recording: EpochedRecording,
    horizon: int,
    raw: Float[np.ndarray, "step horizon"],
    calibration: Calibration,
    attribution: str,
) -> tuple[dict[str, object], pd.DataFrame]:
    context = night.open(step)
    reaches, falls = measure_spans(model, night, step, horizon=horizon)
    own = raw[step]
    typical = np.median(raw[:, horizon])
    sign = 1.0 if own[horizon] >= typical else -1.0
    effects = sign * falls
    length, onset = recording.grid.step, float(recording.grid.ends[step])
    best = effects.max(axis=1)
    modality = int(best.argmax())
    row: dict[str, object] = {"onset": onset, "horizon": model.config.horizons[horizon]}
    row |= {"p_change": _chance(calibration, own, horizon, own[horizon])}
    row |= {"p_typical": _chance(calibration, own, horizon, float(typical))}
    if best[modality] < SMALL:
        row |= {"modality": "", "channel": "", "reach": np.nan, "effect": 0.0, "share": np.nan, "p_without": np.nan}
    else:
        index = int((effects[modality] >= REACHED * best[modality]).argmax())
        effect = float(falls[modality, index])
        name, reach = context.names[modality], int(reaches[index])
        span = night.open(step, length=reach)
        falls_alone = own[horizon] - forecast_without_channels(model, span, name, horizon=horizon)
        row |= {"modality": name, "channel": _name_channel(recording.epochs[name].channels, falls_alone / effect)}
        row |= {
            "reach": reach * length,
            "effect": effect,
            "share": float(sign * effect / max(abs(own[horizon] - typical), SMALL)),
        }
        row |= {"p_without": _chance(calibration, own, horizon, own[horizon] - effect)}
    shape = falls.shape
    if attribution == "spans":
        weights = spread_spans(reaches, falls)
    else:
        weights = get_attribution(attribution)(model, night, step, horizon=horizon)
    starts, ends = -length * reaches, -length * np.r_[0, reaches[:-1]]
    parts = pd.DataFrame(
        {
            "onset": onset,
            "modality": np.repeat(context.names, shape[1]),
            "from": np.tile(starts, shape[0]),
            "to": np.tile(ends, shape[0]),
            "weight": np.add.reduceat(weights, context.n_steps - reaches[::-1], axis=1)[:, ::-1].ravel(),
            "effect": falls.ravel(),
        }
    )
    there = np.array([context.present[i, context.n_steps - r :].any() for i in range(shape[0]) for r in reaches])
    return row, parts[there].reset_index(drop=True)


def _chance(calibration: Calibration, logits: np.ndarray, horizon: int, logit: float) -> float:
    changed = np.array(logits, dtype=float)
    changed[horizon] = logit
    return float(calibration.changes(changed)[horizon])


def _name_channel(channels: Sequence[str], shares: Float[np.ndarray, " channel"]) -> str:
    """The channel that alone has most of its modality's effect; "" where none has; the only one where there is one."""
    if len(channels) == 1:
        return channels[0]
    return channels[int(shares.argmax())] if shares.max() >= DOMINANT else ""


__getattr__ = moved.rename(
    __name__,
    {
        "NightExplanation": "Explanation",
    },
)
