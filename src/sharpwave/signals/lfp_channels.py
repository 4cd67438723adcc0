"""Which of many LFP channels is used: the hippocampal one with most ripple power, or the one that the user names.

A probe has tens or hundreds of channels, and ripples are in few of them. Ripple power is what the ripple band holds
beyond its steady background, so that a channel that is merely noisy, or larger, does not win.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram, Recording, Signal
from sharpwave.recordings.hypnogram import NREM_STAGES
from sharpwave.signals.high_rates import HIGHEST_RATE, lower_rate
from sharpwave.signals.pieces import split_channels
from sharpwave.signals.ripples import BANDS

HIPPOCAMPUS = (
    r"\b(d|v|i|l|r|left|right|dorsal|ventral)?[ _-]?(ca[1-4]|ca)(sp|so|sr|slm|pyr|or|rad|py)?\b|hippoc|\bhpc"
    r"|\bhip(p)?\b|\bhpf\b|\bdg\b|dentate|ammon|\bd?hc\b|subicul|cornu|pyramidal"
)
"""Words of a location, in lower case, that name the hippocampus."""
N_WINDOWS = 30
WINDOW = 4.0
"""Windows, and their length in s, in which ripple power is measured."""
ARTEFACT = 25.0
"""Power above the ripple band, relative to its median, that makes a sample an artefact."""
BLOCK = 32
"""Channels that are filtered at once."""


@dataclass(frozen=True, eq=False)
class Channel:
    """One LFP channel.

    Attributes:
        signal: Its samples, unread where they lie on disk.
        source: Name of the signal of the recording that holds it.
        column: Its number in that signal, from 0.
        label: Its name in the file.
        location: Where it lies, in the words of the file; "" where it does not say.
        bad: Whether the file marks it as of no use.
    """

    signal: Signal
    source: str
    column: int
    label: str
    location: str = ""
    bad: bool = False

    @property
    def hippocampal(self) -> bool:
        words = self.location or f"{self.label} {self.source}"
        return re.search(HIPPOCAMPUS, re.sub(r"[_/,;-]+", " ", words.lower())) is not None

    @property
    def described(self) -> str:
        return f"{self.signal.name!r}" + (f" ({self.location})" if self.location else "")


def choose_lfp(recording: Recording, name: str | None = None, *, single: bool = False) -> Recording:
    """The recording with one LFP channel in place of a frame of many, still unread; what was chosen is declared.

    Args:
        recording: The recording; `metadata["electrodes"]` says where channels lie and which are bad (NWB).
        name: Name of the channel, or its number (as in the file, else counted from 0); chosen by its place and its
            ripple power where omitted.
        single: Whether one is chosen among channels that are signals of their own, too, as replay wants it; otherwise
            these stay.

    Returns:
        The recording; as it was where there is nothing to choose.

    Raises:
        SharpwaveError: If there is no channel of this name.

    >>> from sharpwave.recordings import MODALITIES
    >>> rng, times = np.random.default_rng(0), np.arange(60_000) / 1250
    >>> ripples = 20 * (np.sin(2 * np.pi * times / 2) > 0.99) * np.sin(2 * np.pi * 180 * times)
    >>> samples = rng.normal(0, 1, (60_000, 2)) * [3, 1] + np.stack([0 * times, ripples], axis=1)
    >>> frame = Signal("LFP", samples, 1250.0, MODALITIES["lfp"], scale=1e-5, channels=("0", "1"))
    >>> list(choose_lfp(Recording(signals={"LFP": frame})).of("lfp"))
    ['LFP-1']
    """
    lfp = recording.of("lfp")
    irregular = [key for key, signal in lfp.items() if signal.times is not None]
    channels = [channel for channel in list_channels(recording) if channel.source not in irregular]
    frames = [key for key, signal in lfp.items() if len(signal.samples.shape) == 2 and key not in irregular]
    repairs = [f"{key}: sampled irregularly throughout, so that no filter fits it; not used" for key in irregular]
    if name is not None:
        chosen = _find_named(channels, name)
        return _keep(recording, chosen, [*lfp], [*repairs, f"LFP: channel {chosen.described} is used, as asked for"])
    pool = channels if single else [channel for channel in channels if channel.source in frames]
    if not frames and not (single and len(pool) > 1):
        return _drop(recording, irregular, repairs) if irregular else recording
    usable = [channel for channel in pool if not channel.bad] or pool
    n_bad = len(pool) - len(usable)
    best, why = _choose(usable, recording)
    left = f"; {n_bad} marked as bad in the file were left out" if n_bad else ""
    said = f"LFP: of {len(pool)} channels {best.described} is used, {why}{left} (choose with --lfp NAME)"
    sources = [*lfp] if single else [*frames, *irregular]
    return _keep(recording, best, sources, [*repairs, said])


def list_channels(recording: Recording) -> list[Channel]:
    """Every LFP channel of a recording, with its place and whether it is marked as bad.

    Args:
        recording: The recording.
    """
    found = []
    for key, signal in recording.of("lfp").items():
        about = recording.metadata.get("electrodes", {}).get(key, {})
        split = list(split_channels(signal).items())
        locations, bad = list(about.get("locations", ())), list(about.get("bad", ()))
        for column, (label, one) in enumerate(split):
            whole = len(split) == 1 and len(signal.samples.shape) == 1
            named = key if whole else label if not label.isdigit() else f"{key}-{label}"
            location = str(locations[column]) if len(locations) == len(split) else ""
            marked = bool(bad[column]) if len(bad) == len(split) else False
            found.append(Channel(replace(one, name=named), key, column, label, location, marked))
    names = [channel.signal.name for channel in found]
    return [
        channel
        if names.count(channel.signal.name) == 1
        else replace(channel, signal=replace(channel.signal, name=f"{channel.source}/{channel.label}"))
        for channel in found
    ]


def measure_ripple_power(
    signal: Signal, *, species: str = "rat", hypnogram: Hypnogram | None = None
) -> Float[np.ndarray, " channel"]:
    """Power in the ripple band beyond its steady background, in V², of each channel; 0 where it cannot be measured.

    The background is what noise of the same median would have: mean(e²) − median(e²) / ln 2, with e the envelope.
    Samples at which the band above is large too are artefacts and left out.

    Args:
        signal: One channel or a frame, regularly sampled; only windows are read.
        species: Species whose band is measured; "rat" by default.
        hypnogram: Stages on the same clock: NREM sleep alone is read, where there is any.
    """
    low, high = BANDS.get(species, BANDS["rat"])
    n_channels = 1 if len(signal.samples.shape) == 1 else signal.samples.shape[1]
    if signal.times is not None or signal.rate < 2.1 * high:
        return np.zeros(n_channels)
    seconds = WINDOW if signal.rate <= HIGHEST_RATE else WINDOW / 4
    squared: list[list[np.ndarray]] = [[] for _ in range(-(-n_channels // BLOCK))]
    for start in _list_windows(signal, hypnogram, seconds):
        values = signal.read(start, start + seconds, dtype=np.float64).reshape(-1, n_channels)
        values = values - np.nanmean(values, axis=0) if np.isfinite(values).any() else values
        for block in range(len(squared)):
            part = values[:, block * BLOCK : (block + 1) * BLOCK]
            squared[block].append(_filter_window(part, signal.rate, low, high))
    return np.concatenate([_measure_excess(parts) for parts in squared])


def _measure_excess(parts: list[np.ndarray]) -> np.ndarray:
    """Mean of the squared envelope beyond the background, from windows in which artefacts are NaN."""
    joined = np.concatenate(parts)
    known = np.isfinite(joined).sum(axis=0) > 0.2 * len(joined)
    joined[:, ~known] = 0.0
    excess = np.nanmean(joined, axis=0) - np.nanmedian(joined, axis=0) / np.log(2)
    return np.maximum(excess, 0.0)


def _list_windows(signal: Signal, hypnogram: Hypnogram | None, seconds: float) -> list[float]:
    """Onsets of the windows: in NREM sleep where it is known, else all over the signal."""
    last = signal.end - seconds
    if last <= signal.start:
        return [signal.start]
    if hypnogram is not None:
        asleep = np.isin(np.array(hypnogram.labels), NREM_STAGES)
        onsets = hypnogram.onsets[asleep & (hypnogram.onsets >= signal.start) & (hypnogram.onsets <= last)]
        if len(onsets) >= N_WINDOWS // 3:
            return onsets[np.unique(np.linspace(0, len(onsets) - 1, N_WINDOWS).astype(int))].tolist()
    return np.linspace(signal.start, last, N_WINDOWS).tolist()


def _filter_window(values: Float[np.ndarray, "time channel"], rate: float, low: float, high: float) -> np.ndarray:
    """Squared envelope of the ripple band, NaN at artefacts and where samples are missing."""
    missing = ~np.isfinite(values)
    spectrum = np.fft.fft(np.where(missing, 0.0, values), axis=0)
    frequency = np.fft.fftfreq(len(values), 1 / rate)
    inside = (frequency >= low) & (frequency <= high)
    squared = np.abs(np.fft.ifft(np.where(inside[:, None], 2 * spectrum, 0), axis=0)) ** 2
    top = min(2 * high, 0.45 * rate)
    if top > 1.3 * high:
        above = (frequency >= 1.2 * high) & (frequency <= top)
        control = np.abs(np.fft.ifft(np.where(above[:, None], 2 * spectrum, 0), axis=0)) ** 2
        missing |= control > ARTEFACT * np.median(control, axis=0)
    return np.where(missing, np.nan, squared)


def _choose(channels: Sequence[Channel], recording: Recording) -> tuple[Channel, str]:
    """The channel to use, and why."""
    fast = [channel for channel in channels if channel.signal.rate >= 2.1 * BANDS[_species(recording)][1]]
    named = [channel for channel in fast or channels if channel.hippocampal]
    where = "the hippocampal one" if named else "the one"
    pool = named or fast or list(channels)
    slow = [channel for channel in pool if channel.signal.rate <= HIGHEST_RATE]
    pool = slow or pool
    unknown = "" if named else "; no location names the hippocampus"
    if len(pool) == 1:
        return pool[0], f"the only {'hippocampal ' if named else ''}one that can hold ripples{unknown}"
    powers = _measure_pool(pool, recording)
    if not powers.max() > 0:
        return pool[0], f"the first {'hippocampal ' if named else ''}one, as none shows ripples{unknown}"
    best = int(powers.argmax())
    return pool[best], f"{where} with most ripple power{unknown}"


def _measure_pool(pool: Sequence[Channel], recording: Recording) -> np.ndarray:
    powers = {}
    for source in dict.fromkeys(channel.source for channel in pool):
        signal = recording[source]
        powers[source] = measure_ripple_power(signal, species=_species(recording), hypnogram=recording.hypnogram)
    return np.array([powers[channel.source][channel.column] for channel in pool])


def _species(recording: Recording) -> str:
    return recording.species if recording.species in BANDS else "rat"


def _find_named(channels: Sequence[Channel], name: str) -> Channel:
    """The channel of a name or number."""
    wanted = name.strip().lower()
    keys = (
        lambda channel: channel.signal.name.lower(),
        lambda channel: f"{channel.source}-{channel.label}".lower(),
        lambda channel: channel.label.lower(),
        lambda channel: str(channel.column),
    )
    for key in keys:
        found = [channel for channel in channels if key(channel) == wanted]
        if len(found) == 1:
            return found[0]
    names = [channel.signal.name for channel in channels]
    listed = ", ".join(names[:12]) + (f" ... ({len(names)} in all)" if len(names) > 12 else "")
    raise SharpwaveError(
        f"--lfp with one of the channels {listed or '(there is no LFP)'}",
        got=repr(name),
        fix="give one of these names, or the number of the channel in the file",
    )


def _keep(recording: Recording, chosen: Channel, sources: Sequence[str], repairs: Sequence[str]) -> Recording:
    """The recording with one channel in place of some signals."""
    signals = {}
    for key, signal in recording.signals.items():
        if key == chosen.source:
            signals[chosen.signal.name] = lower_rate(chosen.signal)
        elif key not in sources:
            signals[key] = signal
    return replace(recording, signals=signals, repairs=(*recording.repairs, *repairs))


def _drop(recording: Recording, keys: Sequence[str], repairs: Sequence[str]) -> Recording:
    signals = {key: signal for key, signal in recording.signals.items() if key not in keys}
    return replace(recording, signals=signals, repairs=(*recording.repairs, *repairs))
