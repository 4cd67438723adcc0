"""A whole simulated night: what was heard, what was written, and that both are the same story."""

from __future__ import annotations

import datetime
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave import live
from sharpwave.errors import SharpwaveError
from sharpwave.live import gate
from sharpwave.live.consent import EXCLUSIONS, ITEMS, draft_consent, read_consent, seal_consent
from sharpwave.live.morning import write_morning
from sharpwave.live.night import LiveNight
from sharpwave.live.protocol import Protocol, load_protocol
from sharpwave.live.run import Plan, check_unchanged, run_live, run_started, start_night
from sharpwave.live.schedule import draw_condition, open_seal
from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager
from sharpwave.live.verify import replay_log, verify_log
from sharpwave.night.options import find_randomised, read_cues
from sharpwave.recordings import open_store

SEED, RATE = bytes(range(32)), 256.0


def declare_polarity(monkeypatch):
    """Polarity takes minutes of N3 to be believed; these tests begin after it."""
    plain = gate.step_estimates

    def step(*given, **named):
        estimates, state = plain(*given, **named)
        return replace(estimates, polarity="as declared"), state

    monkeypatch.setattr(gate, "step_estimates", step)


def simulate(seed=0, *, minutes=4.2, protocol: Protocol | None = None, **options):
    plain = load_protocol("up-state")
    target = replace(plain.target, lead_most=0.15)  # these chunks are of 94 ms
    protocol = protocol or replace(plain, signal=replace(plain.signal, rate=RATE), target=target)
    source = SimulatedSource(
        protocol.signal.channels, rng=np.random.default_rng(seed), asleep_after=0.0, hours=minutes / 60, chunk=24,
        rate=RATE,
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
            taken = record["position"] / RATE
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


def test_the_morning_writes_what_decode_reads(ran):
    morning = write_morning(ran.folder, checkpoint=ran.checkpoint)
    assert (morning.problems, morning.repairs) == ((), ())
    assert morning.trials == ran.night.counts["delivered"]
    cues = read_cues(ran.folder / "cues.tsv")
    randomised = find_randomised(cues)
    assert set(randomised["condition"]) == {"cue", "sham"}
    assert morning.cues == (randomised["condition"] == "cue").sum() == len(ran.source.truth.heard)
    heard = [onset for onset, *_ in ran.source.truth.heard]
    assert randomised.loc[randomised["condition"] == "cue", "onset"].tolist() == pytest.approx(heard, abs=0.05)
    recording = open_store(ran.folder / "night.zarr")
    signal = recording.signals["C4-M1"]
    assert signal.duration == pytest.approx(4.2 * 60)
    events = pd.read_csv(ran.folder / "events.tsv", sep="\t")
    sidecar = json.loads((ran.folder / "events.json").read_text())
    assert set(events.columns) <= set(sidecar)
    assert sidecar["StimulationTrigger"]["ProtocolHash"] == ran.night.protocol.hash


def test_a_seed_that_was_not_the_sealed_one_opens_nothing(ran, tmp_path):
    folder = tmp_path / "night"
    shutil.copytree(ran.folder, folder)
    (folder / "sealed.json").write_text(json.dumps({"seed": "11" * 32}))
    with pytest.raises(SharpwaveError, match="the seed that was sealed before the night"):
        write_morning(folder)


class Amplifier(SimulatedSource):
    """A simulated sleeper who comes in real time, so that the night needs a process of its own as its interlock."""

    paced = False


def test_a_night_in_real_time_has_an_interlock_of_its_own(tmp_path):
    protocol, _, stager = simulate()
    source = Amplifier(protocol.signal.channels, rng=np.random.default_rng(0), rate=RATE, asleep_after=0.0)
    plan = Plan(protocol, source, tmp_path / "night", stager, hours=1.0)
    started = start_night(plan)
    assert started.simulated is None
    assert started.link.process.poll() is None

    def end_soon(decision, chunk):
        if decision.now > 1.0:
            raise KeyboardInterrupt

    started.night.listeners.append(end_soon)
    with pytest.raises(KeyboardInterrupt):
        run_started(started)
    assert started.link.process.poll() is not None
    kinds = [record["kind"] for record in read_records(plan.folder)]
    assert (kinds[0], kinds[-1]) == ("open", "close")
    assert "silent" in kinds
    assert verify_log(plan.folder, checkpoint=tmp_path / "night.checkpoint").problems == ()
    assert replay_log(plan.folder).differs is None


def test_an_error_in_the_loop_ends_in_silence(tmp_path):
    protocol, source, stager = simulate()
    started = start_night(Plan(protocol, source, tmp_path / "night", stager, speed=float("inf")))

    def fail(decision, chunk):
        raise RuntimeError("broken")

    started.night.listeners.append(fail)
    with pytest.raises(RuntimeError):
        run_started(started)
    records = read_records(tmp_path / "night")
    assert [record["why"] for record in records if record["kind"] == "silent"] == ["the loop failed: RuntimeError"]


@pytest.fixture
def consent(tmp_path):
    form = draft_consent({"click": "builtin:click"}, level_db=40.0, per_night=1000)
    form |= {"agreed": dict.fromkeys(ITEMS, True), "excluded": dict.fromkeys(EXCLUSIONS, True)}
    form |= {"participant": "P-01", "signed": "2020-01-01", "expires": "2100-01-01"}
    path = tmp_path / "consent.json"
    path.write_text(json.dumps(form))
    seal_consent(path)
    return path


@pytest.mark.parametrize("change", ["edit", "delete", "renew"])
def test_a_consent_that_changes_during_the_night_ends_the_cues(tmp_path, consent, change):
    protocol, source, stager = simulate()
    started = start_night(Plan(protocol, source, tmp_path / "night", stager, consent=consent))
    agreed = read_consent(consent, today=datetime.date.today())
    started = replace(started, consent=agreed)
    check_unchanged(started)
    assert started.night.ended == ""
    if change == "delete":
        consent.unlink()
    else:
        consent.write_text(json.dumps({**json.loads(consent.read_text()), "level_db": 30.0}))
    if change == "renew":
        seal_consent(consent)
    check_unchanged(started)
    assert "consent" in started.night.ended
    started.night.step(0.0)
    assert started.night.state.operator == "stopped"
    started.night.close()


def test_a_sink_that_cannot_be_opened_leaves_no_night(tmp_path, consent):
    protocol, source, stager = simulate()
    plan = Plan(protocol, source, tmp_path / "night", stager, sinks=("audio",), consent=consent,
                sounds={"click": "builtin:click"})  # fmt: skip
    with pytest.raises(SharpwaveError, match="the calibration of the loudspeaker"):
        start_night(plan)
    assert not plan.folder.exists()


def test_the_clock_on_the_wall_is_asked_for_dates_alone():
    """A change of the clock or of summer time must not move a cue: no time of the loop comes from it."""
    for path in (Path(live.__file__).parent).rglob("*.py"):
        text = path.read_text()
        assert "time.time()" not in text, path
        assert "perf_counter" not in text, path
