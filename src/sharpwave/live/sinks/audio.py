"""A loudspeaker: one stream opened once, and the cap on loudness enforced again in the samples themselves.

A stream that is opened for each sound starts tens of milliseconds late and never equally late. So one runs all night
and plays silence; a cue is copied into it. What the device says of the onset is used where it can be believed, and what
was calibrated otherwise. A mute switch or a volume knob that somebody turns is invisible from here: see the hazards.
"""

from __future__ import annotations

import datetime
import math
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.live.interlock import HARD_CAP
from sharpwave.live.sinks.sounds import (
    RATE,
    Calibration,
    make_pink,
    measure_rms,
    read_calibration,
    read_sound,
)

BLOCK = 240
"""Samples that the device takes at once: 5 ms."""
REFERENCE = 0.05
"""Root mean square of the noise by which a loudspeaker is measured, as a share of full scale."""


def load_sounddevice() -> Any:
    """The library for sound, or one clear sentence.

    Raises:
        SharpwaveError: If the library or the system's PortAudio is missing.
    """
    try:
        import sounddevice
    except ModuleNotFoundError:
        raise MissingExtraError("sounddevice", extra="live") from None
    except OSError:
        raise SharpwaveError(
            "the library PortAudio of the system",
            got="none",
            fix="install it (Debian: apt install libportaudio2; macOS and Windows: pip brings it)",
        ) from None
    return sounddevice


class AudioSink:
    """Cues through one stream that never closes.

    Args:
        sounds: Each cue's sound at `RATE`.
        calibration: What the level meter said.
        clock: Gives the loop time in seconds.
        device: Name or number of the device; None for the system's.
        library: What opens streams: `sounddevice`, or a stand-in in tests.

    Raises:
        SharpwaveError: If the device cannot be opened.
    """

    name, sounds = "audio", True

    def __init__(
        self,
        sounds: dict[str, np.ndarray],
        calibration: Calibration,
        *,
        clock: Callable[[], float],
        device: str | None = None,
        library: Any = None,
    ) -> None:
        library = library or load_sounddevice()
        self.latency, self._clock, self._calibration = calibration.latency, clock, calibration
        self._waves = sounds
        self._levels = {name: calibration.to_level(measure_rms(wave)) for name, wave in sounds.items()}
        self._playing: tuple[int, np.ndarray] | None = None
        self._position, self._sounding, self._underruns = 0, False, 0
        self._told: deque[tuple[int, float | None, str]] = deque(maxlen=100)
        try:
            self._stream = library.OutputStream(
                samplerate=RATE, blocksize=BLOCK, channels=1, dtype="float32", latency="low",
                device=int(device) if device and device.isdigit() else device, callback=self._fill,
            )  # fmt: skip
            self._stream.start()
        except Exception as error:
            raise SharpwaveError(
                f"a loudspeaker {device or 'of the system'}",
                got=str(error)[:200],
                fix="plug it in, or name it: audio:NAME",
            ) from error

    def play(self, trial: int, cue_ref: str, level_db: float, *, gain: float) -> float | None:
        """Copy a cue into the stream; `poll` tells when it began.

        Raises:
            SharpwaveError: If the stream has ended, the cue is unknown, or its samples would be louder than the cap.
        """
        if not self._stream.active:
            raise SharpwaveError("a loudspeaker that runs", got="a stream that ended", fix="plug it in, start again")
        if cue_ref not in self._waves or gain not in (0.0, 1.0):
            raise SharpwaveError("a cue of this night", got=repr(cue_ref), fix="restart with its sound")
        factor = 10 ** ((level_db - self._levels[cue_ref]) / 20)
        wave = np.asarray(self._waves[cue_ref] * np.float32(factor), np.float32)
        peak = float(np.abs(wave).max(initial=0.0))
        level = self._calibration.to_level(measure_rms(wave))
        if not math.isfinite(level) or level > HARD_CAP + 0.1 or peak > 1.0:
            raise SharpwaveError(
                f"samples of at most {HARD_CAP:g} dB(A) and of full scale",
                got=f"{level:.1f} dB(A), peak {peak:.2f}",
                fix="lower the level, or calibrate the loudspeaker louder",
            )
        self._position = 0
        self._playing = (trial, wave * np.float32(gain))
        return None

    def poll(self) -> list[tuple[int, float | None, str]]:
        """Cues that have begun since, and those that a device without a clock swallowed."""
        found = []
        while self._told:
            found.append(self._told.popleft())
        return found

    def silence(self) -> None:
        """Silence from the next block on: at most 5 ms and what the device holds."""
        self._playing = None

    def close(self) -> None:
        """Close the stream."""
        self._playing = None
        self._stream.abort()
        self._stream.close()

    def _fill(self, out: np.ndarray, frames: int, when: Any, status: Any) -> None:
        """The device wants samples. Nothing here waits, opens, or may raise."""
        out.fill(0)
        playing = self._playing
        if status:
            self._underruns += 1
        if playing is None:
            return
        trial, wave = playing
        if self._position == 0:
            self._told.append((trial, self._find_onset(when), ""))
        piece = wave[self._position : self._position + frames]
        out[: len(piece), 0] = piece
        self._position += frames
        if self._position >= len(wave):
            self._playing = None

    def _find_onset(self, when: Any) -> float:
        """Loop time at which this block is heard: as the device says where it can be believed, else as calibrated."""
        ahead = float(getattr(when, "outputBufferDacTime", 0.0)) - float(getattr(when, "currentTime", 0.0))
        believed = 0.0 < ahead < 0.5 and self._calibration.latency_from != "loopback"
        return self._clock() + (ahead if believed else self._calibration.latency)


