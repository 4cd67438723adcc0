from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpwave.errors import SharpwaveError
from sharpwave.live.hub import ALONE, HOLD_SECONDS, LONGEST_HOLD, Hub, Visit


def make_hub(mode: str = "disarmed", *, attended: bool = False) -> tuple[Hub, list[str]]:
    asked: list[str] = []
    hub = Hub(asked.append, attended=attended)
    hub.take({"view": {"mode": mode}}, now=0.0)
    return hub, asked


def hold(hub: Hub, visit: Visit, name: str, seconds: float, *, start: float = 0.0) -> dict[str, object]:
    hub.hear(f'{{"begin": "{name}"}}', visit, now=start)
    hub.take({"view": hub.view}, now=start + seconds)
    return hub.hear(f'{{"command": "{name}"}}', visit, now=start + seconds)


def test_a_held_button_arms() -> None:
    hub, asked = make_hub()
    assert hold(hub, Visit(), "arm", HOLD_SECONDS + 0.1) == {"heard": "arm"}
    assert asked == ["arm"]


@pytest.mark.parametrize("seconds", [0.0, 0.5, HOLD_SECONDS - 0.01, LONGEST_HOLD + 0.1])
def test_a_click_and_a_forgotten_finger_arm_nothing(seconds: float) -> None:
    hub, asked = make_hub()
    assert hold(hub, Visit(), "arm", seconds)["refused"] == "arm"
    assert asked == []


def test_a_command_without_a_held_button_arms_nothing_however_often_it_comes() -> None:
    hub, asked = make_hub()
    visit = Visit()
    for moment in range(20):
        hub.take({"view": {"mode": "disarmed"}}, now=float(moment))
        assert "refused" in hub.hear('{"command": "arm"}', visit, now=float(moment))
    assert asked == []


def test_one_page_cannot_begin_what_another_ends() -> None:
    hub, asked = make_hub()
    hub.hear('{"begin": "arm"}', Visit(), now=0.0)
    hub.take({"view": {"mode": "disarmed"}}, now=3.0)
    assert "refused" in hub.hear('{"command": "arm"}', Visit(), now=3.0)
    assert asked == []


@pytest.mark.parametrize("between", ['{"release": "arm"}', '{"command": "pause"}', '{"command": "stop"}'])
def test_letting_go_starts_the_count_anew(between: str) -> None:
    hub, asked = make_hub()
    visit = Visit()
    hub.hear('{"begin": "arm"}', visit, now=0.0)
    hub.hear(between, visit, now=1.0)
    hub.take({"view": {"mode": "disarmed"}}, now=3.0)
    assert "refused" in hub.hear('{"command": "arm"}', visit, now=3.0)
    assert "arm" not in asked


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *(("arm", mode) for mode in ("armed", "paused", "stopped", "ended")),
        *(("resume", mode) for mode in ("disarmed", "stopped", "ended")),
    ],
)
def test_a_night_starts_only_from_where_it_may(name: str, mode: str) -> None:
    hub, asked = make_hub(mode)
    assert mode in str(hold(hub, Visit(), name, 3.0)["why"])
    assert asked == []


def test_holding_arm_does_not_resume() -> None:
    hub, asked = make_hub("paused")
    visit = Visit()
    hub.hear('{"begin": "arm"}', visit, now=0.0)
    hub.take({"view": {"mode": "paused"}}, now=3.0)
    assert "refused" in hub.hear('{"command": "resume"}', visit, now=3.0)
    assert hold(hub, visit, "resume", 3.0, start=4.0) == {"heard": "resume"}
    assert asked == ["resume"]


def test_nothing_is_armed_while_the_loop_is_silent_or_gone() -> None:
    hub, asked = make_hub()
    visit = Visit()
    hub.hear('{"begin": "arm"}', visit, now=0.0)
    assert hub.hear('{"command": "arm"}', visit, now=3.0)["why"] == "the loop does not answer"
    hub.hear('{"begin": "arm"}', visit, now=3.0)
    hub.take({"view": {"mode": "disarmed"}}, now=6.0)
    hub.lose()
    assert hub.hear('{"command": "arm"}', visit, now=6.0)["why"] == "the loop does not answer"
    assert asked == []


