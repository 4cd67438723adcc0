"""kill -9 and SIGSTOP of each process: no sound, and a log that verifies and replays."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sharpwave.live.morning import write_morning
from sharpwave.live.verify import verify_log

SCRIPT = Path(__file__).with_name("night_process.py")
LONG = 60.0
"""Longest time to wait for another process on a busy machine, in seconds."""


def start(*arguments):
    return subprocess.Popen([sys.executable, str(SCRIPT), *map(str, arguments)], stdout=subprocess.PIPE, text=True)


def wait_until(true, *, what):
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.01)
    raise AssertionError(what)


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z"
    except OSError:
        return True


def read_orders(log):
    return [json.loads(line)["order"] for line in log.read_text().splitlines()]


@pytest.fixture
def loop(tmp_path):
    """A loop whose interlock has a cue that waits; its log of what the sink was told; the interlock's number."""
    log = tmp_path / "sink.log"
    process = start("ask", log)
    try:
        pid = int(process.stdout.readline())
        yield process, log, pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        if not is_gone(pid):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_the_loop_killed_leaves_no_sound(loop):
    process, log, pid = loop
    process.kill()
    wait_until(lambda: is_gone(pid), what="the interlock ends when its loop is gone")
    assert read_orders(log) == ["open", "silence", "close"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
def test_the_loop_standing_still_leaves_no_sound(loop):
    process, log, _ = loop
    os.kill(process.pid, signal.SIGSTOP)
    wait_until(lambda: "silence" in read_orders(log), what="the dead man lets go")
    time.sleep(3.0)  # past the onset that was asked for
    assert "play" not in read_orders(log)
    os.kill(process.pid, signal.SIGCONT)
    said = [process.stdout.readline() for _ in range(2)]
    assert "no sign of life" in said[0]
    assert "failed" in said[1]


def test_the_interlock_killed_is_seen_and_nothing_sounds(loop):
    process, log, pid = loop
    os.kill(pid, signal.SIGKILL)
    assert process.stdout.readline().strip() in ("the interlock ended", "the interlock takes no messages")
    assert "play" not in read_orders(log)


def test_the_interlock_standing_still_is_seen_and_gives_nothing_late(loop):
    process, log, pid = loop
    os.kill(pid, signal.SIGSTOP)
    assert "no sign of life" in process.stdout.readline()
    time.sleep(4.0)
    os.kill(pid, signal.SIGCONT)
    wait_until(lambda: is_gone(pid), what="the interlock ends when its loop is gone")
    assert "play" not in read_orders(log)


@pytest.mark.parametrize("phase", ["step", "intent", "release"])
def test_a_night_killed_in_any_phase_has_a_log_that_verifies(tmp_path, phase):
    folder = tmp_path / "night"
    process = start("night", folder, phase)
    assert process.stdout.readline() == "now\n"
    process.kill()
    process.wait()
    process.stdout.close()
    verdict = verify_log(folder, checkpoint=tmp_path / "night.checkpoint")
    assert verdict.problems == ()
    assert not verdict.closed
    assert verdict.records > 5
    morning = write_morning(folder)
    assert morning.trials == verdict.given


def test_an_interlock_whose_loop_died_before_its_first_word_ends() -> None:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "sharpwave.live.interlock_process", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    ours.close()
    try:
        assert process.wait(timeout=120) == 0
    finally:
        process.kill()
