"""The audit of a night: an append-only log whose records are chained by hashes, and the inputs that replay it.

`audit.jsonl` has one record a line: `{"hash":"…","record":{"n":…,"prev":…,"kind":…, …}}`. The hash is the SHA-256 of
the record's bytes, which hold the hash of the record before. A changed, missing or moved record breaks the chain at its
place. What the chain alone cannot show is a log that was cut at its end, or written anew from there: the checkpoint of
length and head, kept outside the folder, shows that.
`inputs.bin` holds what went into each step; the log holds hashes of it and of the decisions, some steps at a time. So a
withdrawal may delete the signals while the chain stays whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.live.decision import Chunk, Command, Decision, Intend, StageResult
from sharpwave.live.protocol import Protocol

LOG, INPUTS = "audit.jsonl", "inputs.bin"
VERSION = 1
FIRST = "0" * 64
"""What the first record names as the hash before it."""
BLOCK_STEPS = 32
"""Steps in a block of inputs; a trial ends a block early."""
_PREFIX, _MIDDLE = b'{"hash":"', b'","record":'
_HEAD = struct.Struct("<II")


class AuditLog:
    """Writes the log and the inputs of one night; a disk that fails ends it for good, and with it the cues.

    Args:
        folder: Folder of the night; holds no log yet.
        protocol: Of the night; it is written into the first record.
        start: Loop time at which the night begins, in seconds, as in `init_live`.
        seal: Seal of the seed of sham, from `seal_seed`.
        about: What else the first record says, such as the hash of the consent and the measured latency of the sink.
        checkpoint: New file outside the folder for length and head; None where there is none.

    Raises:
        SharpwaveError: If there is a log already, or the disk refuses.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with AuditLog(Path(folder, "night"), Protocol("mine"), start=0.0, seal="0" * 64) as log:
    ...         _ = log.append("note", text="lights off")
    ...     log.length
    3
    """

    def __init__(
        self,
        folder: Path,
        protocol: Protocol,
        *,
        start: float,
        seal: str,
        about: dict[str, Any] | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        self.broken = ""
        self._chain = self._synced = (0, FIRST)
        self._block = Block()
        self._offset = 0
        self._files: list[int] = []
        self._checkpoint = -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            self._files = [os.open(folder / name, flags, 0o600) for name in (LOG, INPUTS)]
            if checkpoint is not None:
                self._checkpoint = os.open(checkpoint, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                self._files.append(self._checkpoint)
        except OSError as error:
            self._close_files()
            raise SharpwaveError(
                f"a folder without a log in which one can be written: {folder}",
                got=f"{error.filename}: {error.strerror}",
                fix="name a new folder; a log is never written on",
            ) from error
        table = asdict(protocol)
        self.append(
            "open",
            version=VERSION,
            protocol=table,
            protocol_hash=protocol.hash,
            start=start,
            seal=seal,
            about=about or {},
        )
        self.sync()
        self.write_checkpoint()

    @property
    def length(self) -> int:
        """Records so far."""
        return self._chain[0]

    @property
    def head(self) -> str:
        """Hash of the last of them."""
        return self._chain[1]

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, kind: str, **values: Any) -> str:
        """Write one record; it survives the end of the process at once, and that of the machine after `sync`.

        Args:
            kind: What it is.
            values: What it says: numbers, texts, lists and tables of these.

        Returns:
            Its hash.

        Raises:
            SharpwaveError: If it cannot be written, or an earlier one could not be.
        """
        if self.broken:
            raise _refuse(self.broken)
        record = {"n": self.length, "prev": self.head, "kind": kind, **values}
        body = json.dumps(record, separators=(",", ":"), allow_nan=True).encode()
        digest = hashlib.sha256(body).hexdigest()
        self._write(0, _PREFIX + digest.encode() + _MIDDLE + body + b"}\n")
        self._chain = (self.length + 1, digest)
        return digest

    def step(
        self,
        chunk: Chunk | None,
        decision: Decision,
        *,
        stages: tuple[StageResult, ...] = (),
        commands: tuple[Command, ...] = (),
    ) -> bool:
        """Write what went into a step and what came out of it. Call `sync` before a trial is handed on.

        Args:
            chunk: As it went into `step_live`.
            decision: As it came out.
            stages: As they went in.
            commands: As they went in.

        Returns:
            Whether the step wrote a trial's intent, so that `sync` is due.
        """
        raw = encode_inputs(chunk, now=decision.now, stages=stages, commands=commands)
        self._write(1, raw)
        self._block.add(raw, encode_decision(decision))
        intended = isinstance(decision.action, Intend)
        eventful = intended or decision.release is not None or decision.cancelled is not None
        if self._block.steps >= BLOCK_STEPS or eventful or commands:
            self._end_block()
        for command in commands:
            self.append("command", name=command.name, at=command.at)
        if isinstance(decision.action, Intend):
            found = [[one.name, one.value, one.limit, one.unit] for one in decision.conditions]
            self.append("intent", now=decision.now, **asdict(decision.action), conditions=found)
        if decision.release is not None:
            self.append("release", now=decision.now, trial=decision.release.trial)
        if decision.cancelled is not None:
            self.append("cancel", now=decision.now, trial=decision.cancelled.trial, why=list(decision.cancelled.why))
        for outcome in decision.outcomes:
            self.append("outcome", trial=outcome.trial, disturbed=outcome.disturbed)
        return intended

    def sync(self) -> int:
        """Bring the log to the disk, which may take long: call it where nothing waits.

        Returns:
            How many records are durable now.

        Raises:
            SharpwaveError: If the disk refuses; nothing that is not durable may be given.
        """
        chain = self._chain
        if self.broken:
            raise _refuse(self.broken)
        try:
            os.fdatasync(self._files[0])
        except OSError as error:
            self.broken = str(error.strerror)
            raise _refuse(self.broken) from error
        self._synced = chain
        return chain[0]

    def write_checkpoint(self) -> None:
        """Write length and head of what is durable outside the folder; without a place for it nothing is done.

        This and `sync` may run in another thread than `append` and `step`.
        """
        if self._checkpoint < 0:
            return
        line = json.dumps({"length": self._synced[0], "head": self._synced[1]}).ljust(126).encode() + b"\n"
        try:
            os.pwrite(self._checkpoint, line, 0)
            os.fdatasync(self._checkpoint)
        except OSError as error:
            self.broken = str(error.strerror)
            raise _refuse(self.broken) from error

    def close(self) -> None:
        """End the log, with a last record, and the checkpoint. A broken log is closed as it is."""
        if self._files and not self.broken:
            self._end_block()
            self.append("close")
            self.sync()
            self.write_checkpoint()
        self._close_files()

    def _end_block(self) -> None:
        block, self._block = self._block, Block()
        if block.steps:
            self.append("inputs", offset=self._offset, **block.describe())
            self._offset += block.size

    def _write(self, which: int, raw: bytes) -> None:
        if self.broken:
            raise _refuse(self.broken)
        view = memoryview(raw)
        try:
            while view:
                view = view[os.write(self._files[which], view) :]
        except OSError as error:
            self.broken = str(error.strerror)
            raise _refuse(self.broken) from error

    def _close_files(self) -> None:
        files, self._files = self._files, []
        for one in files:
            os.close(one)
        if not self.broken:
            self.broken = "it is closed"


class Block:
    """Hashes of the inputs and decisions of some steps."""

    def __init__(self) -> None:
        self.steps, self.size = 0, 0
        self._inputs, self._decisions = hashlib.sha256(), hashlib.sha256()

    def add(self, inputs: bytes, decision: bytes) -> None:
        self.steps, self.size = self.steps + 1, self.size + len(inputs)
        self._inputs.update(inputs)
        self._decisions.update(decision)

    def describe(self) -> dict[str, Any]:
        hashes = {"inputs": self._inputs.hexdigest(), "decisions": self._decisions.hexdigest()}
        return {"bytes": self.size, "steps": self.steps, **hashes}


def encode_decision(decision: Decision) -> bytes:
    """A decision as bytes, the same for the same decision everywhere: what replay compares.

    >>> from sharpwave.live.decision import Estimates, Hold
    >>> encode_decision(Decision(0.5, (), Hold(why=("armed",)), Estimates(until=0.25)))[:25]
    b'[0.5,[],["hold",["armed"]'
    """
    action = ["hold", decision.action.why] if not isinstance(decision.action, Intend) else _list(decision.action)
    rest = [_list(one) for one in (decision.pending, decision.release, decision.cancelled)]
    found = [[one.name, one.holds, one.value, one.limit, one.unit] for one in decision.conditions]
    outcomes = [_list(one) for one in decision.outcomes]
    everything = [decision.now, found, action, *rest, outcomes, _list(decision.estimates)]
    return json.dumps(everything, separators=(",", ":"), default=float).encode() + b"\n"


def _list(value: Any) -> list[Any] | None:
    return None if value is None else [type(value).__name__, *vars(value).values()]


def encode_inputs(
    chunk: Chunk | None, *, now: float, stages: tuple[StageResult, ...] = (), commands: tuple[Command, ...] = ()
) -> bytes:
    """What went into a step, as bytes from which `read_inputs` makes it again.

    >>> encode_inputs(None, now=0.5)[8:]
    b'{"now":0.5,"stages":[],"commands":[]}'
    """
    head: dict[str, Any] = {
        "now": now,
        "stages": [[one.made_at, one.heard_until, list(one.probabilities)] for one in stages],
        "commands": [[one.name, one.at] for one in commands],
    }
    raw = b""
    if chunk is not None:
        raw = np.ascontiguousarray(chunk.samples, "<f4").tobytes()
        head |= {"index": chunk.index, "stamp": chunk.stamp, "arrival": chunk.arrival, "shape": chunk.samples.shape}
    text = json.dumps(head, separators=(",", ":"), default=float).encode()
    return _HEAD.pack(len(text), len(raw)) + text + raw


def iterate_lines(path: Path, *, largest: int) -> Iterator[bytes]:
    """Lines of a file with their ends, none of them longer than `largest`; the last may have no end."""
    with path.open("rb") as file:
        while line := file.readline(largest + 1):
            yield line
            if len(line) > largest:
                return


def _refuse(why: str) -> SharpwaveError:
    return SharpwaveError(
        "an audit log that takes every record", got=why, fix="nothing is given without it; mend the disk, begin anew"
    )