def open_audio(
    *, clock: Callable[[], float], cues: dict[str, str], calibration: Path | None, device: str | None
) -> AudioSink:
    """The loudspeaker with the cues of a night.

    Args:
        clock: Gives the loop time in seconds.
        cues: File of each cue's sound, or `builtin:…`.
        calibration: Record of the loudspeaker.
        device: Name or number of the device; None for the system's.

    Raises:
        SharpwaveError: If a library, the device, the calibration or a sound is missing.
    """
    record = read_calibration(calibration, today=datetime.date.today())
    library = load_sounddevice()
    sounds = {name: read_sound(source) for name, source in cues.items()}
    return AudioSink(sounds, record, clock=clock, device=device, library=library)


def calibrate(
    path: Path, *, level_db: float | None = None, device: str | None = None, library: Any = None, ask: Any = input
) -> Calibration:
    """Measure a loudspeaker with a level meter at the place of the ear.

    Plays pink noise for ten seconds, asks what the meter shows, and writes the record. The delay is what the device
    declares; with a microphone at the loudspeaker it is recorded instead.

    Args:
        path: File of the record.
        level_db: What the meter shows, in dB(A); asked for where None.
        device: Name or number of the device; None for the system's.
        library: What opens streams; `sounddevice` by default.
        ask: How the operator is asked.

    Returns:
        The record.

    Raises:
        SharpwaveError: If there is no device, or what was typed is no level.
    """
    library = library or load_sounddevice()
    noise = make_pink(10.0, rng=np.random.default_rng(0))
    noise = np.asarray(noise * REFERENCE / np.sqrt(np.mean(noise**2)), np.float32)
    chosen: Any = int(device) if device and device.isdigit() else device
    try:
        library.play(noise, RATE, device=chosen, blocking=True)
        info = library.query_devices(chosen, "output")
        delays = _record_delays(library, chosen)
    except Exception as error:
        raise SharpwaveError("a loudspeaker", got=str(error)[:200], fix="plug it in, or name it") from error
    said = level_db if level_db is not None else ask("What does the meter show, in dB(A)? ")
    try:
        shown = float(said)
    except ValueError:
        raise SharpwaveError("a level in dB(A)", got=repr(said)[:40], fix="type a number such as 52.5") from None
    if not 20 <= shown <= 100:
        raise SharpwaveError("a level between 20 and 100 dB(A)", got=f"{shown:g}", fix="check the meter and its place")
    latency = float(np.median(delays)) if delays else float(info["default_low_output_latency"])
    record = Calibration(
        str(info["name"]), measure_rms(noise), shown, datetime.date.today().isoformat(), latency,
        float(np.std(delays)) if delays else 0.0, "loopback" if delays else "declared",
    )  # fmt: skip
    record.write(path)
    return record


def _record_delays(library: Any, device: Any, *, times: int = 20) -> list[float]:
    """Delays in seconds from a click that is played to the click that is recorded; none without a microphone."""
    click = np.zeros((RATE // 2, 1), np.float32)
    click[RATE // 10 : RATE // 10 + 48] = 0.3
    delays = []
    try:
        for _ in range(times):
            heard = np.abs(library.playrec(click, RATE, channels=1, blocking=True, device=device)[:, 0])
            if heard.max() > 8 * (np.median(heard) + 1e-6):
                delays.append(float(np.argmax(heard > 0.5 * heard.max()) - RATE // 10) / RATE)
    except Exception:  # no input device: the delay is then what the device declares
        return []
    return delays if len(delays) > times // 2 and all(0 <= one < 0.3 for one in delays) else []
