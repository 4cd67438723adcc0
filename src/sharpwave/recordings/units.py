"""Units in, SI out; and whether the numbers can be what the header says they are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import Modality
from sharpwave.recordings.recording import Signal

_VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "nV": 1e-9}

_SPELLINGS: dict[str, dict[str, tuple[float, float]]] = {
    "V": {
        **dict.fromkeys(("?v", "âµv", "ã‚âµv", "�v", "��v", "æv", "ìv"), (1e-6, 0.0)),
    },
    "degC": {
        **dict.fromkeys(("degc", "c", "°c", "â°c", "deg c", "celsius", "gradc", "�c"), (1.0, 0.0)),
        **dict.fromkeys(("degf", "f", "°f", "fahrenheit"), (5 / 9, -160 / 9)),
        **dict.fromkeys(("k", "kelvin"), (1.0, -273.15)),
    },
    "1/min": {
        **dict.fromkeys(
            ("bpm", "1/min", "/min", "beats/min", "b/min", "min-1", "tr/min", "beats per minute", "1/m"), (1.0, 0.0)
        ),
        "hz": (60.0, 0.0),
    },
    "%": dict.fromkeys(("%", "percent", "pct"), (1.0, 0.0)),
    "m": {
        "si": (1.0, 0.0),
        **dict.fromkeys(("micron", "microns"), (1e-6, 0.0)),
        **dict.fromkeys(("in", "inch", "inches", '"'), (0.0254, 0.0)),
        **dict.fromkeys(("ft", "foot", "feet"), (0.3048, 0.0)),
    },
}
"""SI unit → spelling (lower case) → (scale, offset); volts in words and multiples are read by `_VOLT`."""

_PREFIXES = {
    "": 1.0,
    **dict.fromkeys(("k", "kilo"), 1e3),
    **dict.fromkeys(("m", "milli", "mili"), 1e-3),
    **dict.fromkeys(("u", "µ", "μ", "micro", "mikro", "mc", "mic"), 1e-6),
    **dict.fromkeys(("n", "nano"), 1e-9),
    **dict.fromkeys(("p", "pico"), 1e-12),
}
_VOLT = re.compile(
    r"(?P<number>\d+(?:[.,]\d*)?(?:e[+-]?\d+)?)?[ *x×·]*"
    rf"(?P<prefix>{'|'.join(sorted(filter(None, _PREFIXES), key=len, reverse=True))}|)[ -]?"
    r"(?:volt(?:s|ios?)?|v|в)\.?"
    r"(?P<rest>[ _/(.-]*(?:bits?|lsb|counts?|digits?|samples?|units?|rms|eff|dc|ac"
    r"|p(?:ea)?k?[ -]?(?:to[ -]?)?p(?:ea)?k?|peak|pk)\)?)?"
)
"""The whole unit in lower case: a number, a prefix, "V" or "volt", and words that leave the numbers as they are."""

_METRE = re.compile(
    r"(?P<number>\d+(?:[.,]\d*)?)?[ *x×·]*(?P<prefix>[a-zµμ分厘毫微千]*?)[ -]?(?:met(?:er|re|ro)s?|m|(?<=c)ms|米|м)\.?"
)
"""As `_VOLT`, of lengths in several languages, without accents."""
_LENGTHS = _PREFIXES | {
    **dict.fromkeys(("d", "deci", "dezi", "分"), 1e-1),
    **dict.fromkeys(("c", "centi", "zenti", "厘"), 1e-2),
    **dict.fromkeys(("mili", "毫"), 1e-3),
    **dict.fromkeys(("mikro", "微"), 1e-6),
    **dict.fromkeys(("quilo", "千"), 1e3),
}

OLDEST = 120
"""Years; a greater age is a mistake."""

_FACTORS = (1e-6, 1e-3, 1e3, 1e6)


def convert_unit(unit: str, modality: Modality) -> tuple[float, float] | None:
    """Scale and offset from a unit as a header spells it to the modality's SI unit.

    Args:
        unit: Unit as the header writes it, in any spelling or broken encoding ("uV", "µV", "Î¼V", "?V", "MV" for mV).
        modality: Modality of the signal.

    Returns:
        (scale, offset) so that `value * scale + offset` is in `modality.unit`; None where the unit is of another kind.

    >>> from sharpwave.recordings.modality import MODALITIES
    >>> convert_unit("µV", MODALITIES["eeg"])
    (1e-06, 0.0)
    """
    read = interpret_unit(unit, modality)
    return None if read is None else read[:2]


def interpret_unit(unit: str, modality: Modality) -> tuple[float, float, str] | None:
    """As `convert_unit`, and what the unit was taken for where its words leave a doubt.

    Args:
        unit: Unit as the header writes it ("uVpp", "0.1uV", "u V", "uV/bit").
        modality: Modality of the signal.

    Returns:
        (scale, offset, doubt): the doubt is "" where the unit is a plain one, else what was made of it ("µV").

    >>> from sharpwave.recordings.modality import MODALITIES
    >>> interpret_unit("uVpp", MODALITIES["eeg"]), interpret_unit("LSB", MODALITIES["eeg"])
    ((1e-06, 0.0, '1 µV'), None)
    """
    if not modality.unit:
        return 1.0, 0.0, ""
    text = re.sub(r"\s+", " ", unicodedata.normalize("NFC", unit)).strip().strip("[](){}").strip()
    spellings = _SPELLINGS.get(modality.unit, {})
    for candidate in (text, _unscrambled(text)):
        if candidate.lower() in spellings:
            return *spellings[candidate.lower()], ""
        if modality.unit == "m" and (scale := _read_length(candidate)):
            return scale, 0.0, ""
        volts = _VOLT.fullmatch(candidate.lower()) if modality.unit == "V" else None
        if volts:
            number = float((volts["number"] or "1").replace(",", "."))
            scale = number * _PREFIXES[volts["prefix"]]
            plain = number == 1 and not volts["rest"]
            return (scale, 0.0, "" if plain else f"{scale * 1e6:g} µV") if scale > 0 else None
    if modality.unit == "V" and re.fullmatch(r"[^\x00-\x7f]{1,4}[vV]", text):
        return 1e-6, 0.0, ""
    return None


def _read_length(unit: str) -> float:
    """Metres in a unit of length; 0 where it is none."""
    apart = unicodedata.normalize("NFKD", re.sub(r"\(.*", "", unit).lower())
    found = _METRE.fullmatch("".join(letter for letter in apart if not unicodedata.combining(letter)).strip())
    if found is None:
        return 0.0
    return float((found["number"] or "1").replace(",", ".")) * _LENGTHS.get(found["prefix"], 0.0)


def read_age(age: object, *, source: str = "the file") -> tuple[float | None, str | None]:
    """An age in years, where it can be one.

    Args:
        age: Number of years, as a number or in words ("43", "43 years", "P43Y", "P90D", "18 months").
        source: Where it comes from, for the sentence.

    Returns:
        The age in years, or None; and a sentence where something was stated that cannot be an age.

    >>> read_age("P90D")[0], read_age(-62, source="the header")
    (0.2464, (None, 'the header gives an age of -62 years; it was left out'))
    """
    text = str(age).strip().lower()
    if age is None or isinstance(age, bool) or text in ("", "nan", "n/a", "na", "none", "x", "unknown", "?"):
        return None, None
    match = re.fullmatch(r"[p>~]?=?(?P<number>[+-]?\d+(?:[.,]\d*)?) *(?P<unit>y|m|w|d)?[a-z.+ ]*", text)
    if match is None:
        return None, f"{source} gives an age of {str(age)[:40]!r}, which is no number of years; it was left out"
    per_year = {"m": 12, "w": 52.18, "d": 365.2425}.get(match["unit"] or "y", 1)
    years = float(match["number"].replace(",", ".")) / per_year
    if not 0 <= years < OLDEST:
        return None, f"{source} gives an age of {years:g} years; it was left out"
    return (age if isinstance(age, int | float) else years if per_year == 1 else round(years, 4)), None


def compute_amplitude(signal: Signal, *, windows: int = 20, seconds: float = 5.0) -> float:
    """Robust amplitude: half the 5–95 % spread, over short windows spread through the recording.

    Args:
        signal: The signal, in memory or on disk; only the windows are read, and none in the gaps of a gridded one.
        windows: Number of windows.
        seconds: Length of each window in seconds.

    Returns:
        Amplitude in the modality's unit; NaN where nothing finite was read.
    """
    length = max(1, round(seconds * signal.rate))
    recorded = getattr(signal.samples, "recorded", signal.samples)
    starts = np.unique(np.linspace(0, max(0, len(recorded) - length), windows).astype(int))
    pieces = [np.asarray(recorded[low : low + length], dtype=np.float64) for low in starts]
    values = np.concatenate([piece.ravel() for piece in pieces]) if pieces else np.empty(0)
    values = values[np.isfinite(values)]
    if not values.size:
        return float("nan")
    low, high = np.percentile(values, [5, 95])
    return float((high - low) / 2 * abs(signal.scale))


def check_amplitude(signal: Signal, *, unit: str | None = None) -> tuple[Signal, str | None]:
    """Catch volts taken for microvolts (and the like) by the amplitude.

    Args:
        signal: Converted by what its header says, or as plain numbers where it says nothing.
        unit: Unit in the header; "" where it has none, so that a unit is chosen and declared; None where it is unknown.

    Returns:
        The signal and, if its unit had to be chosen, a sentence that says so.

    Raises:
        SharpwaveError: If the amplitude is implausible as it is, and plausible in another unit.
    """
    amplitude = compute_amplitude(signal)
    if signal.modality.unit != "V" or not np.isfinite(amplitude) or amplitude == 0:
        return signal, None
    low, high = signal.modality.amplitude
    if unit is not None and not unit.strip():
        return _with_chosen_unit(signal, amplitude)
    if low <= amplitude <= high:
        return signal, None
    if any(low <= amplitude * factor <= high for factor in _FACTORS):
        raise SharpwaveError(
            f"{signal.modality.name} of {low * 1e6:g} to {high * 1e6:g} µV (half its 5–95 % spread) in {signal.name!r}",
            got=f"{amplitude * 1e6:.3g} µV with the unit {unit or signal.modality.unit!r}, probably a unit mistake",
            fix="state the unit of the numbers, for example --unit uV (in Python unit='uV'); or correct the header",
        )
    return signal, None


def check_units(
    signals: Mapping[str, Signal], units: Mapping[str, str]
) -> tuple[dict[str, Signal], list[str], list[str]]:
    """Check the amplitudes of a whole recording: one bad lead is declared, a file in the wrong unit is refused.

    Args:
        signals: Signals by name.
        units: Unit in the header, by name.

    Returns:
        The signals (with a unit chosen where the header had none), sentences that declare it, and doubtful channels.

    Raises:
        SharpwaveError: If more than half of the channels of the main modality look like the same unit mistake.
    """
    checked: dict[str, Signal] = {}
    repairs: list[str] = []
    mistakes: dict[str, SharpwaveError] = {}
    for name, signal in signals.items():
        try:
            checked[name], repair = check_amplitude(signal, unit=units.get(name))
        except SharpwaveError as error:
            checked[name], repair = signal, None
            mistakes[name] = error
        repairs += [repair] if repair else []
    main = next((kind for kind in ("eeg", "lfp", "eog", "emg", "ecg") if _of(signals, kind)), None)
    judged = _of(signals, main) if main else []
    wrong = [name for name in judged if name in mistakes]
    if wrong and 2 * len(wrong) > len(judged):
        raise mistakes[wrong[0]]
    repairs += [f"{name}: {error.got}; kept as it is, and not used for staging" for name, error in mistakes.items()]
    return checked, repairs, list(mistakes)


def check_length(*, n_samples: int, rate: float, duration: float, name: str, tolerance: float = 0.01) -> None:
    """Catch a sampling rate that contradicts the length of the recording.

    Args:
        n_samples: Number of samples in the file.
        rate: Sampling rate that the header states, in Hz.
        duration: Length in seconds that is stated elsewhere (data records, a sidecar, a hypnogram).
        name: Name of the signal, for the message.
        tolerance: Largest relative difference that is allowed.

    Raises:
        SharpwaveError: If samples / rate and duration differ by more.
    """
    if not (np.isfinite(rate) and rate > 0 and np.isfinite(duration) and duration > 0):
        raise SharpwaveError(
            f"a positive rate and length for {name!r}", got=f"{rate:g} Hz, {duration:g} s", fix="check the header"
        )
    if abs(n_samples / rate - duration) > max(tolerance * duration, 1 / rate):
        raise SharpwaveError(
            f"{name!r} to last {duration:g} s, as the recording does",
            got=f"{n_samples} samples at {rate:g} Hz, which last {n_samples / rate:g} s",
            fix=f"check the sampling rate: {n_samples / duration:g} Hz would fit",
        )


def _with_chosen_unit(signal: Signal, amplitude: float) -> tuple[Signal, str | None]:
    low, high = signal.modality.amplitude
    typical = np.sqrt(low * high)
    fitting = {unit: factor for unit, factor in _VOLTS.items() if low <= amplitude * factor <= high}
    if not fitting:
        raise SharpwaveError(
            f"a unit for {signal.name!r}, which its header leaves empty",
            got=f"numbers of amplitude {amplitude:.3g}, which no unit from nV to V makes plausible",
            fix="state the unit of the numbers, for example --unit uV (in Python unit='uV')",
        )
    unit = min(fitting, key=lambda name: abs(np.log(amplitude * fitting[name] / typical)))
    factor = fitting[unit]
    repaired = replace(signal, scale=signal.scale * factor, offset=signal.offset * factor)
    return repaired, f"{signal.name}: the header has no unit; taken as {unit}, which makes its amplitude plausible"


def _of(signals: Mapping[str, Signal], modality: str) -> list[str]:
    return [name for name, signal in signals.items() if signal.modality.name == modality]


def _unscrambled(text: str) -> str:
    try:
        return unicodedata.normalize("NFC", text.encode("latin-1").decode("utf-8"))
    except UnicodeError:
        return text
