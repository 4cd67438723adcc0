"""A sleeper that answers sounds in the signal: evoked slow waves, arousals, wakings, by phase, depth, level and pace.

Made second by second, one second ahead of what is handed out, so that a sound at this moment changes what comes next.
Spectra, slow oscillations and spindles are those of `sharpwave.simulation`. How strongly it answers is a setting with
round numbers, not a finding: it exists so that a protocol that disturbs is seen to disturb.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from sharpwave.simulation.polysomnography import AMPLIFIER_FLOOR, BACKGROUND, SLOW_LEVEL
from sharpwave.simulation.species import get_species
from sharpwave.simulation.waveforms import (
    add_at,
    compute_spectrum,
    make_blink,
    make_saccade,
    make_slow_oscillation,
    make_spindle,
)

W, N1, N2, N3, R, AROUSED = range(6)
LOOK = 1
"""Seconds that are made before they are handed out."""
KEPT = 8
"""Seconds of signal that are kept in memory."""
CYCLE = 5400.0
"""Length of a cycle of NREM and REM sleep, in seconds."""
TONE = (16.0, 7.5, 5.0, 4.0, 1.8, 18.0)
"""Muscle tone by stage and in arousal, in µV (root mean square)."""
BEST_PHASE = -math.pi / 4
"""Phase of the slow oscillation at which a sound evokes the largest wave and disturbs least, in radians."""


@dataclass(frozen=True)
class Response:
    """How a sleeper answers a sound.

    Attributes:
        evoked_uv: Trough of the slow wave that 40 dB(A) evoke in N3 at the best phase, in µV.
        arousal: Probability that 40 dB(A) arouse from N3 at the best phase.
        per_db: By how much each dB(A) raises the log odds of an arousal.
        off_phase: By how much the worst phase raises them.
        lighter: By how much W, N1, N2, N3 and REM raise them.
        haste: By how much a sound within three seconds of the one before raises them.
        wakings: Share of arousals that end in wake.

    >>> Response().arousal
    0.004
    """

    evoked_uv: float = 45.0
    arousal: float = 0.004
    per_db: float = 0.16
    off_phase: float = 1.6
    lighter: tuple[float, ...] = (0.0, 2.5, 1.0, 0.0, 2.0)
    haste: float = 1.2
    wakings: float = 0.3

    def compute_arousal(self, level_db: float, *, stage: int, phase: float, since_last: float) -> float:
        """Probability that a sound arouses.

        Args:
            level_db: Its level in dB(A).
            stage: Code of the stage, 0 to 4 for W, N1, N2, N3, R.
            phase: Phase of the slow oscillation in radians; 0 is the positive peak.
            since_last: Time since the sound before, in seconds.

        >>> round(Response().compute_arousal(70.0, stage=2, phase=np.pi, since_last=9.0), 1)
        0.8
        """
        odds = math.log(self.arousal / (1 - self.arousal)) + self.per_db * (level_db - 40.0) + self.lighter[stage]
        odds += self.off_phase * (1 - math.cos(phase - BEST_PHASE)) / 2 + (self.haste if since_last < 3.0 else 0.0)
        return 1 / (1 + math.exp(-odds))


@dataclass
class Truth:
    """What was really there, for tests and for the page of a simulated night; the loop never sees it.

    Attributes:
        stages: Code of the stage in each second; 0 to 4 for W, N1, N2, N3, R.
        arousals: Second in which each arousal began, and whether a sound brought it.
        wakings: Second in which each waking by an arousal began.
        heard: Time, level in dB(A) and phase in radians of each sound.
    """

    stages: list[int] = field(default_factory=list)
    arousals: list[tuple[int, bool]] = field(default_factory=list)
    wakings: list[int] = field(default_factory=list)
    heard: list[tuple[float, float, float]] = field(default_factory=list)


class Sleeper:
    """A simulated human whose signals are made step by step.

    Args:
        kinds: What each channel is: `eeg`, `eog` or `emg`.
        rng: Random generator; the same seed and the same sounds give the same night.
        rate: Sampling rate in Hz.
        asleep_after: Time until N1, in seconds; 0 starts in N2.
        response: How it answers sounds.

    >>> sleeper = Sleeper(("eeg",), rng=np.random.default_rng(0), asleep_after=0.0)
    >>> sleeper.make(8).shape
    (8, 1)
    """

    def __init__(
        self,
        kinds: tuple[str, ...],
        *,
        rng: np.random.Generator,
        rate: float = 256.0,
        asleep_after: float = 300.0,
        response: Response | None = None,
    ) -> None:
        self.kinds, self.rate, self.response, self.truth = kinds, rate, response or Response(), Truth()
        self._stage_rng, self._event_rng, self._noise_rng, self._answer_rng = rng.spawn(4)
        self._n = round(rate)
        self._stage, self._left = (W, asleep_after) if asleep_after > 0 else (N2, 90.0)
        self._second, self._handed = 0, 0
        self._depth, self._train, self._next_wave, self._aroused, self._share = -7.0, 0.0, 0.5, 0, np.zeros(6)
        self._share[self._stage] = 1.0
        self._buffer = np.zeros((len(kinds), KEPT * self._n), np.float32)
        self._slow = np.zeros(KEPT * self._n, np.float32)
        self._last_sound = -math.inf
        self._prepare_noise()
        for _ in range(LOOK + 1):
            self._make_second()

    def make(self, n: int) -> Float32[np.ndarray, "sample channel"]:
        """The next samples, in volts, shape (sample, channel); at most a second of them."""
        while (self._second - LOOK) * self._n < self._handed + n:
            self._make_second()
        first = self._handed - self._start()
        self._handed += n
        return np.ascontiguousarray(1e-6 * self._buffer[:, first : first + n].T, dtype=np.float32)

    def hear(self, at: float, level_db: float) -> bool:
        """A sound reaches the sleeper.

        Args:
            at: When, in seconds since the first sample; what has been handed out already does not change.
            level_db: Its level in dB(A).

        Returns:
            Whether it arouses.
        """
        phase, stage = self.find_phase(at), self._stage_at(at)
        self.truth.heard.append((at, level_db, phase))
        since, self._last_sound = at - self._last_sound, at
        if stage in (N2, N3) and self._aroused == 0:
            gain = (0.55 + 0.45 * math.cos(phase - BEST_PHASE)) * (1.0 if stage == N3 else 0.7)
            gain *= 1 / (1 + math.exp(-(level_db - 34.0) / 3.0))
            for delay in (0.3, 0.3 + 1.1):
                size = self.response.evoked_uv * gain * self._answer_rng.lognormal(0, 0.25)
                self._add_slow(at + delay, 1.1, size)
                gain *= 0.6
        draw = self._answer_rng.random()
        odds = self.response.compute_arousal(level_db, stage=stage, phase=phase, since_last=since)
        if stage == W or draw >= odds:
            return False
        self._arouse(by_sound=True)
        return True

    def find_phase(self, at: float) -> float:
        """Phase of the slow oscillation, in radians, 0 at the positive peak; from both sides, as only truth can be."""
        where = round(at * self.rate) - self._start()
        low, high = max(where - 3 * self._n, 0), min(where + self._n, self._end() - self._start())
        if not low <= where < high:
            return math.pi
        piece = self._slow[low:high] - self._slow[low:high].mean()
        spectrum, f = np.fft.fft(piece, 8 * self._n), np.fft.fftfreq(8 * self._n, 1 / self.rate)
        spectrum[(f < 0.5) | (f > 2.0)] = 0.0
        return float(np.angle(np.fft.ifft(spectrum)[where - low]))

    def _start(self) -> int:
        return self._second * self._n - KEPT * self._n

    def _end(self) -> int:
        return self._second * self._n

    def _stage_at(self, at: float) -> int:
        return self.truth.stages[min(max(int(at), 0), len(self.truth.stages) - 1)]

    def _arouse(self, *, by_sound: bool) -> None:
        self._aroused = int(self._answer_rng.integers(4, 13))
        self.truth.arousals.append((self._second, by_sound))
        if self._answer_rng.random() < self.response.wakings * (1.0 if by_sound else 0.3):
            self.truth.wakings.append(self._second)
            self._stage, self._left = W, float(self._answer_rng.uniform(60, 240))

    def _make_second(self) -> None:
        """One second more: stage, depth and events first, then the signals."""
        self._move_stage()
        rng, stage = self._event_rng, self._stage
        arousals = get_species("human").arousal_rate[stage] / 3600
        if rng.random() < arousals and self._aroused == 0:
            self._arouse(by_sound=False)
        state = AROUSED if self._aroused and stage != W else self._stage
        target = get_species("human").depth[self._stage]
        self._depth += (target - self._depth) / 30.0 + rng.normal(0, 0.15)
        before, self._share = self._share, 0.5 * self._share + 0.5 * np.eye(6)[state]
        self._buffer = np.roll(self._buffer, -self._n, axis=1)
        self._slow = np.roll(self._slow, -self._n)
        self._buffer[:, -self._n :], self._slow[-self._n :] = self._tail[:, : self._n], self._slow_tail[: self._n]
        for tail in (self._tail, self._slow_tail):
            tail[..., : -self._n] = tail[..., self._n :].copy()
            tail[..., -self._n :] = 0.0
        self._second += 1
        self.truth.stages.append(self._stage)
        self._add_noise(before, state)
        self._draw_waves(state)
        self._move_eyes(state)
        self._aroused = max(self._aroused - 1, 0)

    def _move_stage(self) -> None:
        self._left -= 1.0
        if self._left > 0:
            return
        rng, cycle = self._stage_rng, (self._second % CYCLE) / CYCLE
        late = min(self._second / 25000.0, 1.0)
        odds = {
            W: {N1: 1.0},
            N1: {N2: 0.9, W: 0.1},
            N2: {N3: 0.8 - 0.5 * late, W: 0.05, N1: 0.05, R: 0.02} if cycle < 0.75 else {R: 0.85, W: 0.1, N1: 0.05},
            N3: {N2: 0.95, W: 0.05},
            R: {N2: 0.6, N1: 0.25, W: 0.15},
        }[self._stage]
        minutes = {W: 2.0, N1: 2.0, N2: 8.0, N3: 18.0 - 10.0 * late, R: 8.0 + 12.0 * late}
        self._stage = int(rng.choice(list(odds), p=np.array(list(odds.values())) / sum(odds.values())))
        self._left = 60.0 * minutes[self._stage] * rng.gamma(4.0, 0.25)

    def _prepare_noise(self) -> None:
        size = 5 * self._n
        f = np.fft.rfftfreq(size, 1 / self.rate)
        spectra = [compute_spectrum(f, **parameters, floor=AMPLIFIER_FLOOR) for parameters in BACKGROUND["human"]]
        slow = SLOW_LEVEL["human"] / (1 + (f / 1.6) ** 4) * f**2 / (f**2 + 0.4**2)
        muscle = (f / 25) ** 2 / (1 + (f / 25) ** 2) / (1 + (f / 70) ** 4)
        muscle = muscle / (muscle.sum() * (f[1] - f[0]))
        self._gains = [np.sqrt(power * self.rate / 2) for power in (*spectra, slow, muscle)]
        streams = len(self.kinds) + 2
        self._white = self._noise_rng.standard_normal((streams, size), dtype=np.float32)
        self._tail = np.zeros((len(self.kinds), 4 * self._n), np.float32)
        self._slow_tail = np.zeros(4 * self._n, np.float32)
        self._weights = [np.zeros(len(f)) for _ in range(2)]

    def _shape(self, white: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """The newest second of noise, its spectrum moving from one to another; the middle one of five counts."""
        spectrum, middle, ramp = np.fft.rfft(white), slice(2 * self._n, 3 * self._n), np.linspace(0, 1, self._n)
        one, other = (np.fft.irfft(spectrum * gain, 5 * self._n)[middle] for gain in (before, after))
        return np.asarray((1 - ramp) * one + ramp * other, dtype=np.float32)

    def _add_noise(self, before: np.ndarray, state: int) -> None:
        self._white = np.roll(self._white, -self._n, axis=1)
        self._white[:, -self._n :] = self._noise_rng.standard_normal((len(self._white), self._n), dtype=np.float32)
        back, ahead = (sum(math.sqrt(s) * g for s, g in zip(share, self._gains[:6], strict=True))
                       for share in (before, self._share))  # fmt: skip
        waves = 10 ** (self._depth / 20) * (0.5 if state == AROUSED else 1.0)
        slow_before, self._slow_gain = getattr(self, "_slow_gain", waves), waves
        slow = self._shape(self._white[1], slow_before * self._gains[6], waves * self._gains[6])
        self._slow[-self._n :] += slow
        tone_before, tone = (float(np.dot(share, TONE)) for share in (before, self._share))
        for index, kind in enumerate(self.kinds):
            own = self._white[index + 2]
            mixed = 0.8 * self._white[0] + 0.6 * own if kind != "emg" else own
            if kind == "emg":
                made = self._shape(mixed, tone_before * self._gains[7], tone * self._gains[7])
            else:
                made = (1.0 if kind == "eeg" else 0.55) * (self._shape(mixed, back, ahead) + slow)
            self._buffer[index, -self._n :] += made

    def _draw_waves(self, state: int) -> None:
        """Slow oscillations in trains and spindles, as the architecture of a simulated night has them."""
        rng = self._event_rng
        self._train += -0.2 * self._train + rng.normal(0, 0.6)
        end = float(self._second)
        while self._next_wave < end:
            at, self._next_wave = self._next_wave, self._next_wave + rng.lognormal(math.log(1.29), 0.17)
            wanted = 0.06 + 0.85 / (1 + math.exp(-(self._depth - 5.0) / 1.8))
            rank = 0.5 * (1 + math.erf(self._train / math.sqrt(2)))
            size = 58.0 * 10 ** ((self._depth - 8.5) / 40) * rng.lognormal(0, 0.3)
            if state in (N2, N3) and rank < wanted:
                self._add_slow(max(at, end - 1.0), float(np.clip(rng.lognormal(math.log(1.08), 0.14), 0.7, 1.6)), size)
        rate = get_species("human").spindle_rate[self._stage] / 60 if state != AROUSED else 0.0
        if rng.random() < rate:
            duration, frequency = float(np.clip(rng.lognormal(math.log(0.75), 0.28), 0.5, 2.0)), rng.normal(13.5, 0.6)
            phase = rng.uniform(0, 2 * math.pi)
            wave = make_spindle(duration, frequency=frequency, chirp=-0.6, phase=phase, rate=self.rate)
            self._add("eeg", end - 1.0 + rng.random(), rng.lognormal(math.log(24.0), 0.35) * wave)

    def _move_eyes(self, state: int) -> None:
        rng, at = self._event_rng, float(self._second) - 1.0 + self._event_rng.random()
        chance = {W: 0.45, N1: 0.16, R: 0.25}.get(state, 0.0)
        if rng.random() >= chance:
            return
        if state == W and rng.random() < 0.4:
            wave = 110.0 * rng.lognormal(0, 0.4) * make_blink(0.35, rate=self.rate)
            self._add("eog", at, wave)
            self._add("eeg", at, 0.08 * wave)
        elif state == N1:
            self._add("eog", at, 60.0 * np.sin(np.linspace(0, 2 * math.pi, round(2.5 * self.rate))))
        else:
            size = 75.0 * rng.lognormal(0, 0.4) * rng.choice([-1.0, 1.0])
            self._add("eog", at, size * make_saccade(0.06, decay=0.6, rate=self.rate), flip=True)

    def _add_slow(self, at: float, duration: float, size: float) -> None:
        wave = np.asarray(size * make_slow_oscillation(duration, rate=self.rate), np.float32)
        self._put(self._slow, self._slow_tail, at, wave)
        for index, kind in enumerate(self.kinds):
            if kind != "emg":
                self._put(self._buffer[index], self._tail[index], at, (1.0 if kind == "eeg" else 0.55) * wave)

    def _add(self, kind: str, at: float, wave: np.ndarray, *, flip: bool = False) -> None:
        for number, index in enumerate(i for i, one in enumerate(self.kinds) if one == kind):
            sign = -1.0 if flip and number % 2 else 1.0
            self._put(self._buffer[index], self._tail[index], at, sign * wave)

    def _put(self, made: np.ndarray, tail: np.ndarray, at: float, wave: np.ndarray) -> None:
        """Add a wave to what is made and to what is not made yet, never to what was handed out."""
        first = round(at * self.rate)
        wave = np.asarray(wave, np.float32)
        skip = max(self._handed - first, 0)
        add_at(made, wave[skip:], first + skip - self._start())
        add_at(tail, wave[skip:], first + skip - self._end())
