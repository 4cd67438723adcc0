"""A log that was changed, cut or written anew is found; a disk that fails gives nothing; replay repeats the bytes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.live import audit, gate
from sharpwave.live.audit import INPUTS, LOG, AuditLog
from sharpwave.live.decision import Chunk, Command, Intend, StageResult
from sharpwave.live.gate import init_live, step_live
from sharpwave.live.protocol import Protocol, SignalPart
from sharpwave.live.verify import replay_log, verify_log

PROTOCOL = Protocol("night", signal=SignalPart(rate=64.0))
SEAL = "ab" * 32
DEEP = (0.01, 0.01, 0.08, 0.89, 0.01)


def run_night(folder: Path, *, seconds: float = 12.0, checkpoint: Path | None = None) -> AuditLog:
    """A short night of noise with stage results, commands, and steps without samples; each length another noise."""
    rng = np.random.default_rng(round(seconds))
    state = init_live(PROTOCOL, start=0.0)
    with AuditLog(folder, PROTOCOL, start=0.0, seal=SEAL, checkpoint=checkpoint) as log:
        for n in range(int(seconds * 8)):
            now = (n + 1) / 8 + 0.01
            samples = rng.normal(0, 3e-5, (8, 1)).astype(np.float32)
            chunk = None if n % 9 == 8 else Chunk(samples, n * 8, 1e9 + n / 8, now - 0.001)
            stages = (StageResult(now, now - 0.02, DEEP),) if n % 40 == 0 else ()
            commands = (Command("arm", now),) if n == 3 else ()
            decision, state = step_live(PROTOCOL, state, chunk, now=now, stages=stages, commands=commands)
            log.step(chunk, decision, stages=stages, commands=commands)
        intent = Intend(onset=13.0, trial=1, cue_ref="click", level_db=35.0, deadline=13.02)
        log.append("intent", now=12.9, trial=1, onset=intent.onset, level_db=intent.level_db)
        log.append("release", now=12.98, trial=1)
        log.append("delivered", trial=1, onset=13.001)
    return log


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("nights") / "night"
    run_night(folder, checkpoint=folder.with_suffix(".checkpoint"))
    return folder


def copy(night: Path, target: Path, log: bytes | None = None, inputs: bytes | None = None) -> Path:
    target.mkdir(exist_ok=True)
    (target / LOG).write_bytes((night / LOG).read_bytes() if log is None else log)
    (target / INPUTS).write_bytes((night / INPUTS).read_bytes() if inputs is None else inputs)
    return target


def test_a_whole_log_is_whole_and_replays_to_the_same_bytes(night: Path) -> None:
    verdict = verify_log(night, checkpoint=night.with_suffix(".checkpoint"))
    assert verdict.problems == ()
    assert verdict.closed
    assert verdict.pinned
    assert not verdict.torn
    assert verdict.given == 1
    replay = replay_log(night)
    assert replay.differs is None
    assert replay.steps == 96
    assert replay.left == 0
    assert replay.blocks >= 3


def test_a_changed_byte_is_found_at_its_record(night: Path, tmp_path: Path) -> None:
    raw = (night / LOG).read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(raw), 60):
        changed = bytearray(raw)
        changed[place] ^= 1 << int(rng.integers(0, 7))
        verdict = verify_log(copy(night, tmp_path / "changed", bytes(changed)))
        record = raw[:place].count(b"\n")
        if place == len(raw) - 1:
            assert verdict.torn
            continue
        assert verdict.problems, place
        assert f"record {record}" in verdict.problems[0] or f"record {record + 1}" in verdict.problems[0]


def test_a_missing_moved_or_foreign_record_is_found(night: Path, tmp_path: Path) -> None:
    lines = (night / LOG).read_bytes().splitlines(keepends=True)
    for edited in (
        lines[:3] + lines[4:],
        [*lines[:3], lines[4], lines[3], *lines[5:]],
        lines[:5] + lines[4:],
        lines[1:],
    ):
        assert verify_log(copy(night, tmp_path / "edited", b"".join(edited))).problems


def test_records_of_another_log_with_the_same_numbers_are_found(night: Path, tmp_path: Path) -> None:
    run_night(tmp_path / "other", seconds=13.0)
    mine, other = ((folder / LOG).read_bytes().splitlines(keepends=True) for folder in (night, tmp_path / "other"))
    edited = [*mine[:4], other[4], *mine[5:]]
    assert "does not follow" in verify_log(copy(night, tmp_path / "spliced", b"".join(edited))).problems[0]


def test_a_log_cut_at_its_end_or_written_anew_is_found_by_the_checkpoint_alone(night: Path, tmp_path: Path) -> None:
    checkpoint = night.with_suffix(".checkpoint")
    lines = (night / LOG).read_bytes().splitlines(keepends=True)
    cut = copy(night, tmp_path / "cut", b"".join(lines[:-2]))
    assert verify_log(cut, inputs=False).problems == ()
    assert not verify_log(cut, inputs=False).pinned
    assert "missing" in verify_log(cut, checkpoint=checkpoint, inputs=False).problems[0]
    run_night(tmp_path / "anew", seconds=20.0)
    assert "checkpoint" in verify_log(tmp_path / "anew", checkpoint=checkpoint).problems[0]


def test_a_torn_last_line_is_said_and_is_no_problem(night: Path, tmp_path: Path) -> None:
    raw = (night / LOG).read_bytes()
    verdict = verify_log(copy(night, tmp_path / "torn", raw[:-20]))
    assert verdict.torn
    assert verdict.problems == ()
    assert not verdict.closed


def test_inputs_that_were_changed_or_cut_are_found_and_those_withdrawn_leave_the_chain_whole(
    night: Path, tmp_path: Path
) -> None:
    raw = (night / INPUTS).read_bytes()
    changed = bytearray(raw)
    changed[len(raw) // 2] ^= 1
    assert "changed" in verify_log(copy(night, tmp_path / "a", inputs=bytes(changed))).problems[0]
    assert "missing" in verify_log(copy(night, tmp_path / "b", inputs=raw[:-5])).problems[0]
    with pytest.raises(SharpwaveError, match="changed"):
        replay_log(tmp_path / "a")
    withdrawn = copy(night, tmp_path / "c")
    (withdrawn / INPUTS).unlink()
    assert verify_log(withdrawn).problems == ()
    with pytest.raises(SharpwaveError, match="cannot be replayed"):
        replay_log(withdrawn)


def test_another_decision_is_found_by_replay(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "STALL", 0.1)
    assert replay_log(night).differs == 0


def test_trials_must_be_intended_before_they_sound_and_once(tmp_path: Path) -> None:
    for number, (kinds, level, said) in enumerate(
        (
            (["release"], 35.0, "release after nothing"),
            (["intent", "delivered"], 35.0, "delivered after intent"),
            (["intent", "release", "delivered", "delivered"], 35.0, "delivered after delivered"),
            (["intent", "cancel", "delivered"], 35.0, "delivered after cancel"),
            (["intent"], 56.0, "above the cap"),
        )
    ):
        folder = tmp_path / str(number)
        with AuditLog(folder, PROTOCOL, start=0.0, seal=SEAL) as log:
            for kind in kinds:
                log.append(kind, trial=1, level_db=level)
        assert said in verify_log(folder).problems[0]


def test_a_disk_that_fails_ends_the_log_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    log = AuditLog(tmp_path / "full", PROTOCOL, start=0.0, seal=SEAL)
    log.append("note", text="one")
    length, head = log.length, log.head

    def half(file: int, raw: bytes) -> int:
        if len(raw) < 40:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, bytes(raw)[:30])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(SharpwaveError, match="No space left"):
        log.append("intent", trial=1, level_db=35.0)
    monkeypatch.undo()
    assert (log.length, log.head) == (length, head)
    with pytest.raises(SharpwaveError, match="No space left"):
        log.append("note", text="two")
    log.close()
    verdict = verify_log(tmp_path / "full")
    assert verdict.torn
    assert verdict.problems == ()
    assert verdict.records == length


def test_a_sync_that_fails_is_an_error_and_nothing_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(tmp_path / "sync", PROTOCOL, start=0.0, seal=SEAL)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(SharpwaveError, match="Input/output error"):
        log.sync()
    monkeypatch.undo()
    with pytest.raises(SharpwaveError, match="Input/output error"):
        log.append("release", trial=1)
    log.close()


def test_a_checkpoint_names_what_is_durable_and_no_more(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    log = AuditLog(tmp_path / "night", PROTOCOL, start=0.0, seal=SEAL, checkpoint=checkpoint)
    log.append("note", text="one")
    assert log.sync() == 2
    head = log.head
    log.append("note", text="two")
    log.write_checkpoint()
    assert json.loads(checkpoint.read_text()) == {"length": 2, "head": head}
    log.close()
    assert json.loads(checkpoint.read_text())["length"] == 4
    assert verify_log(tmp_path / "night", checkpoint=checkpoint).problems == ()


def test_a_log_is_never_written_on_and_two_loops_never_share_one(night: Path) -> None:
    with pytest.raises(SharpwaveError, match="a log is never written on"):
        AuditLog(night, PROTOCOL, start=0.0, seal=SEAL)


def test_a_loop_that_is_killed_while_writing_leaves_a_chain_that_verifies(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from sharpwave.live.audit import AuditLog\n"
        "from sharpwave.live.protocol import Protocol\n"
        "log = AuditLog(Path(sys.argv[1]), Protocol('n'), start=0.0, seal='0' * 64)\n"
        "print('ready', flush=True)\n"
        "while True: log.append('note', text='x' * 200)\n"
    )
    for number in range(2):
        folder = tmp_path / str(number)
        with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.05)
            child.send_signal(signal.SIGKILL)
        verdict = verify_log(folder)
        assert verdict.problems == ()
        assert verdict.records > 1
        assert not verdict.closed


def test_hostile_logs_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match=r"a night with audit\.jsonl"):
        verify_log(tmp_path)
    body = b'{"n":0,"prev":"' + b"0" * 64 + b'","kind":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for raw in (b"", b"{}\n", b"\xff" * 300 + b"\n", _record(body), _record(b'{"n":0}'), b"x" * (5 << 20)):
        (tmp_path / LOG).write_bytes(raw)
        verdict = verify_log(tmp_path)
        assert verdict.problems
        assert verdict.records <= 1
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_text("[]")
    with pytest.raises(SharpwaveError, match="a checkpoint"):
        verify_log(tmp_path, checkpoint=checkpoint)


def _record(body: bytes) -> bytes:
    import hashlib

    return b'{"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'","record":' + body + b"}\n"


def test_a_step_survives_as_bytes(tmp_path: Path) -> None:
    from sharpwave.live.verify import read_inputs

    chunk = Chunk(np.array([[0.1, np.nan], [np.inf, -1e-7]], np.float32), 3, 1.5, 2.0)
    stages, commands = (StageResult(1.0, 0.9, DEEP),), (Command("arm", 0.3),)
    raw = audit.encode_inputs(chunk, now=2.0, stages=stages, commands=commands)
    (tmp_path / INPUTS).write_bytes(raw + audit.encode_inputs(None, now=2.1) + raw[:-3])
    first, second = read_inputs(tmp_path / INPUTS)
    assert first[0] == raw
    np.testing.assert_array_equal(first[1].samples, chunk.samples)
    assert (first[2], first[3], first[4]) == (2.0, stages, commands)
    assert second[1] is None
    assert json.loads(second[0][8:])["now"] == 2.1
