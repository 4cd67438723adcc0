"""Where a BIDS data set keeps its nights, and which sidecars apply to a file.

Sidecars are found by the inheritance principle (BIDS 1.10): the nearest file upwards whose entities all match.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sharpwave.errors import SharpwaveError

EEG_FORMATS = (".edf", ".bdf", ".vhdr", ".set", ".fif")


def list_bids_nights(
    root: str | Path, participants: Sequence[str] | None = None, sessions: Sequence[str] | None = None
) -> list[Path]:
    """EEG files of a BIDS data set, in order.

    Args:
        root: The data set's folder, or one inside it.
        participants: Keep only these, as "01" or "sub-01".
        sessions: Keep only these, as "1" or "ses-1".

    Raises:
        SharpwaveError: If the folder does not exist, or a named participant or session has no EEG.
    """
    root = Path(root)
    if not root.is_dir():
        raise SharpwaveError("a folder of a BIDS data set", got=str(root), fix="check the path")
    files = [path for path in root.rglob("*_eeg.*") if path.suffix.lower() in EEG_FORMATS]
    files = sorted(path for path in files if not any(map(_is_apart, path.relative_to(root).parts)))
    for entity, wanted in (("sub", participants), ("ses", sessions)):
        if wanted:
            names = {str(name).removeprefix(f"{entity}-") for name in wanted}
            there = {parse_entities(path).get(entity, "") for path in files}
            if names - there:
                raise SharpwaveError(
                    f"EEG of {entity}-{sorted(names - there)[0]} in {root.name}",
                    got=f"{entity} {', '.join(sorted(there)[:10]) or '(none)'}",
                    fix="check the name, and that the files end in _eeg.edf, .bdf, .vhdr, .set or .fif",
                )
            files = [path for path in files if parse_entities(path).get(entity, "") in names]
    return files


def _is_apart(folder: str) -> bool:
    """Whether a folder holds no raw nights of the data set itself."""
    return folder in ("derivatives", "sourcedata", "code") or folder.startswith(".")


def find_sidecar(path: Path, suffix: str) -> Path | None:
    """The sidecar that applies to a file: `suffix` is such as "channels.tsv".

    Searched from the file's folder up to the data set's, for a file whose entities are all the file's own.
    """
    own = parse_entities(path)
    for folder in [path.parent, *path.parents[1:]]:
        fitting = [
            candidate
            for candidate in folder.glob(f"*{suffix}")
            if candidate.name.rpartition("_")[2] == suffix and parse_entities(candidate).items() <= own.items()
        ]
        if fitting:
            return max(fitting, key=lambda candidate: (len(parse_entities(candidate)), candidate.name))
        if (folder / "dataset_description.json").exists():
            break
    return None


def find_root(path: Path) -> Path | None:
    """The folder of the data set that a file belongs to; None where it belongs to none.

    The one with `dataset_description.json`; where nobody wrote it, the one above the file's `sub-` folder.
    """
    described = next((folder for folder in path.parents if (folder / "dataset_description.json").is_file()), None)
    subject = f"sub-{parse_entities(path).get('sub', '')}"
    return described or next((folder.parent for folder in path.parents if folder.name == subject), None)


def parse_entities(path: Path) -> dict[str, str]:
    """Entities of a file name: {"sub": "01", "task": "sleep"}."""
    return dict(re.findall(r"(?:^|_)([a-z]+)-([^_]+)(?=_)", path.name))


def find_derivative(path: Path) -> Path | None:
    """A hypnogram of this file under `derivatives/`."""
    root = find_root(path)
    if root is None or not (root / "derivatives").is_dir():
        return None
    own = parse_entities(path)
    fitting = [
        candidate
        for candidate in sorted((root / "derivatives").rglob("*_hypnogram.tsv"))
        if all(own.get(key) == value for key, value in parse_entities(candidate).items() if key != "desc")
    ]
    return fitting[0] if fitting else None
