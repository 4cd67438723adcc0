"""Sounds of cues: read, made, and how loud they are in dB(A) by what a level meter said of the loudspeaker."""

from __future__ import annotations

import datetime
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from sharpwave.disk import read_start
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import write_file
from sharpwave.untrusted import explained, parse_json

RATE = 48_000
"""Samples a second of every sound."""
LONGEST = 10.0
"""Longest sound that is taken, in seconds."""
WINDOW = 0.05
"""Length of the loudest piece by which a sound is judged, in seconds: shorter than a meter's, so never too lenient."""
OLDEST = 90
"""Days after which a loudspeaker must be measured again."""
KINDS = ("click",)
"""Sounds that ship: `builtin:click` is 50 ms of pink noise."""


@dataclass(frozen=True)
class Calibration:
    """What a level meter at the place of the ear said of a loudspeaker.

    Attributes:
        device: Name of the device.
        rms: A-weighted root mean square of the reference sound, as a share of full scale.
        level_db: What the meter showed, in dB(A).
        day: When, such as 2027-01-31.
        latency: Time from asking for a sound to hearing it, in seconds.
        latency_sd: Its standard deviation, in seconds.
        latency_from: `loopback` where it was recorded again, `declared` where the device said so.

    >>> calibration = Calibration("speaker", rms=0.01, level_db=60.0, day="2027-01-31")
    >>> round(calibration.to_level(0.001))
    40
    """

    device: str
    rms: float
    level_db: float
    day: str
    latency: float = 0.0
    latency_sd: float = 0.0
    latency_from: str = "declared"

    def to_level(self, rms: float) -> float:
        """Level in dB(A) of a sound with this A-weighted root mean square."""
        return self.level_db + 20 * math.log10(rms / self.rms) if rms > 0 else -math.inf

    def write(self, path: Path) -> Path:
        """As JSON."""
        return write_file(path, json.dumps(asdict(self), indent=1) + "\n")


def read_calibration(path: Path | None, *, today: datetime.date) -> Calibration:
    """The record of a loudspeaker.

    Args:
        path: File of `sharpwave live --calibrate-sink`.
        today: Today; a record older than `OLDEST` days is refused.

    Raises:
        SharpwaveError: If there is none, it is broken, impossible or old.
    """
    fix = "measure the loudspeaker: `sharpwave live --calibrate-sink FILE`"
    if path is None:
        raise SharpwaveError("the calibration of the loudspeaker", got="none", fix=fix)
    with explained("the calibration of a loudspeaker", name=path.name, fix=fix):
        with path.open("rb") as file:
            table = parse_json(read_start(file, 1 << 16), name=path.name)
        found = Calibration(**table)
        numbers = (found.rms, found.level_db, found.latency, found.latency_sd)
        if not all(isinstance(one, int | float) and math.isfinite(one) for one in numbers):
            raise ValueError("values that are no numbers")
        if not (0 < found.rms < 1 and 20 <= found.level_db <= 100 and 0 <= found.latency <= 0.3):
            raise ValueError("values that no loudspeaker has")
        age = (today - datetime.date.fromisoformat(found.day)).days
    if not 0 <= age <= OLDEST:
        raise SharpwaveError(f"a calibration of the last {OLDEST} days", got=f"one of {found.day}", fix=fix)
    return found


def measure_rms(wave: Float32[np.ndarray, " sample"]) -> float:
    """A-weighted root mean square of the loudest `WINDOW` of a sound, as a share of full scale.

    Args:
        wave: The sound at `RATE`.

    >>> t = np.arange(RATE) / RATE
    >>> round(measure_rms(np.sin(2 * np.pi * 1000 * t).astype(np.float32)), 2)  # 1 kHz has no weight
    0.71
    >>> round(20 * np.log10(measure_rms(np.sin(2 * np.pi * 100 * t).astype(np.float32)) / 0.7071))
    -19
    """
    size = 1 << max(int(len(wave) + 0.1 * RATE - 1).bit_length(), 1)
    f2 = np.fft.rfftfreq(size, 1 / RATE) ** 2
    weight = (
        12194.0**2 * f2**2 / ((f2 + 20.6**2) * np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)) * (f2 + 12194.0**2))
    )  # IEC 61672-1, without its phase
    power = np.fft.irfft(np.fft.rfft(wave, size) * weight * 10 ** (2.0 / 20), size) ** 2
    window = round(WINDOW * RATE)
    sums = np.concatenate([[0.0], np.cumsum(power)])
    return float(np.sqrt(max(np.max(sums[window:] - sums[:-window]) / window, 0.0)))


def make_sound(kind: str) -> Float32[np.ndarray, " sample"]:
    """A sound that ships.

    Args:
        kind: One of `KINDS`.

    Raises:
        SharpwaveError: If there is none of that name.
    """
    if kind not in KINDS:
        raise SharpwaveError(
            f"a sound that ships ({', '.join(KINDS)}), or a WAV file of your own",
            got=repr(kind),
            fix="put NAME.wav for each cue into a folder and name it with --cues",
        )
    return make_pink(0.05, rng=np.random.default_rng(1))


def make_pink(duration: float, *, rng: np.random.Generator) -> Float32[np.ndarray, " sample"]:
    """Pink noise from 100 Hz to 8 kHz with ramps of 5 ms, largest value 0.5.

    Args:
        duration: Length in seconds.
        rng: Random generator.
    """
    n = round(duration * RATE)
    f = np.fft.rfftfreq(n, 1 / RATE)
    shape = np.where((f >= 100) & (f <= 8000), 1 / np.sqrt(np.maximum(f, 1.0)), 0.0)
    wave = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * shape, n)
    return _ramp(0.5 * wave / np.abs(wave).max())


def read_sound(source: str) -> Float32[np.ndarray, " sample"]:
    """A sound as one channel at `RATE`.

    Args:
        source: A WAV file, or `builtin:` and one of `KINDS`.

    Raises:
        SharpwaveError: If it is no WAV file, empty, or longer than `LONGEST`.
    """
    if source.startswith("builtin:"):
        return make_sound(source.removeprefix("builtin:"))
    path = Path(source)
    with explained("a WAV file with the sound of a cue", name=path.name, fix="save it as 16-bit WAV, at most 10 s"):
        from scipy.io import wavfile
        from scipy.signal import resample_poly

        if path.stat().st_size > LONGEST * 192_000 * 2 * 4:
            raise ValueError(f"longer than {LONGEST:g} s")
        rate, samples = wavfile.read(path)
        if samples.size == 0 or not 8000 <= rate <= 192_000 or len(samples) > LONGEST * rate:
            raise ValueError(f"{len(samples)} samples at {rate} Hz")
        if samples.dtype.kind == "i":
            samples = samples / float(np.iinfo(samples.dtype).max)
        elif samples.dtype.kind == "u":
            samples = samples / 128.0 - 1.0
        samples = np.asarray(samples, float).reshape(len(samples), -1).mean(axis=1)
        if not np.isfinite(samples).all():
            raise ValueError("values that are no numbers")
        common = math.gcd(RATE, int(rate))
        return _ramp(resample_poly(samples, RATE // common, rate // common))


def _ramp(wave: np.ndarray) -> Float32[np.ndarray, " sample"]:
    """The sound without a jump at either end."""
    n = min(round(0.005 * RATE), len(wave) // 2)
    ramp = np.sin(0.5 * np.pi * np.arange(n) / max(n, 1)) ** 2
    shaped = np.array(wave, dtype=np.float32)
    shaped[:n] *= ramp
    shaped[len(shaped) - n :] *= ramp[::-1]
    return shaped
