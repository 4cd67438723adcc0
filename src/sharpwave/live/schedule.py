"""Which cue comes next, which trials are sham, and when sound disturbs the sleeper more than silence does.

The core knows the number of a trial and its cue, nothing else. Whether a trial sounds is drawn from a seed of 32 bytes
that the sink alone opens. Its seal, a hash, is written before the night, so that nobody chooses another afterwards.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from sharpwave.errors import SharpwaveError
from sharpwave.live.decision import Outcome
from sharpwave.live.protocol import Protocol, SchedulePart

SEED_BYTES = 32
BLOCK = 20
"""Trials in a block, in which the share of sham is kept."""


def seal_seed(seed: bytes, protocol: Protocol) -> str:
    """The seal of a seed, to be written before the night: it shows nothing of it, and fits no other seed or protocol.

    Args:
        seed: 32 bytes, drawn once a night (`secrets.token_bytes(32)`).
        protocol: Of the night.

    Raises:
        SharpwaveError: If the seed is of another length.

    >>> seal = seal_seed(bytes(32), Protocol("mine"))
    >>> len(seal), seal == seal_seed(bytes(31) + b"1", Protocol("mine"))
    (64, False)
    """
    if len(seed) != SEED_BYTES:
        raise SharpwaveError(f"a seed of {SEED_BYTES} bytes", got=f"{len(seed)}", fix="draw it by secrets.token_bytes")
    return hashlib.sha256(b"sharpwave seal 1\0" + seed + bytes.fromhex(protocol.hash)).hexdigest()


def open_seal(seed: bytes, protocol: Protocol, seal: str) -> bytes:
    """The seed, if it is the one that was sealed.

    Args:
        seed: The seed, 32 bytes.
        protocol: The protocol that it was sealed with.
        seal: The seal, as 64 hexadecimal digits.

    Raises:
        SharpwaveError: If it is not.

    >>> open_seal(bytes(32), Protocol("mine"), "0" * 64)
    Traceback (most recent call last):
    ...
    sharpwave.errors.SharpwaveError: expected the seed that was sealed before the night; got another seed or ...
    """
    if not hmac.compare_digest(seal_seed(seed, protocol), seal):
        raise SharpwaveError(
            "the seed that was sealed before the night",
            got="another seed or another protocol",
            fix="take seed and protocol of the same night",
        )
    return seed


def draw_condition(seed: bytes, schedule: SchedulePart, trial: int) -> Literal["cue", "sham"]:
    """Whether a trial sounds; only the sink may ask before the morning.

    Args:
        seed: Of the night.
        schedule: Of the protocol.
        trial: Its number, from 1.

    Returns:
        `cue` or `sham`. In each block of 20 trials the share of sham is that of the protocol, to a trial.

    >>> kinds = [draw_condition(bytes(32), SchedulePart(sham_share=0.5), trial) for trial in range(1, 41)]
    >>> kinds[:20].count("sham"), kinds[20:].count("sham")
    (10, 10)
    """
    if trial < 1:
        raise SharpwaveError("the number of a trial from 1", got=repr(trial), fix="count from 1")
    block, place = divmod(trial - 1, BLOCK)
    wanted = schedule.sham_share * BLOCK
    fraction = wanted - math.floor(wanted)
    extra = int.from_bytes(_draw(seed, b"share", block)[:8], "big") / 2**64 < fraction
    n_sham = math.floor(wanted) + extra
    order = sorted(range(BLOCK), key=lambda one: _draw(seed, b"trial", block * BLOCK + one))
    return "sham" if order.index(place) < n_sham else "cue"


def choose_cue(schedule: SchedulePart, trial: int) -> str:
    """Which cue a trial gives: each once a round.

    Args:
        schedule: Of the protocol.
        trial: Its number, from 1.

    >>> [choose_cue(SchedulePart(cues=("a", "b")), trial) for trial in (1, 2, 3)]
    ['a', 'b', 'a']
    """
    turn, place = divmod(trial - 1, len(schedule.cues))
    if schedule.order == "in turn":
        return schedule.cues[place]
    key = schedule.order_seed.to_bytes(8, "big")
    order = sorted(range(len(schedule.cues)), key=lambda one: _draw(key, b"cue", turn * len(schedule.cues) + one))
    return schedule.cues[order[place]]


def judge_night(outcomes: Sequence[Outcome], kinds: Mapping[int, str], *, excess_p: float) -> tuple[bool, float]:
    """Whether sound disturbs the sleeper more than silence: only where the seal may be opened, beside the sink.

    Args:
        outcomes: Of the trials of the night that were given.
        kinds: `cue` or `sham` of each trial.
        excess_p: Chance below which the night ends.

    Returns:
        Whether the night must end; and the chance of so many disturbed trials among those that sounded, if sound did
        nothing (Fisher's exact test, one side). It is asked after every trial and not corrected for that: ending too
        early costs trials, ending too late costs sleep.

    >>> trials = [Outcome(n, float(n), "arousal" if n % 2 else "no") for n in range(1, 21)]
    >>> judge_night(trials, {n: "cue" if n % 2 else "sham" for n in range(1, 21)}, excess_p=0.01)[0]
    True
    """
    sound = [one.disturbed != "no" for one in outcomes if kinds[one.trial] == "cue"]
    silent = [one.disturbed != "no" for one in outcomes if kinds[one.trial] == "sham"]
    n, hits, drawn, found = len(sound) + len(silent), sum(sound) + sum(silent), len(sound), sum(sound)
    if not sound or not silent:
        return False, 1.0
    ways = [math.comb(hits, k) * math.comb(n - hits, drawn - k) for k in range(found, min(hits, drawn) + 1)]
    chance = sum(ways) / math.comb(n, drawn)
    return chance < excess_p, chance


def _draw(key: bytes, what: bytes, number: int) -> bytes:
    return hmac.new(key, what + number.to_bytes(8, "big"), hashlib.sha256).digest()
