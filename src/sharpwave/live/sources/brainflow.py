"""An amplifier through BrainFlow: its package counter shows what was lost."""

from __future__ import annotations

from typing import Any

import numpy as np

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.live.decision import Chunk

MOST_LOST = 60.0
"""Longest loss that a package counter is believed to tell, in seconds; it wraps round."""


def load_brainflow() -> Any:
    """The library for amplifiers, or one clear sentence.

    Raises:
        SharpwaveError: If the library is missing or does not load.
    """
    try:
        from brainflow import board_shim
    except ModuleNotFoundError:
        raise MissingExtraError("brainflow", extra="amplifiers") from None
    except (OSError, ImportError) as error:
        raise SharpwaveError(
            "the library BrainFlow", got=str(error)[:200], fix="pip install 'sharpwave[amplifiers]' into a fresh folder"
        ) from None
    return board_shim


class BrainFlowSource:
    """A board of BrainFlow.

    Args:
        board: Number of the board, or its name such as `SYNTHETIC_BOARD` or `synthetic`.
        channels: Channels in the order of the protocol, among the board's EEG names; None for all of them.
        port: Serial port, where the board has one.
        library: What opens boards: `brainflow.board_shim`, or a stand-in in tests.

    Raises:
        SharpwaveError: If there is no such board, it does not start, or it lacks a channel.
    """

    paced = False

    def __init__(
        self, board: str, channels: tuple[str, ...] | None = None, *, port: str = "", library: Any = None
    ) -> None:
        library = library or load_brainflow()
        number = _find_board(board, library)
        shim, parameters = library.BoardShim, library.BrainFlowInputParams()
        parameters.serial_port = port
        try:
            shim.disable_board_logger()
            names = list(shim.get_eeg_names(number))
            rows = list(shim.get_eeg_channels(number))
            self.rate = float(shim.get_sampling_rate(number))
            self._counter, self._stamp = shim.get_package_num_channel(number), shim.get_timestamp_channel(number)
            self._board = shim(number, parameters)
        except Exception as error:
            raise SharpwaveError(f"a board {board} with EEG", got=str(error)[:200], fix="name another board") from error
        wanted = tuple(channels or names)
        missing = [name for name in wanted if name not in names]
        if missing:
            raise SharpwaveError(
                f"channels among {', '.join(names)}",
                got=", ".join(missing),
                fix="name them in [signal] of the protocol",
            )
        self.channels, self._rows = wanted, [rows[names.index(name)] for name in wanted]
        self.name, self._index, self._cycle = f"brainflow:{board}", 0, 0
        self._last: int | None = None
        try:
            self._board.prepare_session()
            self._board.start_stream(round(60 * self.rate))
        except Exception as error:
            raise SharpwaveError(
                f"a board {board} that starts", got=str(error)[:200], fix="switch it on, and name its --port"
            ) from error

    def next_arrival(self) -> float | None:
        """None: only the amplifier knows."""
        return None

    def pull(self, now: float) -> list[Chunk]:
        """Everything that waits, as chunks without a gap inside; EEG of BrainFlow is in µV."""
        try:
            data = self._board.get_board_data()
        except Exception:  # the board has gone: the age of data says the rest
            return []
        if data.shape[1] == 0:
            return []
        values = np.ascontiguousarray(1e-6 * data[self._rows].T, dtype=np.float32)
        counts = data[self._counter].astype(np.int64)
        lost = self._find_lost(counts)
        chunks, low = [], 0
        for cut in [*(np.flatnonzero(lost[1:]) + 1).tolist(), len(counts)]:
            self._index += int(lost[low])
            stamp = float(data[self._stamp, low])
            chunks.append(Chunk(values[low:cut], self._index, stamp, now))
            self._index += cut - low
            low = cut
        return chunks

    def _find_lost(self, counts: np.ndarray) -> np.ndarray:
        """Samples that are missing before each, by the package counter; some boards count packages of two."""
        before = counts[0] - 1 if self._last is None else self._last
        steps = np.diff(counts, prepend=before)
        self._last = int(counts[-1])
        self._cycle = max(self._cycle, int(counts.max()) + 1)
        steps = np.where(steps < 0, steps + self._cycle, steps)
        lost = np.maximum(steps - 1, 0)
        return np.where(lost > MOST_LOST * self.rate, 0, lost)

    def hear(self, onset: float, level_db: float) -> None:
        """A person hears by himself."""

    def close(self) -> None:
        """Stop the board."""
        self._board.stop_stream()
        self._board.release_session()


def _find_board(board: str, library: Any) -> int:
    if board.lstrip("-").isdigit():
        return int(board)
    name = board.upper()
    for one in (name, f"{name}_BOARD"):
        if hasattr(library.BoardIds, one):
            return int(getattr(library.BoardIds, one).value)
    raise SharpwaveError("a board of BrainFlow", got=repr(board), fix="give its number, or its name such as SYNTHETIC")
