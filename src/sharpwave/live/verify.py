"""The morning after: is the log whole, and do its inputs lead to the same decisions?

A log is untrusted: it is read line by line, bounded, and nothing in it is executed or followed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.live.audit import _HEAD, _MIDDLE, _PREFIX, FIRST, INPUTS, LOG, Block, encode_decision, iterate_lines
from sharpwave.live.decision import Chunk, Command, StageResult
from sharpwave.live.protocol import parse_table
from sharpwave.untrusted import explained, parse_json

LONGEST = 1 << 22
"""Bytes of a line."""
LARGEST_STEP = 1 << 26
"""Bytes of a step's inputs."""
MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Verdict:
    """What was found in a log.

    Attributes:
        records: Whole records of the chain, up to the first that does not fit.
        head: Hash of the last of them.
        problems: Sentences, each with the number of its record; empty where nothing is wrong.
        torn: Whether the last line is incomplete, as where the machine stopped while writing it: no problem by itself.
        pinned: Whether a checkpoint was there. Without one, a log that was cut at its end looks whole.
        closed: Whether the night was ended by the loop itself.
        given: Trials that were delivered.

    >>> Verdict(0, "", [], torn=False, pinned=False, closed=True, given=0).problems
    []
    """

    records: int
    head: str
    problems: tuple[str, ...]
    torn: bool
    pinned: bool
    closed: bool
    given: int


def verify_log(folder: Path, *, checkpoint: Path | None = None, inputs: bool = True) -> Verdict:
    """Look at every record of a log, and at the inputs it speaks of.

    Args:
        folder: Of the night.
        checkpoint: File outside it that the run wrote; None where there is none.
        inputs: Whether to look at the inputs too; after a withdrawal they are gone, and that is no problem.

    Returns:
        The verdict.

    Raises:
        SharpwaveError: If there is no log.

    >>> verify_log(Path("nowhere"))
    Traceback (most recent call last):
    sharpwave.errors.SharpwaveError: expected a night with audit.jsonl; got none in nowhere. Fix: name the folder ...
    """
    path = folder / LOG
    if not path.is_file():
        raise SharpwaveError(f"a night with {LOG}", got=f"none in {folder}", fix="name the folder of a night")
    chain = Chain()
    pinned = _read_checkpoint(checkpoint) if checkpoint is not None else None
    problems: list[str] = []
    torn = False
    for line in iterate_lines(path, largest=LONGEST):
        if not line.endswith(b"\n"):
            torn = len(line) <= LONGEST
            problems += [] if torn else [f"record {chain.length}: longer than any record is"]
            break
        said = chain.take(line)
        problems += said
        if chain.broken or len(problems) >= MOST_PROBLEMS:
            break
        if pinned is not None and chain.length == pinned[0] and chain.head != pinned[1]:
            problems.append(f"record {chain.length - 1}: not the one that the checkpoint outside names")
    if pinned is not None and chain.length < pinned[0] and not chain.broken:
        problems.append(f"record {chain.length}: missing; the checkpoint outside counts {pinned[0]} records")
    if chain.length == 0 and not problems:
        problems.append("record 0: missing; the log holds no whole record")
    if inputs and (folder / INPUTS).exists() and not chain.broken:
        problems += _check_inputs(folder / INPUTS, chain.blocks)
    delivered = sum(kind == "delivered" for kind in chain.trials.values())
    return Verdict(chain.length, chain.head, tuple(problems), torn, pinned is not None, chain.closed, delivered)


class Chain:
    """Takes the records of a log one by one and remembers what they must agree with."""

    def __init__(self) -> None:
        self.length, self.head, self.broken, self.closed = 0, FIRST, False, False
        self.first: dict[str, Any] = {}
        self.blocks: list[dict[str, Any]] = []
        self.trials: dict[int, str] = {}

    def take(self, line: bytes) -> list[str]:
        """What is wrong with the next line."""
        where = f"record {self.length}"
        start = len(_PREFIX) + 64 + len(_MIDDLE)
        body = line[start:-2]
        if line[: len(_PREFIX)] != _PREFIX or line[len(_PREFIX) + 64 : start] != _MIDDLE or line[-2:] != b"}\n":
            self.broken = True
            return [f"{where}: not in the form of a record"]
        digest = hashlib.sha256(body).hexdigest()
        if digest.encode() != line[len(_PREFIX) : len(_PREFIX) + 64]:
            self.broken = True
            return [f"{where}: changed, its hash does not fit"]
        try:
            record = parse_json(body, name=where)
            if not isinstance(record, dict) or record.get("prev") != self.head or record.get("n") != self.length:
                self.broken = True
                return [f"{where}: does not follow the one before; records are missing, moved or from another log"]
            said = self._understand(record, where)
        except (SharpwaveError, KeyError, TypeError, ValueError, RecursionError) as error:
            self.broken = True
            return [f"{where}: cannot be read ({error})"]
        self.length, self.head = self.length + 1, digest
        return said

    def _understand(self, record: dict[str, Any], where: str) -> list[str]:
        kind = record["kind"]
        if (kind == "open") != (self.length == 0):
            return [f"{where}: a log opens once, with its first record"]
        if self.closed:
            return [f"{where}: comes after the end of the log"]
        if kind == "open":
            self.first = record
            if parse_table(record["protocol"]).hash != record["protocol_hash"]:
                return [f"{where}: the protocol is not the one of its hash"]
        elif kind == "inputs":
            self.blocks.append({name: record[name] for name in ("offset", "bytes", "steps", "inputs", "decisions")})
        elif kind in _AFTER:
            return self._follow(record, where)
        self.closed = kind == "close"
        return []

    def _follow(self, record: dict[str, Any], where: str) -> list[str]:
        """A trial is intended, then released or cancelled, then delivered or failed, each once."""
        kind, trial = record["kind"], record["trial"]
        before = self.trials.get(trial, "nothing")
        if before not in _AFTER[kind]:
            return [f"{where}: trial {trial} is {kind} after {before}"]
        cap = self.first["protocol"]["limits"]["level_most_db"]
        self.trials[trial] = kind
        if kind == "intent" and not record["level_db"] <= cap:
            return [f"{where}: trial {trial} at {record['level_db']} dB(A), above the cap of {cap}"]
        return []


