"""The interlock: what it lets through, whatever it is told, and what it does when nobody tells it anything."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharpwave.live.interlock import InterlockLimits, InterlockState, step_interlock
from sharpwave.live.interlock_process import DISTURBED, Keeper, Lines, Seal
from sharpwave.live.sinks.null import NullSink

LIMITS = InterlockLimits("secret", cues=("click", "bell"), level_db=45.0, per_hour=3, per_night=4)


def beat(number, at):
    return {"kind": "beat", "token": "secret", "number": number, "at": at}


def cue(trial=1, **changes):
    return {
        "kind": "cue", "token": "secret", "trial": trial, "cue_ref": "click", "level_db": 40.0, "onset": 0.1,
        "deadline": 0.12, **changes,
    }  # fmt: skip


class Bench:
    """An interlock with a clock of its own and a sink that remembers."""

    def __init__(self, limits=LIMITS, seal=None):
        self.now, self.beats = 0.0, 0
        self.sink = NullSink(clock=lambda: self.now)
        self.keeper = Keeper(limits, [self.sink], clock=lambda: self.now, seal=seal)

    def send(self, message):
        return self.keeper.step(message)

    def live_until(self, end):
        """Signs of life every 100 ms, as a loop gives them."""
        said = []
        while self.now < end:
            self.now = min(self.now + 0.1, end)
            self.beats += 1
            said += self.send(beat(self.beats, self.now))
        return said


@pytest.fixture
def bench():
    bench = Bench()
    bench.beats = 1
    bench.send(beat(1, 0.0))
    return bench


def test_a_cue_sounds_once_at_its_onset(bench):
    assert bench.send(cue()) == []
    assert bench.live_until(0.1) == [{"kind": "delivered", "trial": 1, "onset": pytest.approx(0.1)}]
    bench.live_until(2.0)
    assert [given[:4] for given in bench.sink.given] == [(1, "click", 40.0, 1.0)]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"level_db": 45.1}, "louder than allowed"),
        ({"level_db": math.nan}, "no numbers"),
        ({"level_db": "40"}, "no numbers"),
        ({"onset": math.inf}, "no numbers"),
        ({"trial": True}, "no numbers"),
        ({"trial": 0}, "trial was there before"),
        ({"cue_ref": "song"}, "cue that nobody agreed to"),
        ({"onset": 0.2}, "onset too late or too far ahead"),
        ({"onset": 9.0, "deadline": 9.1}, "onset too late or too far ahead"),
        ({"onset": -0.1, "deadline": 0.0}, "onset too late or too far ahead"),
    ],
)
def test_what_goes_beyond_a_limit_is_refused_with_its_reason(bench, changes, why):
    assert [record["why"] for record in bench.send(cue(**changes))] == [why]
    bench.live_until(10.0)
    assert bench.sink.given == []


def test_a_wrong_token_is_refused_but_for_a_stop(bench):
    assert bench.send(cue(token="guess"))[0]["why"] == "wrong token"
    assert bench.send({"kind": "stop", "token": "guess", "why": "Escape"})[0]["kind"] == "silent"


def test_no_limit_lifts_the_hard_cap():
    assert InterlockLimits("secret", cues=("click",), level_db=90.0).cap == 55.0


def test_a_stop_silences_and_lasts(bench):
    bench.send(cue())
    said = bench.send({"kind": "stop", "why": "Escape"})
    assert [record["kind"] for record in said] == ["silent", "failed"]
    bench.live_until(1.0)
    assert bench.send(cue(2, onset=1.1, deadline=1.12))[0]["why"] == "stopped"
    bench.live_until(2.0)
    assert bench.sink.given == []


def test_without_a_sign_of_life_nothing_sounds(bench):
    bench.send(cue(onset=0.6, deadline=0.62))
    bench.now = 0.6  # the loop stood still: its dead man was due at 0.5
    said = bench.send(None)
    assert [record["kind"] for record in said] == ["silent", "failed"]
    assert bench.sink.given == []
    assert bench.send(cue(2, onset=0.7, deadline=0.72))[0]["why"] == "no sign of life"


def test_old_signs_of_life_after_a_stall_count_for_nothing(bench):
    bench.now = 10.0
    bench.send(None)
    bench.send(beat(2, 0.2))  # written ten seconds ago, read now
    assert bench.keeper.state.dead
    bench.send(beat(3, 9.9))
    assert not bench.keeper.state.dead
    bench.now = 10.3
    bench.send(beat(3, 10.3))  # a number again: a loop that is stuck
    assert bench.keeper.state.beat_at == 10.0


def test_a_sound_under_way_ends_with_the_dead_man(bench):
    bench.sink.duration = 5.0
    bench.send(cue())
    bench.live_until(0.1)
    assert bench.sink.sounding
    bench.now = 0.7
    bench.send(None)
    assert not bench.sink.sounding


def test_rates_hold_whatever_the_loop_believes():
    limits = InterlockLimits("secret", cues=("click",), spacing=6.0, per_hour=3, per_night=4)
    bench = Bench(limits)
    bench.live_until(0.1)
    reasons = []
    for trial, onset in enumerate((1.0, 4.0, 7.0, 13.0, 20.0, 3700.0, 3710.0), start=1):
        bench.live_until(onset - 0.1)
        reasons += [record["why"] for record in bench.send(cue(trial, onset=onset, deadline=onset + 0.02))]
        bench.live_until(onset + 0.1)
    assert reasons == ["too soon after the last", "too many in this hour", "too many in this night"]
    assert [given[0] for given in bench.sink.given] == [1, 3, 4, 6]


def test_a_cue_that_comes_too_late_is_dropped(bench):
    bench.send(cue())
    bench.now = 0.121
    assert bench.send(None) == [{"kind": "failed", "trial": 1, "why": "too late"}]


def test_latency_is_given_away_ahead_and_counts_against_the_deadline():
    bench = Bench(InterlockLimits("secret", cues=("click",), latency=0.03))
    bench.live_until(0.01)
    bench.send(cue(onset=0.2, deadline=0.22))
    bench.now = 0.17
    bench.send(None)
    assert [given[0] for given in bench.sink.given] == [1]
    bench.live_until(10.0)
    bench.send(cue(2, onset=10.1, deadline=10.12))
    bench.now = 10.095  # would be heard at 10.125
    assert bench.send(None)[0]["why"] == "too late"


def test_a_sink_that_fails_is_said_and_silenced(bench):
    def fail(*given, **named):
        raise RuntimeError("unplugged")

    bench.sink.play = fail
    bench.send(cue())
    said = bench.live_until(0.1)
    assert said == [{"kind": "failed", "trial": 1, "why": "sink: unplugged"}]
    assert not bench.sink.sounding


def test_sham_takes_the_same_path_with_the_same_records():
    seal = Seal(bytes(32), share=0.5)
    bench = Bench(InterlockLimits("secret", cues=("click",)), seal)
    said = []
    for trial in range(1, 21):
        bench.live_until(10.0 * trial - 0.1)
        said += bench.send(cue(trial, onset=10.0 * trial, deadline=10.0 * trial + 0.02))
        said += bench.live_until(10.0 * trial + 0.1)
    gains = [given[3] for given in bench.sink.given]
    assert sorted(gains) == [0.0] * 10 + [1.0] * 10
    assert [record["trial"] for record in said] == list(range(1, 21))
    assert {tuple(record) for record in said} == {("kind", "trial", "onset")}
    late = [record["onset"] - 10.0 * record["trial"] for record in said]
    assert max(late) - min(late) < 1e-9


def test_sound_that_disturbs_more_than_silence_ends_the_night():
    seal = Seal(bytes(32), share=0.5)
    bench = Bench(InterlockLimits("secret", cues=("click",)), seal)
    bench.keeper.state = InterlockState(last_trial=40)
    stopped_at = None
    for trial in range(1, 41):
        disturbed = "arousal" if seal.draw_gain(trial) else "no"
        message = {"kind": "outcome", "token": "secret", "trial": trial, "onset": 1.0, "disturbed": disturbed}
        if any(record["kind"] == "silent" for record in bench.send(message)):
            stopped_at = stopped_at or trial
    assert stopped_at is not None
    assert stopped_at <= 20
    assert bench.keeper.state.stopped == DISTURBED


def test_outcomes_that_were_never_trials_are_refused():
    bench = Bench(seal=Seal(bytes(32), share=0.5))
    message = {"kind": "outcome", "token": "secret", "trial": 7, "onset": 1.0, "disturbed": "arousal"}
    assert bench.send(message)[0]["kind"] == "refused"


def test_a_line_without_end_is_refused():
    import socket

    from sharpwave.errors import SharpwaveError

    one, other = socket.socketpair()
    lines = Lines(one)
    other.setblocking(False)
    for _ in range(16):
        other.send(b"x" * 4000)
    with pytest.raises(SharpwaveError, match="a line that is too long"):
        lines.read()
    one.close()
    other.close()


numbers = st.one_of(st.floats(-1, 70), st.sampled_from([math.nan, math.inf, None, "40", True]))
messages = st.one_of(
    st.none(),
    st.fixed_dictionaries({"kind": st.just("beat"), "token": st.sampled_from(["secret", "x"]),
                           "number": st.integers(0, 200), "back": st.sampled_from([0.0, 0.0, 0.2, 3.0])}),
    st.fixed_dictionaries({"kind": st.just("cue"), "token": st.just("secret"), "trial": st.integers(0, 200),
                           "cue_ref": st.sampled_from(["click", "click", "song"]), "level_db": numbers,
                           "ahead": st.sampled_from([0.0, 0.05, 0.4, 7.0]), "width": st.sampled_from([0.02, 1.0])}),
    st.fixed_dictionaries({"kind": st.sampled_from(["cancel", "stop", "nonsense"]), "trial": st.integers(0, 200),
                           "token": st.sampled_from(["secret", "x"])}),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 4), messages), max_size=60))
def test_whatever_is_said_in_whatever_order_the_limits_hold(story):
    state, now, played, fresh, stopped = InterlockState(), 0.0, [], [], False
    for passed, message in story:
        now += passed
        if message is not None and message["kind"] == "beat":
            message = {**message, "at": now - message["back"]}
            if message["token"] == "secret" and message["back"] <= 0.5:
                fresh.append(now)
        elif message is not None and message["kind"] == "cue":
            message = {
                **message,
                "onset": now + message["ahead"],
                "deadline": now + message["ahead"] + message["width"],
            }
        actions, state = step_interlock(LIMITS, state, now=now, message=message)
        stopped = stopped or (message is not None and message["kind"] == "stop")
        for kind, content in actions:
            if kind == "play":
                assert not stopped
                assert content.level_db <= 45.0
                assert content.cue_ref in LIMITS.cues
                assert now <= content.deadline + 1e-6
                assert now >= content.onset - 1e-6
                assert fresh
                assert now - fresh[-1] <= 0.5 + 1e-9
                assert not played or now - played[-1] >= 6.0 - 1e-6
                played.append(now)
                assert len(played) <= 4
                assert sum(one > now - 3600 for one in played) <= 3