@pytest.mark.parametrize("mode", ["disarmed", "armed", "paused", "stopped", "ended"])
def test_stop_always_goes_through(mode: str) -> None:
    hub, asked = make_hub(mode)
    hub.lose()
    assert hub.hear('{"command": "stop"}', Visit(), now=99.0) == {"heard": "stop"}
    assert asked == ["stop"]


@pytest.mark.parametrize(
    "said",
    [
        *("", "stop", "[]", "{}", '{"command": "fire"}', '{"command": ["stop"]}', '{"begin": "stop"}'),
        *('{"unblind": "all"}', '{"command": "stop", "begin": "arm"}', "[" * 5000, '{"command": 1e999}', b"\xff\xfe"),
    ],
)
def test_anything_else_is_turned_away(said: str | bytes) -> None:
    hub, asked = make_hub()
    with pytest.raises(SharpwaveError):
        hub.hear(said, Visit(), now=1.0)
    assert asked == []


MESSAGES = ['{"begin": "arm"}', '{"release": "arm"}', '{"command": "arm"}', '{"begin": "resume"}']
MESSAGES += ['{"command": "resume"}', '{"command": "pause"}']


@given(st.lists(st.tuples(st.sampled_from(MESSAGES), st.floats(0.01, 4.0)), max_size=40))
def test_no_order_of_messages_arms_without_two_held_seconds(said: list[tuple[str, float]]) -> None:
    hub, asked = make_hub()
    visit, now, begun = Visit(), 0.0, None
    for text, pause in said:
        now += pause
        hub.take({"view": {"mode": "disarmed"}}, now=now)
        before = len(asked)
        hub.hear(text, visit, now=now)
        if asked[before:] == ["arm"]:
            assert begun is not None
            assert HOLD_SECONDS <= now - begun <= LONGEST_HOLD
        assert "resume" not in asked
        begun = now if text == MESSAGES[0] else None


def test_a_page_is_told_only_what_it_has_not_seen() -> None:
    hub, _ = make_hub()
    early, late = Visit(), Visit()
    hub.take({"signal": [[float(n), 0.0, 1.0] for n in range(5)]}, now=0.1)
    assert len(hub.tell(early, now=0.1)["signal"]) == 5
    hub.take({"signal": [[5.0, 0.0, 1.0]], "slow": [[5.0, 2.0]]}, now=0.2)
    told = hub.tell(early, now=0.2)
    assert (told["signal"], told["slow"]) == ([[5.0, 0.0, 1.0]], [[5.0, 2.0]])
    assert len(hub.tell(late, now=0.2)["signal"]) == 6
    assert hub.tell(early, now=1.4) == {**told, "signal": [], "slow": [], "silent": 1.2}


def test_signal_of_a_minute_is_kept_and_no_more() -> None:
    hub, _ = make_hub()
    for number in range(100):
        hub.take({"signal": [[float(number), 0.0, 1.0]] * 100}, now=0.0)
    assert len(hub.tell(Visit(), now=0.0)["signal"]) == 1920


def test_an_attended_night_stops_when_its_last_page_has_closed() -> None:
    hub, asked = make_hub("armed", attended=True)
    hub.watch(now=100.0)
    assert asked == []
    hub.open_page()
    hub.open_page()
    hub.close_page(now=101.0)
    hub.watch(now=110.0)
    assert asked == []
    hub.close_page(now=111.0)
    hub.watch(now=111.0 + ALONE - 0.1)
    assert asked == []
    hub.watch(now=111.0 + ALONE)
    hub.watch(now=120.0)
    assert asked == ["stop"]


def test_a_page_that_is_loaded_again_does_not_stop_an_attended_night() -> None:
    hub, asked = make_hub("armed", attended=True)
    hub.open_page()
    hub.close_page(now=1.0)
    hub.open_page()
    hub.watch(now=60.0)
    assert asked == []


def test_a_night_at_home_goes_on_without_a_page() -> None:
    hub, asked = make_hub("armed")
    hub.open_page()
    hub.close_page(now=1.0)
    hub.watch(now=60.0)
    assert asked == []
