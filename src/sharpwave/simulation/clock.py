"""What a sleeper's next move depends on: age of the bout, place in the REM cycle, time of night."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

FEATURES = (
    "constant",
    "log_age",
    "log_age_over_4",
    "log_age_over_32",
    "before_sleep",
    "since_rem",
    "rem_episode_over",
    "nrem_since_rem",
    "nrem_since_rem_over_40",
    "nrem_since_rem_over_70",
    "no_rem_yet",
    "rem_in_episode",
    "hour",
    "hour_over_4",
    "dark",
)
"""log age of the bout (epochs, up to the oldest that the data show; hinges at 4 and 32 epochs; 0 before sleep), not
asleep yet (0/1), time since REM (h, at most 15 min; 0 before the first), 15 min without REM after some (0/1), NREM
sleep since REM or sleep onset (h, at most 1.5; hinges at 40 and 70 min), no REM yet (0/1), REM in the present episode
(h; over after 15 min without REM), hour of the recording (at most 12; hinge at 4), dark phase of the light cycle (0/1).
Counting NREM sleep instead of time since REM fits the experts' nights better."""

EPISODE_GAP = 15 * 60
"""A REM episode is over when REM has not come for so long, in seconds."""


@dataclass
class SleepClock:
    """Counts that a sleeper carries along, all in seconds.

    Attributes:
        rem: Code of REM.
        elapsed: Since the start of the recording.
        age: Since the bout began.
        asleep: Whether sleep has come yet.
        rem_seen: Whether REM has come yet.
        since_rem: Since the last REM, or since sleep onset.
        nrem: NREM sleep since then.
        rem_in_episode: REM in the present episode.
    """

    rem: int
    elapsed: float = 0.0
    age: float = 0.0
    asleep: bool = False
    rem_seen: bool = False
    since_rem: float = 0.0
    nrem: float = 0.0
    rem_in_episode: float = 0.0

    def advance(self, stage: int, seconds: float = 1.0) -> None:
        """Live through some time of one stage; whoever changes the stage sets `age` to 0."""
        self.elapsed += seconds
        self.age += seconds
        if stage == self.rem:
            self.asleep = self.rem_seen = True
            self.since_rem = self.nrem = 0.0
            self.rem_in_episode += seconds
            return
        self.asleep = self.asleep or stage > 0
        if self.asleep:
            self.since_rem += seconds
        if stage > 0:
            self.nrem += seconds
        if self.since_rem > EPISODE_GAP:
            self.rem_in_episode = 0.0

    def compute_features(self, epoch_length: float, *, oldest: float) -> tuple[float, ...]:
        """The values of `FEATURES` now, with the age in epochs of that length (s), at most `oldest` of them."""
        log_age = log(min(max(self.age / epoch_length, 1.0), oldest)) if self.asleep else 0.0
        nrem, hour = min(self.nrem / 3600, 1.5), self.elapsed / 3600
        return (
            1.0,
            log_age,
            max(0.0, log_age - log(4)),
            max(0.0, log_age - log(32)),
            float(not self.asleep),
            min(self.since_rem, EPISODE_GAP) / 3600 if self.rem_seen else 0.0,
            float(self.rem_seen and self.since_rem >= EPISODE_GAP),
            nrem,
            max(0.0, nrem - 40 / 60),
            max(0.0, nrem - 70 / 60),
            float(not self.rem_seen),
            self.rem_in_episode / 3600,
            min(hour, 12.0),
            max(0.0, min(hour, 12.0) - 4.0),
            float(hour % 24 >= 12),
        )
