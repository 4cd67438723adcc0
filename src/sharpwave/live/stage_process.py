"""The stager in a process of its own: samples go in through a pipe, results come out, and nobody waits for anybody.

The loop writes what the pipe takes and keeps the rest; a stager that hangs or dies makes results old, which is what the
gate looks at, and never stops the loop. Both ways go frames of fixed layout, no objects: nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from typing import BinaryIO

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.live.decision import Chunk, StageResult
from sharpwave.live.protocol import Protocol, parse_protocol
from sharpwave.live.stage import EVERY, init_stager, step_stager

HEAD = struct.Struct("<qdII")
"""Of samples: index of the first, loop time of the last, number of samples and of channels; float32 follow."""
RESULT = struct.Struct("<dd5d")
"""Of a result: made at, heard until, five probabilities."""
MOST_WAITING = 1 << 24
"""Bytes that wait for a stager that does not read, after which samples are dropped: some hours of one channel."""
LARGEST = 1 << 22
"""Samples times channels of a frame that the stager takes."""


class ProcessStager:
    """YASA's classifier on the past alone, in a process of its own.

    Args:
        protocol: Protocol of the night.
        every: Seconds between results; 5 by default.
        rescale: Whether the unit of the EEG is unknown. No by default.

    >>> stager = ProcessStager(Protocol("mine"))
    >>> stager.offer(Chunk(np.zeros((8, 1), np.float32), index=0, stamp=0.0, arrival=0.03), 0.03)
    >>> stager.poll(0.1)
    ()
    >>> stager.close()
    """

    def __init__(self, protocol: Protocol, *, every: float = EVERY, rescale: bool = False) -> None:
        signal = protocol.signal
        init_stager(protocol, every=every, rescale=rescale)  # what is wrong is said here, not in the child
        text = (
            'name = "stager"\n[signal]\n'
            f"channels = {_quote(signal.channels)}\neog = {_quote(signal.eog)}\nemg = {_quote(signal.emg)}\n"
            f"rate = {signal.rate!r}\n"
        )
        command = [sys.executable, "-m", "sharpwave.live.stage_process", text, repr(every), str(int(rescale))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._waiting, self._heard = bytearray(), bytearray()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def offer(self, chunk: Chunk, until: float) -> None:
        """Hand over samples; returns at once.

        Args:
            chunk: What arrived.
            until: Loop time of its last sample, in seconds.
        """
        samples = np.ascontiguousarray(chunk.samples, dtype="<f4")
        frame = HEAD.pack(chunk.index, until, *samples.shape) + samples.tobytes()
        if len(self._waiting) + len(frame) <= MOST_WAITING:
            self._waiting += frame
        self._push()

    def poll(self, now: float) -> tuple[StageResult, ...]:
        """Results that have come since; they count as made now.

        Args:
            now: Loop time in seconds.
        """
        self._push()
        try:
            while piece := os.read(self._out, 1 << 16):
                self._heard += piece
        except (BlockingIOError, OSError, ValueError):
            pass
        whole = len(self._heard) // RESULT.size * RESULT.size
        results = []
        for _, heard_until, *probabilities in RESULT.iter_unpack(bytes(self._heard[:whole])):
            results.append(StageResult(max(now, heard_until), heard_until, tuple(probabilities)))  # type: ignore[arg-type]
        del self._heard[:whole]
        return tuple(results)

    def close(self) -> None:
        """End the process: it is asked first, then killed."""
        for stream in (self._process.stdin, self._process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:
                pass
        try:
            self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _push(self) -> None:
        try:
            while self._waiting:
                written = os.write(self._in, self._waiting[: 1 << 16])
                del self._waiting[:written]
        except BlockingIOError:
            pass
        except (BrokenPipeError, OSError, ValueError):
            self._waiting.clear()  # it has died: results stay away, and their age says so


def _quote(value: str | tuple[str, ...]) -> str:
    """Text, or a list of texts, as TOML writes them, which is as JSON does."""
    return json.dumps(value, ensure_ascii=False)


def serve(source: BinaryIO, sink: BinaryIO, protocol: Protocol, *, every: float, rescale: bool) -> None:
    """Read samples until the end of the stream, and write results.

    Args:
        source: Frames of samples.
        sink: Takes frames of results.
        protocol: Protocol of the night; its `signal` is read.
        every: Seconds between results.
        rescale: Whether the unit of the EEG is unknown.

    Raises:
        SharpwaveError: If a frame is damaged.

    >>> import io
    >>> serve(io.BytesIO(), io.BytesIO(), Protocol("mine"), every=5.0, rescale=False)
    """
    state = init_stager(protocol, every=every, rescale=rescale)
    channels = len(protocol.signal.channels)
    while head := source.read(HEAD.size):
        if len(head) < HEAD.size:
            return
        index, until, n, width = HEAD.unpack(head)
        if width != channels or n * width > LARGEST:
            raise SharpwaveError(
                f"samples of {channels} channels", got=f"{n} by {width}", fix="send what the protocol names"
            )
        body = source.read(4 * n * width)
        if len(body) < 4 * n * width:
            return
        samples = np.frombuffer(body, dtype="<f4").reshape(n, width)
        results, state = step_stager(state, samples, index=index, until=until)
        for result in results:
            sink.write(RESULT.pack(result.made_at, result.heard_until, *result.probabilities))
            sink.flush()


if __name__ == "__main__":
    serve(
        sys.stdin.buffer,
        sys.stdout.buffer,
        parse_protocol(sys.argv[1].encode(), name="stager"),
        every=float(sys.argv[2]),
        rescale=sys.argv[3] == "1",
    )
