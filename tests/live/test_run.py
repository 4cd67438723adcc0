"""A whole simulated night: what was heard, what was written, and that both are the same story."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.live import gate
from sharpwave.live.night import LiveNight
from sharpwave.live.protocol import Protocol, load_protocol
from sharpwave.live.run import Plan, run_live, start_night
from sharpwave.live.schedule import draw_condition, open_seal
from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager
from sharpwave.live.verify import replay_log, verify_log

SEED = bytes(range(32))


def declare_polarity(monkeypatch):
    """Polarity takes minutes of N3 to be believed; these tests begin after it."""
    plain = gate.step_estimates

    def step(*given, **named):
        estimates, state = plain(*given, **named)
        return replace(estimates, polarity="as declared"), state

    monkeypatch.setattr(gate, "step_estimates", step)


def simulate(seed=0, *, minutes=4.2, protocol: Protocol | None = None, **options):
    protocol = protocol or load_protocol("up-state")
    source = SimulatedSource(
        protocol.signal.channels, rng=np.random.default_rng(seed), asleep_after=0.0, hours=minutes / 60, chunk=16,
        **options,
    )  # fmt: skip
    return protocol, source, SimulatedStager(source, rng=np.random.default_rng(seed + 1))


@dataclass
class Ran:
    folder: Path
    night: LiveNight
    source: SimulatedSource
    records: list[dict]

    @property
    def checkpoint(self) -> Path:
        return self.folder.with_name("night.checkpoint")


def read_records(folder: Path) -> list[dict]:
    return [json.loads(line)["record"] for line in (folder / "audit.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "night"
    with pytest.MonkeyPatch.context() as monkeypatch:
        declare_polarity(monkeypatch)
        protocol, source, stager = simulate()
        night = run_live(Plan(protocol, source, folder, stager, speed=float("inf"), arm=True, seed=SEED))
    return Ran(folder, night, source, read_records(folder))


def test_trials_are_intended_and_delivered(ran):
    kinds = [record["kind"] for record in ran.records]
    assert ran.night.counts["delivered"] >= 4
    assert kinds.count("delivered") == ran.night.counts["delivered"]
    assert kinds.count("release") == kinds.count("delivered") + kinds.count("failed")
    assert kinds.count("intent") == kinds.count("release") + kinds.count("cancel")
    assert kinds[-1] == "close"


def test_the_sleeper_hears_the_cues_and_no_sham(ran):
    schedule = ran.night.protocol.schedule
    delivered = [record for record in ran.records if record["kind"] == "delivered"]
    sounded = [record for record in delivered if draw_condition(SEED, schedule, record["trial"]) == "cue"]
    assert 0 < len(sounded) < len(delivered)
    assert [heard[0] for heard in ran.source.truth.heard] == [record["onset"] for record in sounded]


def test_no_record_tells_a_cue_from_a_sham(ran):
    schedule = ran.night.protocol.schedule
    forms: dict[str, set] = {"cue": set(), "sham": set()}
    for record in ran.records:
        if record["kind"] in ("intent", "release", "delivered"):
            shape = (record["kind"], *sorted(record), len(str(record.get("conditions", ""))) > 0)
            forms[draw_condition(SEED, schedule, record["trial"])].add(shape)
    assert forms["cue"] == forms["sham"]
    assert SEED.hex() not in (ran.folder / "audit.jsonl").read_text()


def test_cues_are_heard_on_the_rise(ran):
    degrees = np.degrees([heard[2] for heard in ran.source.truth.heard])
    off = (degrees + 45 + 180) % 360 - 180
    assert np.abs(off).mean() < 60  # a chance phase would be 90 away


def test_each_onset_is_when_it_was_intended(ran):
    wanted = {record["trial"]: record["onset"] for record in ran.records if record["kind"] == "intent"}
    for record in ran.records:
        if record["kind"] == "delivered":
            assert record["onset"] == pytest.approx(wanted[record["trial"]], abs=1e-6)
            taken = record["position"] / 256.0
            assert record["onset"] - 0.1 < taken < record["onset"] + 0.1


def test_the_log_verifies_and_every_decision_is_computed_again(ran, monkeypatch):
    declare_polarity(monkeypatch)
    verdict = verify_log(ran.folder, checkpoint=ran.checkpoint)
    assert verdict.problems == ()
    assert (verdict.pinned, verdict.closed, verdict.given) == (True, True, ran.night.counts["delivered"])
    replay = replay_log(ran.folder)
    assert (replay.differs, replay.left) == (None, 0)


def test_the_seal_is_that_of_the_seed(ran):
    seed = bytes.fromhex(json.loads((ran.folder / "sealed.json").read_text())["seed"])
    assert open_seal(seed, ran.night.protocol, ran.records[0]["seal"]) == SEED
    assert (ran.folder / "sealed.json").stat().st_mode & 0o077 == 0


def test_nothing_is_given_before_it_is_armed(tmp_path):
    protocol, source, stager = simulate(minutes=1.0)
    night = run_live(Plan(protocol, source, tmp_path / "night", stager, speed=float("inf")))
    assert night.counts["intended"] == 0
    assert night.decision is not None
    assert "armed" in night.decision.action.why


def test_a_source_that_differs_from_the_protocol_is_refused(tmp_path):
    _, source, stager = simulate()
    protocol = Protocol("other", signal=replace(load_protocol("up-state").signal, channels=("Fz",)))
    with pytest.raises(SharpwaveError, match="a source with the channels Fz"):
        start_night(Plan(protocol, source, tmp_path / "night", stager))


def test_what_reaches_a_person_needs_a_consent(tmp_path):
    protocol, source, stager = simulate()
    plan = Plan(protocol, source, tmp_path / "night", stager, sinks=("lsl",))
    with pytest.raises(SharpwaveError, match="a consent for lsl"):
        start_night(plan)
    with pytest.raises(SharpwaveError, match="armed by its operator"):
        start_night(replace(plan, arm=True))
    assert not (tmp_path / "night").exists()


def test_a_folder_with_a_log_is_never_written_on(ran):
    protocol, source, stager = simulate()
    with pytest.raises(SharpwaveError, match="a log is never written on"):
        start_night(Plan(protocol, source, ran.folder, stager))


def test_a_bad_protocol_is_seen_to_wake_the_sleeper():
    """The second world of the sleeper: soft and on the rise leaves him asleep, loud and fast does not."""
    arousals = {"good": 0, "bad": 0}
    for name, level, spacing, phase in (("good", 40.0, 8.0, -np.pi / 4), ("bad", 70.0, 2.0, 3 * np.pi / 4)):
        for seed in range(2):
            _, source, _ = simulate(seed, minutes=30.0)
            sleeper, at = source.sleeper, 0.0
            for _ in range(10 * 60 * 4):
                sleeper.make(64)
                at += 0.25
                due = not sleeper.truth.heard or at - sleeper.truth.heard[-1][0] >= spacing
                if due and abs((sleeper.find_phase(at) - phase + np.pi) % (2 * np.pi) - np.pi) < 0.5:
                    sleeper.hear(at, level)
            arousals[name] += sum(by_sound for _, by_sound in sleeper.truth.arousals)
    assert arousals["bad"] > 5 * max(arousals["good"], 1)
