"""A protocol is read whole or refused, and no file makes it laxer than the limits of safety."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.live.bounds import BOUNDS
from sharpwave.live.protocol import SHIPPED, LimitPart, Protocol, load_protocol, parse_protocol

PARTS = ("signal", "target", "sleep", "guard", "limits", "schedule")


def test_every_number_of_a_protocol_is_bounded() -> None:
    protocol = Protocol("any")
    numbers = {
        f"{part}.{one.name}"
        for part in PARTS
        for one in fields(getattr(protocol, part))
        if type(getattr(getattr(protocol, part), one.name)) in (int, float)
    }
    assert numbers - {"signal.mains"} == set(BOUNDS)


@pytest.mark.parametrize("where", BOUNDS)
def test_beyond_a_bound_is_refused(where: str) -> None:
    part, name = where.split(".")
    low, high = BOUNDS[where]
    for value in (low - 1, high * 1.01 + 1, float("nan")):
        table = replace(getattr(Protocol("any"), part), **{name: value})
        with pytest.raises(SharpwaveError, match=where.replace(".", r"\.")):
            Protocol("lax", **{part: table})


@pytest.mark.parametrize("name", SHIPPED)
def test_those_that_ship_load_and_differ(name: str) -> None:
    assert load_protocol(name).name == name
    assert len({load_protocol(one).hash for one in SHIPPED}) == len(SHIPPED)


def test_hash_is_of_values_and_not_of_the_file() -> None:
    plain = parse_protocol(b'name = "a"\n[limits]\nrefractory = 8')
    other = parse_protocol(b'# words\nname = "a"\n\n[limits]\nrefractory = 8.0\n')
    assert plain.hash == other.hash
    assert plain.hash == Protocol("a", limits=LimitPart(refractory=8.0)).hash
    assert plain.hash != parse_protocol(b'name = "a"\n[limits]\nrefractory = 8.5').hash


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"name = ", "a protocol in TOML"),
        (b"\xff\xfe", "a protocol in TOML"),
        (b"[limits]", "with a name"),
        (b'name = "a"\nlimits = 3', "as a table"),
        (b'name = "a"\n[limit]\nrefractory = 8', "correct its name"),
        (b'name = "a"\n[limits]\nrefactory = 8', "correct its name"),
        (b'name = "a"\n[limits]\nrefractory = "8"', "limits.refractory"),
        (b'name = "a"\n[limits]\nper_hour = true', "limits.per_hour"),
        (b'name = "a"\n[limits]\nlevel_most_db = 56', "at most 55"),
        (b'name = "a"\n[limits]\nlevel_db = 50\nlevel_most_db = 45', "at most limits.level_most_db"),
        (b'name = "a"\n[sleep]\nstages = ["R"]', "N2, N3 or both"),
        (b'name = "a"\n[schedule]\ncues = []', "different names"),
        (b'name = "a"\n[schedule]\ncues = ["x", "x"]', "different names"),
        (b'name = "a"\n[target]\nspindle = "maybe"', "any, absent, present"),
        (b'name = "a"\n[signal]\neog = "EOG"', "among signal.channels"),
    ],
)
def test_what_is_no_protocol_is_refused_in_words(text: bytes, said: str) -> None:
    with pytest.raises(SharpwaveError, match=said):
        parse_protocol(text)


def test_a_missing_file_and_a_huge_one(tmp_path) -> None:
    with pytest.raises(SharpwaveError, match="a protocol in TOML"):
        load_protocol(tmp_path / "none.toml")
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * (1 << 19))
    with pytest.raises(SharpwaveError, match="more than"):
        load_protocol(huge)
