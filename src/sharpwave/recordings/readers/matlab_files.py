"""Structures of MATLAB files (version 5 to 7, and 7.3) as dictionaries, lists and arrays; bounded, no code is run."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.files import check_file, guarded

MOST_FILE = 1 << 30
MOST_UNPACKED = 2 << 30
"""Bytes that a file may have after decompression."""
MOST_VALUES = 1 << 28
DEEPEST = 12
_PIECE = 1 << 20


def read_structure(path: Path, name: str) -> Any:
    """One variable of a `.mat` file: structures become dictionaries, cells lists, texts `str`, numbers arrays.

    Args:
        path: The file.
        name: The variable; None comes back where the file has none of that name.

    Raises:
        SharpwaveError: If it is no MATLAB file, is damaged, or would unpack to more than 2 GiB.
    """
    check_file(path, "a MATLAB file")
    if path.stat().st_size > MOST_FILE:
        raise SharpwaveError(f"a MATLAB file of at most 1 GiB in {path.name}", got="a larger one", fix="save less")
    with guarded(path, "a MATLAB file"):
        with path.open("rb") as file:
            head = file.read(520)
        if b"\x89HDF\r\n\x1a\n" in head:
            return _read_hdf5(path, name)
        _check_unpacked(path)
        from scipy.io import loadmat

        content = loadmat(path, variable_names=[name], struct_as_record=True, squeeze_me=False)
        return _simplify(content[name], 0) if name in content else None


def _check_unpacked(path: Path) -> None:
    """Unpack the compressed elements of a version-5 file piece by piece, counting only, before anything is built."""
    total, at, size = 0, 128, path.stat().st_size
    with path.open("rb") as file:
        file.seek(126)
        order = "little" if file.read(2) == b"IM" else "big"
        while at + 8 <= size:
            file.seek(at)
            head = file.read(8)
            kind, length = (int.from_bytes(head[i : i + 4], order) for i in (0, 4))  # type: ignore[arg-type]
            left = min(length, size - at - 8)
            unpack = zlib.decompressobj() if kind == 15 else None
            while unpack is not None and left > 0:
                piece = file.read(min(_PIECE, left))
                left -= len(piece)
                while piece:
                    total += len(unpack.decompress(piece, _PIECE))
                    piece = unpack.unconsumed_tail
                    if total > MOST_UNPACKED:
                        raise SharpwaveError(
                            f"at most 2 GiB unpacked in {path.name}", got="more", fix="save fewer variables"
                        )
            at += 8 + length


def _simplify(value: Any, depth: int) -> Any:
    """SciPy's records and object arrays as dictionaries and lists."""
    if depth > DEEPEST:
        raise SharpwaveError(f"structures at most {DEEPEST} deep", got="deeper ones", fix="save the file again")
    if not isinstance(value, np.ndarray | np.void):
        return value
    names = value.dtype.names
    if names is not None:
        rows = [value] if isinstance(value, np.void) else list(value.flat)
        made = [{name: _simplify(row[name], depth + 1) for name in names} for row in rows]
        return made[0] if len(made) == 1 else made
    if value.dtype == object:
        return [_simplify(item, depth + 1) for item in value.flat]
    if value.dtype.kind == "U":
        texts = [str(text) for text in value.flat]
        return texts[0] if len(texts) == 1 else texts if texts else ""
    return value


def _read_hdf5(path: Path, name: str) -> Any:
    import h5py

    from sharpwave.recordings.readers.nwb_inside import check_links

    check_links(str(path), where=path.name)
    with h5py.File(path, "r") as file:
        return _take_hdf5(file, file[name], 0, [0]) if name in file else None


def _take_hdf5(file: Any, item: Any, depth: int, count: list[int]) -> Any:
    """A variable of version 7.3: groups are structures, arrays of references cells, `MATLAB_class` says what else."""
    import h5py

    if depth > DEEPEST:
        raise SharpwaveError(f"structures at most {DEEPEST} deep", got="deeper ones", fix="save the file again")
    if isinstance(item, h5py.Group):
        return {key: _take_hdf5(file, item[key], depth + 1, count) for key in item if not key.startswith("#")}
    count[0] += int(item.size) + 1
    if count[0] > MOST_VALUES:
        raise SharpwaveError("at most 268 million values", got="more", fix="save fewer variables")
    kind = item.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if "MATLAB_empty" in item.attrs:
        return "" if kind == "char" else [] if kind == "cell" else np.zeros(0)
    values = item[()]
    if h5py.check_ref_dtype(item.dtype) is not None:
        return [_take_hdf5(file, file[ref], depth + 1, count) for ref in values.T.flat if ref]
    if kind == "char":
        return "".join(chr(int(code)) for code in values.T.flat)
    return np.asarray(values).T


def to_vector(value: Any) -> np.ndarray:
    """Numbers in one row, whatever shape they were saved in.

    >>> to_vector([np.array([[3]]), np.array([[4]])]).tolist()
    [3.0, 4.0]
    """
    if isinstance(value, list):
        return np.concatenate([to_vector(item) for item in value]) if value else np.zeros(0)
    array = np.asarray(value)
    return array.astype(np.float64).ravel() if array.dtype.kind in "biuf" else np.zeros(0)


def to_texts(value: Any, length: int) -> list[str]:
    """Texts, one a unit; "" where there are others than that many.

    >>> to_texts(["CA1", "CA3"], 2), to_texts("CA1", 1), to_texts(np.array([[1, 2]]), 2)
    (['CA1', 'CA3'], ['CA1'], ['1', '2'])
    """
    if isinstance(value, str):
        value = [value]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        value = [f"{number:g}" for number in value.ravel()]
    texts = [item if isinstance(item, str) else "" for item in value] if isinstance(value, list) else []
    return texts if len(texts) == length else [""] * length
