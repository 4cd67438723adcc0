"""The protocol of a night with cues: when a cue may be given, how loud, how often at most, and what ends the night.

A protocol is a TOML file of six tables. It is frozen once read, and its hash stands in every record of the audit.
It may be stricter than the limits of `live.bounds`, never laxer: no file and no option lifts them.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from sharpwave.errors import SharpwaveError
from sharpwave.live.bounds import check_protocol
from sharpwave.untrusted import explained

SHIPPED = ("up-state", "tmr", "sham")
"""Names of the protocols that ship."""
LARGEST = 1 << 18
"""Bytes of a protocol file that are taken."""


@dataclass(frozen=True)
class SignalPart:
    """What the amplifier delivers.

    Attributes:
        channels: Names of the channels, in the order in which the source delivers them; the first is cued by.
        eog: Name of the channel of eye movements that staging may use; empty where there is none.
        emg: Name of the channel of the chin; empty where there is none.
        rate: Samples a second.
        polarity: `positive` where the positive half of a slow oscillation is the up-state, as against the mastoid.
        limit_uv: Amplitude at which the amplifier saturates, in µV.
        mains: Frequency of the mains in Hz: 50 or 60.
        latency: Seconds from the brain to the loop and from the loop to the ear, together; filters look so far ahead.
        rate_tolerance: Share by which the measured rate may differ from `rate`.
        settle: Seconds that must be unbroken after a gap, a stall or a jump of a clock.
    """

    channels: tuple[str, ...] = ("C4-M1",)
    eog: str = ""
    emg: str = ""
    rate: float = 256.0
    polarity: str = "positive"
    limit_uv: float = 3000.0
    mains: float = 50.0
    latency: float = 0.05
    rate_tolerance: float = 0.005
    settle: float = 10.0


@dataclass(frozen=True)
class TargetPart:
    """The moment of a cue.

    Attributes:
        phase_deg: Phase of the slow oscillation at which the cue is heard, in degrees: 0 the peak, −45 the rise.
        amplitude_ratio: Least amplitude of the slow oscillation over its running mean.
        amplitude_least_uv: Least amplitude in µV.
        amplitude_most_uv: Largest amplitude in µV; above it is an artefact.
        lead_least: Least seconds between the decision and the onset: time to write the intent and to check again.
        lead_most: Most seconds between the decision and the onset.
        late_most: Seconds after the onset until which the cue may still be given.
        spindle: `any`, `absent` (no cue while a spindle is under way) or `present` (only then).
        ripple: The same for ripples.
    """

    phase_deg: float = -45.0
    amplitude_ratio: float = 1.0
    amplitude_least_uv: float = 15.0
    amplitude_most_uv: float = 300.0
    lead_least: float = 0.03
    lead_most: float = 0.15
    late_most: float = 0.02
    spindle: str = "any"
    ripple: str = "any"


@dataclass(frozen=True)
class SleepPart:
    """Which sleep, and how sure.

    Attributes:
        stages: Stages in which cues may be given: N2, N3 or both.
        probability: Least sum of the probabilities of these stages.
        stable: Seconds for which every stage result must have said so.
        age_most: Largest age of a stage result in seconds, counted from the last sample that it heard.
        wake_probability: Probability of wake above which the sleeper counts as awake.
        wake_lock: Seconds without a cue after waking.
    """

    stages: tuple[str, ...] = ("N2", "N3")
    probability: float = 0.8
    stable: float = 60.0
    age_most: float = 10.0
    wake_probability: float = 0.5
    wake_lock: float = 120.0


@dataclass(frozen=True)
class GuardPart:
    """What speaks against a cue at once, without waiting for the stager.

    Attributes:
        age_most: Largest age of the last sample in seconds.
        arousal_ratio: Power at 16 to 40 Hz over its running median from which an arousal is suspected.
        arousal_lock: Seconds without a cue after a suspected arousal.
        movement_ratio: Root mean square over its running median from which movement is suspected; locks as well.
        flat_share: Largest share of samples that repeat the one before.
        saturated_share: Largest share of samples at the limit of the amplifier.
        mains_ratio: Largest amplitude of the mains over that of the signal.
    """

    age_most: float = 0.25
    arousal_ratio: float = 3.0
    arousal_lock: float = 30.0
    movement_ratio: float = 4.0
    flat_share: float = 0.5
    saturated_share: float = 0.02
    mains_ratio: float = 1.0


@dataclass(frozen=True)
class LimitPart:
    """How loud, how often, how long.

    Attributes:
        level_db: Level of a cue in dB(A) at the ear, once the ramp has reached it.
        level_first_db: Level of the first cue.
        level_step_db: What ten cues without an arousal add; an arousal after a cue takes 5 dB off.
        level_most_db: Cap; the sink enforces it again.
        refractory: Least seconds from onset to onset.
        per_hour: Most trials in any hour.
        per_night: Most trials in the night.
        hours: Length of the night in hours, after which nothing is given.
        first_after: Seconds from the start before which nothing is given.
    """

    level_db: float = 40.0
    level_first_db: float = 35.0
    level_step_db: float = 1.0
    level_most_db: float = 55.0
    refractory: float = 6.0
    per_hour: int = 200
    per_night: int = 1000
    hours: float = 9.0
    first_after: float = 0.0


@dataclass(frozen=True)
class SchedulePart:
    """Which cue, how many of them are sham, and when the night ends itself.

    Attributes:
        cues: Names of the cues; each must be among those agreed to.
        order: `in turn` or `shuffled`, in rounds that hold each cue once.
        order_seed: Seed of the shuffled order; it says nothing about sham.
        sham_share: Share of trials that are sham: 0.5 for a randomised night, 1 for a night without sound.
        window: Seconds after an onset in which an arousal or waking counts as its consequence.
        arousals_of_ten: Most of the last ten trials that may be followed by an arousal, sound or sham.
        wakings_most: Most wakings that may follow a trial in a night.
        excess_p: Chance below which an excess of arousals after sound over sham ends the night.
    """

    cues: tuple[str, ...] = ("click",)
    order: str = "in turn"
    order_seed: int = 0
    sham_share: float = 0.5
    window: float = 15.0
    arousals_of_ten: int = 3
    wakings_most: int = 2
    excess_p: float = 0.01


@dataclass(frozen=True)
class Protocol:
    """Everything that was decided before the night.

    Attributes:
        name: Its name.
        signal: What the amplifier delivers.
        target: The moment of a cue.
        sleep: Which sleep, and how sure.
        guard: What speaks against a cue at once.
        limits: How loud, how often, how long.
        schedule: Which cue, how many sham, and when the night ends itself.

    Raises:
        SharpwaveError: If a value is not what it should be, or is laxer than `live.bounds.BOUNDS`.

    >>> Protocol("mine").limits.level_db
    40.0
    >>> Protocol("loud", limits=LimitPart(level_most_db=60.0))
    Traceback (most recent call last):
    ...
    sharpwave.errors.SharpwaveError: expected limits.level_most_db of at most 55; got 60.0. Fix: ...
    """

    name: str
    signal: SignalPart = field(default_factory=SignalPart)
    target: TargetPart = field(default_factory=TargetPart)
    sleep: SleepPart = field(default_factory=SleepPart)
    guard: GuardPart = field(default_factory=GuardPart)
    limits: LimitPart = field(default_factory=LimitPart)
    schedule: SchedulePart = field(default_factory=SchedulePart)

    def __post_init__(self) -> None:
        check_protocol(self)

    @property
    def hash(self) -> str:
        """SHA-256 of all its values, whatever the file looked like.

        >>> Protocol("mine").hash == Protocol("mine", limits=LimitPart(refractory=7.0)).hash
        False
        """
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def load_protocol(source: str | Path) -> Protocol:
    """A protocol that ships, by its name, or one of your own from a file.

    Args:
        source: A name among `SHIPPED`, or the path of a TOML file.

    Raises:
        SharpwaveError: If there is no such file, it is not TOML, holds an unknown name, or is laxer than allowed.

    >>> load_protocol("sham").schedule.sham_share
    1.0
    """
    if str(source) in SHIPPED:
        raw = (files("sharpwave.live") / "protocols" / f"{source}.toml").read_bytes()
    else:
        with explained("a protocol in TOML", name=str(source), fix=f"name a file, or one of {', '.join(SHIPPED)}"):
            with Path(source).open("rb") as file:
                raw = file.read(LARGEST + 1)
            if len(raw) > LARGEST:
                raise ValueError(f"more than {LARGEST} bytes")
    return parse_protocol(raw, name=str(source))


def parse_protocol(raw: bytes, *, name: str = "protocol") -> Protocol:
    """A protocol from the bytes of a TOML file.

    Args:
        raw: The bytes, UTF-8.
        name: The file, for messages.

    Raises:
        SharpwaveError: If it is not TOML, or a value is unknown, of another kind or laxer than allowed.

    >>> parse_protocol(b'name = "mine"\\n[limits]\\nrefractory = 8.0').limits.refractory
    8.0
    """
    with explained("a protocol in TOML", name=name, fix="compare it with one that ships"):
        table = tomllib.loads(raw.decode("utf-8"))
    return parse_table(table)


def parse_table(table: Any) -> Protocol:
    """A protocol from its tables, as TOML or the first record of an audit hold them.

    Args:
        table: Name and parts.

    Raises:
        SharpwaveError: If a value is unknown, of another kind or laxer than allowed.

    >>> from dataclasses import asdict
    >>> parse_table(asdict(Protocol("mine"))) == Protocol("mine")
    True
    """
    if not isinstance(table, dict):
        raise SharpwaveError("the tables of a protocol", got=type(table).__name__, fix="pass a mapping")
    kinds = {one.name: one for one in fields(Protocol)}
    _refuse_unknown(table, kinds, "protocol")
    if not isinstance(table.get("name"), str) or not table["name"].strip():
        raise SharpwaveError("a protocol with a name", got=repr(table.get("name")), fix='begin with name = "..."')
    parts: dict[str, Any] = {}
    for part, content in table.items():
        if part == "name":
            continue
        kind = _PARTS[part]
        if not isinstance(content, dict):
            raise SharpwaveError(f"[{part}] as a table", got=repr(content)[:80], fix=f"write [{part}]")
        default = kind()
        _refuse_unknown(content, {one.name: one for one in fields(kind)}, part)
        parts[part] = kind(
            **{key: _convert(f"{part}.{key}", value, getattr(default, key)) for key, value in content.items()}
        )
    return Protocol(table["name"].strip(), **parts)


_PARTS: dict[str, Any] = {
    "signal": SignalPart,
    "target": TargetPart,
    "sleep": SleepPart,
    "guard": GuardPart,
    "limits": LimitPart,
    "schedule": SchedulePart,
}


def _refuse_unknown(table: dict[str, Any], known: dict[str, Any], where: str) -> None:
    for key in table:
        if key not in known:
            raise SharpwaveError(f"in {where} one of {', '.join(known)}", got=repr(key)[:80], fix="correct its name")


def _convert(where: str, value: Any, default: Any) -> Any:
    """A value of the file in the kind of its default."""
    if isinstance(default, tuple) and isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if isinstance(default, float) and type(value) in (int, float):
        return float(value)
    if type(value) is type(default) and not isinstance(default, tuple):
        return value
    kind = "a list of texts" if isinstance(default, tuple) else f"a value such as {default!r}"
    raise SharpwaveError(f"for {where} {kind}", got=repr(value)[:80], fix="correct it")
