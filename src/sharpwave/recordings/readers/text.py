"""Text of unknown encoding: UTF-8, UTF-16 with or without its mark, or Windows-1252."""

from __future__ import annotations

from pathlib import Path

from sharpwave.errors import SharpwaveError

_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_MAX_BYTES = 1 << 30


def read_text(path: Path) -> str:
    """The whole text, lines ended by "\\n".

    Raises:
        SharpwaveError: If it is too large or binary.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise SharpwaveError(
            "a text file of at most 1 GiB", got=f"{path.name} of {path.stat().st_size} bytes", fix="convert it to EDF"
        )
    raw = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None) or _guessed(raw)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    if "\x00" in text:
        raise SharpwaveError(
            f"text in {path.name}", got="a binary file", fix="check the file's name: its ending decides how it is read"
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _guessed(raw: bytes) -> str:
    sample = raw[:4096]
    if len(sample) >= 4 and len(sample) % 2 == 0:
        if sample[1::2].count(0) > 0.8 * len(sample) / 2:
            return "utf-16-le"
        if sample[::2].count(0) > 0.8 * len(sample) / 2:
            return "utf-16-be"
    return "utf-8"