_AFTER: dict[str, tuple[str, ...]] = {
    "intent": ("nothing",),
    "release": ("intent",),
    "cancel": ("intent",),
    "delivered": ("release",),
    "failed": ("intent", "release"),
}


def _read_checkpoint(path: Path) -> tuple[int, str]:
    with explained("a checkpoint of length and head", name=str(path), fix="name the file that the run wrote"):
        with path.open("rb") as file:
            table = json.loads(file.read(1024))
        return int(table["length"]), str(table["head"])


def _check_inputs(path: Path, blocks: list[dict[str, Any]]) -> list[str]:
    """What is wrong with the file of inputs: each block must have the hash that the log names."""
    at = 0
    with path.open("rb") as file:
        for number, block in enumerate(blocks):
            if block["offset"] != at or not 0 <= block["bytes"] <= LARGEST_STEP * 2:
                return [f"block {number} of inputs: begins at another place than the log says"]
            raw = file.read(block["bytes"])
            if len(raw) < block["bytes"]:
                return [f"block {number} of inputs: missing; the file ends before it"]
            if hashlib.sha256(raw).hexdigest() != block["inputs"]:
                return [f"block {number} of inputs: changed, its hash does not fit"]
            at += block["bytes"]
    return []


@dataclass(frozen=True)
class Replay:
    """What came of a replay.

    Attributes:
        steps: Steps that were computed again.
        blocks: Blocks whose decisions were compared.
        differs: The first block whose decisions differ; None where all are the same, byte for byte.
        left: Steps after the last block, whose decisions the log holds no hash of: the machine stopped there.

    >>> Replay(steps=600, blocks=2, differs=None, left=0).differs is None
    True
    """

    steps: int
    blocks: int
    differs: int | None
    left: int


def replay_log(folder: Path) -> Replay:
    """Compute every decision of a night again from its inputs, and compare bytes.

    Args:
        folder: Of the night.

    Raises:
        SharpwaveError: If the log is not whole, or its inputs are gone or changed.

    >>> replay_log(Path("nowhere"))
    Traceback (most recent call last):
    sharpwave.errors.SharpwaveError: expected a night with audit.jsonl; got none in nowhere. Fix: name the folder ...
    """
    from sharpwave.live.gate import init_live, step_live

    verdict = verify_log(folder)
    if verdict.problems:
        raise SharpwaveError("a log that is whole", got=verdict.problems[0], fix="replay the log as the run wrote it")
    if not (folder / INPUTS).is_file():
        raise SharpwaveError(
            f"the inputs of the night, {INPUTS}", got="none", fix="after a withdrawal a night cannot be replayed"
        )
    chain = Chain()
    for line in iterate_lines(folder / LOG, largest=LONGEST):
        if line.endswith(b"\n"):
            chain.take(line)
    protocol = parse_table(chain.first["protocol"])
    state, steps = init_live(protocol, start=float(chain.first["start"])), 0
    block, number = Block(), 0
    for raw, chunk, now, stages, commands in read_inputs(folder / INPUTS):
        decision, state = step_live(protocol, state, chunk, now=now, stages=stages, commands=commands)
        block.add(raw, encode_decision(decision))
        steps += 1
        if number < len(chain.blocks) and block.steps == chain.blocks[number]["steps"]:
            if block.describe()["decisions"] != chain.blocks[number]["decisions"]:
                return Replay(steps, number + 1, number, 0)
            block, number = Block(), number + 1
    return Replay(steps, number, None, block.steps)


def read_inputs(
    path: Path,
) -> Iterator[tuple[bytes, Chunk | None, float, tuple[StageResult, ...], tuple[Command, ...]]]:
    """Inputs of each step, as `encode_inputs` wrote them; an incomplete last one is left out.

    Args:
        path: File of inputs.

    Yields:
        Its bytes, chunk, loop time, stage results and commands.

    Raises:
        SharpwaveError: If something in it is no input of a step.
    """
    with path.open("rb") as file, explained("inputs of a night", name=path.name, fix="take the file of the run"):
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            n_text, n_raw = _HEAD.unpack(head)
            if n_text + n_raw > LARGEST_STEP:
                raise ValueError("a step larger than any step is")
            text, raw = file.read(n_text), file.read(n_raw)
            if len(text) < n_text or len(raw) < n_raw:
                return
            table = parse_json(text, name=path.name)
            chunk = None
            if "shape" in table:
                samples = np.frombuffer(raw, "<f4").reshape(table["shape"])
                chunk = Chunk(samples, int(table["index"]), float(table["stamp"]), float(table["arrival"]))
            stages = tuple(StageResult(a, b, tuple(p)) for a, b, p in table["stages"])
            commands = tuple(Command(name, at) for name, at in table["commands"])
            yield head + text + raw, chunk, float(table["now"]), stages, commands
