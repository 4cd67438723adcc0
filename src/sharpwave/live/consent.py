"""What a participant agreed to, and its withdrawal.

`consent.json` holds a code in place of a name, what was agreed to item by item, each cue with the hash of its sound,
limits, an expiry, and a seal: the SHA-256 of all of that, to be written on the signed paper. A night that reaches a
person needs it, gives nothing that is not in it, and ends when it changes. The seal shows an edit; it is no signature.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sharpwave.disk import hash_path, read_start
from sharpwave.errors import SharpwaveError
from sharpwave.live.interlock import HARD_CAP
from sharpwave.live.protocol import Protocol
from sharpwave.outputs import write_file
from sharpwave.untrusted import explained, parse_json

ITEMS = (
    "cues while asleep",
    "some trials without a cue",
    "recording of signals",
    "events and hashes kept for an audit",
)
"""What must have been agreed to before a cue may sound."""
EXCLUSIONS = ("epilepsy", "hearing loss or tinnitus", "cues related to a trauma")
"""What must have been asked, and answered with no."""
VERSION = 1
LARGEST = 1 << 20
"""Bytes of a consent that are read."""
KEYS = frozenset(
    ("version", "participant", "text", "agreed", "excluded", "cues", "level_db", "per_night", "signed", "expires",
     "seal")
)  # fmt: skip
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_HASH = re.compile(r"[0-9a-f]{64}")
SIGNALS = ("inputs.bin", "night.zarr", "truth.json")
"""Files and folders of a night that hold signals or what was computed from each sample; a withdrawal deletes these."""
WITHDRAWN = "withdrawn.json"
BUILTIN = "builtin:"
"""What the sound of a cue begins with where no file holds it."""


@dataclass(frozen=True)
class Consent:
    """A consent that was read, checked and is in force.

    Attributes:
        participant: Code of the participant.
        cues: SHA-256 of each cue's sound, by its name.
        level_db: Loudest level agreed to, in dB(A).
        per_night: Most cues in a night agreed to.
        expires: Last day on which it holds.
        seal: SHA-256 of everything in it.

    >>> Consent("P-01", {"pink": "0" * 64}, 45.0, 300, datetime.date(2027, 1, 1), "0" * 64).level_db
    45.0
    """

    participant: str
    cues: Mapping[str, str]
    level_db: float
    per_night: int
    expires: datetime.date
    seal: str


def draft_consent(cues: Mapping[str, str], *, level_db: float = 40.0, per_night: int = 500) -> dict[str, Any]:
    """A form to be filled in with the participant: nothing in it is agreed to yet.

    Args:
        cues: Each cue's name, and the file of its sound or `builtin:…`.
        level_db: Loudest level to ask for, in dB(A).
        per_night: Most cues in a night to ask for.

    >>> form = draft_consent({"pink": "builtin:pink"})
    >>> form["agreed"]["cues while asleep"], form["participant"]
    (False, '')
    """
    return {
        "version": VERSION,
        "participant": "",
        "text": "which text was explained, and its date",
        "agreed": dict.fromkeys(ITEMS, False),
        "excluded": dict.fromkeys(EXCLUSIONS, False),
        "cues": {name: hash_sound(sound) for name, sound in cues.items()},
        "level_db": level_db,
        "per_night": per_night,
        "signed": "",
        "expires": "",
    }


def hash_sound(sound: str) -> str:
    """SHA-256 of a sound: of the file, or of the name of one that ships.

    >>> hash_sound("builtin:pink")[:8]
    'b76066dc'
    """
    if sound.startswith(BUILTIN):
        return hashlib.sha256(sound.encode()).hexdigest()
    with explained("the sound of a cue", name=Path(sound).name, fix="name a WAV file that is there"):
        return hash_path(sound)


def compute_seal(form: Mapping[str, Any]) -> str:
    """SHA-256 of everything in a consent but the seal itself, whatever its order and spaces.

    >>> compute_seal({"participant": "P-01"}) == compute_seal({"participant": "P-01", "seal": "x"})
    True
    """
    rest = {key: value for key, value in form.items() if key != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def seal_consent(path: Path) -> str:
    """Close a form that is filled in: check it and write its seal into it.

    Args:
        path: The form.

    Returns:
        The seal, to be written on the signed paper.

    Raises:
        SharpwaveError: If something in it is missing.
    """
    form = _read_form(path)
    form["seal"] = compute_seal(form)
    _check_form(form, name=path.name)
    write_file(path, json.dumps(form, indent=1) + "\n")
    return str(form["seal"])


def read_consent(path: Path, *, today: datetime.date) -> Consent:
    """A consent that holds today.

    Args:
        path: The file.
        today: Date of the night.

    Raises:
        SharpwaveError: If it is missing, broken, not filled in, edited after it was sealed, not signed yet or expired.

    >>> read_consent(Path("consent.json"), today=datetime.date(2026, 1, 31))
    Traceback (most recent call last):
    sharpwave.errors.SharpwaveError: expected ...
    """
    form = _read_form(path)
    _check_form(form, name=path.name)
    if form["seal"] != compute_seal(form):
        raise SharpwaveError(
            f"{path.name} as it was when it was sealed",
            got="something in it was changed since",
            fix="ask the participant again, then `sharpwave live --seal-consent FILE`",
        )
    signed, expires = (_read_day(form[name], name) for name in ("signed", "expires"))
    if not signed <= today <= expires:
        raise SharpwaveError(
            f"a consent in force on {today}",
            got=f"one from {signed} to {expires}",
            fix="ask the participant again; a consent has an end so that it is asked for anew",
        )
    cues = dict(form["cues"])
    return Consent(form["participant"], cues, float(form["level_db"]), form["per_night"], expires, form["seal"])


def check_agreed(consent: Consent, protocol: Protocol, sounds: Mapping[str, str]) -> None:
    """Refuse a protocol that goes beyond what was agreed to.

    Args:
        consent: What was agreed to.
        protocol: What is to be done.
        sounds: The file of each cue's sound, or `builtin:…`.

    Raises:
        SharpwaveError: If a cue is not among those agreed to, its sound is another, or a limit is passed.
    """
    for cue in protocol.schedule.cues:
        if cue not in consent.cues:
            raise SharpwaveError(
                "cues that the participant agreed to", got=repr(cue), fix="leave it out, or ask for a new consent"
            )
        if cue not in sounds or hash_sound(sounds[cue]) != consent.cues[cue]:
            raise SharpwaveError(
                f"the sound of {cue!r} that the participant agreed to",
                got="another" if cue in sounds else "none",
                fix="give the same file, or ask for a new consent",
            )
    for name, wanted, agreed in (
        ("level in dB(A)", protocol.limits.level_db, consent.level_db),
        ("number of cues in a night", protocol.limits.per_night, consent.per_night),
    ):
        if wanted > agreed:
            raise SharpwaveError(f"a {name} of at most {agreed:g}, as agreed", got=f"{wanted:g}", fix="lower it")


def withdraw(folder: Path, *, now: datetime.datetime) -> dict[str, str]:
    """Delete the signals of a night; the audit with its hashes stays, and says that it was withdrawn.

    Only files that a night of ours consists of are deleted, links are removed and never followed. What other programs
    made of them, and copies elsewhere, it cannot reach: delete these by hand.

    Args:
        folder: Folder of the night.
        now: When, for the note.

    Returns:
        SHA-256 of what was deleted, by name.

    Raises:
        SharpwaveError: If the folder holds no audit of a night.
    """
    if not (folder / "audit.jsonl").is_file():
        raise SharpwaveError(
            "the folder of a night, with its audit.jsonl", got=folder.name, fix="name the folder that the night wrote"
        )
    note = folder / WITHDRAWN
    gone: dict[str, str] = {}
    if note.is_file():
        with explained("an earlier note of withdrawal", name=note.name, fix="move it elsewhere, then withdraw again"):
            gone = dict(json.loads(note.read_bytes()[:LARGEST])["deleted"])
    present = [name for name in SIGNALS if os.path.lexists(folder / name)]
    for name in present:
        path = folder / name
        gone[name] = "a link" if path.is_symlink() else hash_path(path)
    content = {"at": now.isoformat(timespec="seconds"), "deleted": gone}
    write_file(note, json.dumps(content, indent=1) + "\n")  # first: what dies half way is run again, and says the same
    for name in present:
        _delete(folder / name)
    return gone


def _delete(path: Path) -> None:
    if not path.is_dir() or path.is_symlink():
        path.unlink()
        return
    for entry in os.scandir(path):
        _delete(Path(entry.path))
    path.rmdir()


def _read_form(path: Path) -> dict[str, Any]:
    with explained("a consent", name=path.name, fix="write one with `sharpwave live --seal-consent FILE`"):
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("no plain file")
        with path.open("rb") as file:
            raw = read_start(file, LARGEST + 1)
        if len(raw) > LARGEST:
            raise ValueError(f"more than {LARGEST} bytes")
        form = parse_json(raw, name=path.name)
        if not isinstance(form, dict):
            raise ValueError("no table of entries")
    unknown = sorted(set(map(str, form)) - KEYS)
    if unknown:
        raise SharpwaveError(
            f"in {path.name} only {', '.join(sorted(KEYS))}",
            got=", ".join(unknown)[:200],
            fix="take it out: a consent holds no names and no notes",
        )
    return form


def _check_form(form: Mapping[str, Any], *, name: str) -> None:
    def refuse(expected: str, got: Any, fix: str = "fill it in with the participant, then seal it") -> None:
        raise SharpwaveError(f"in {name} {expected}", got=repr(got)[:100], fix=fix)

    missing = sorted(KEYS - set(form))
    if missing:
        refuse("every entry of a consent", f"no {', '.join(missing)}")
    if form["version"] != VERSION:
        refuse(f"version {VERSION}", form["version"], "write a new form")
    if not isinstance(form["participant"], str) or not _CODE.fullmatch(form["participant"]):
        refuse("a code of letters, digits, - and _ in place of a name", form["participant"], "use a code, never a name")
    if not isinstance(form["text"], str) or not form["text"]:
        refuse("which text was explained", form["text"])
    for key, wanted in (("agreed", ITEMS), ("excluded", EXCLUSIONS)):
        table = form[key] if isinstance(form[key], dict) else {}
        for item in wanted:
            if table.get(item) is not True:
                refuse(f"{item!r} {key}", table.get(item), "ask; without it nothing may be given")
    cues = form["cues"]
    hashes = list(cues.values()) if isinstance(cues, dict) else []
    if not hashes or not all(isinstance(one, str) and _HASH.fullmatch(one) for one in hashes):
        refuse("the SHA-256 of the sound of each cue", cues, "write the form again with the cues of the protocol")
    if not _is_number(form["level_db"]) or not 0 < form["level_db"] <= HARD_CAP:
        refuse(f"level_db of at most {HARD_CAP:g}", form["level_db"], "lower it; no option lifts this limit")
    if not isinstance(form["per_night"], int) or isinstance(form["per_night"], bool) or form["per_night"] < 1:
        refuse("per_night as a whole number", form["per_night"])
    for key in ("signed", "expires"):
        _read_day(form[key], key)
    if not isinstance(form["seal"], str) or not _HASH.fullmatch(form["seal"]):
        refuse("a seal", form["seal"])


def _read_day(text: Any, name: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except (TypeError, ValueError):
        raise SharpwaveError(f"{name} as a day such as 2027-01-31", got=repr(text)[:60], fix="fill it in") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
