"""One night to decode: where its results go, whether they are there already, and the log of how they were made."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sharpwave import __version__
from sharpwave.disk import find_changed, show_path
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import check_folder, settle_files, write_file

if TYPE_CHECKING:
    from sharpwave.night.day_options import DayOptions
    from sharpwave.night.decoded import DecodedNight
    from sharpwave.night.options import DecodeOptions
    from sharpwave.night.several_nights import NightSpan
    from sharpwave.reports.actogram import Actogram

LOG, FAILED_LOG = "log.txt", "log-failed.txt"


@dataclass(frozen=True)
class NightTask:
    """One night to decode, and where its results go.

    Attributes:
        source: Path of the recording, or a data set by name.
        name: Short name of the night.
        folder: Folder of its results; for BIDS derivatives, their root.
        entities: BIDS entities ("sub-01_ses-2_task-sleep"); None for plain files.
        hypnogram: Also write BIDS's proposed `_hypnogram.tsv`.
        night: The night to take of a recording of several days; None where the recording is one night.
        days: How the days of a long recording were cut, where `night` is one of them; None otherwise.
        actogram: What a watch recorded over all its days, with the first of its nights; None otherwise.
    """

    source: str
    name: str
    folder: Path
    entities: str | None = None
    hypnogram: bool = False
    night: NightSpan | None = None
    days: DayOptions | None = None
    actogram: Actogram | None = field(default=None, compare=False, repr=False)

    @property
    def summary(self) -> Path:
        if self.entities is None:
            return self.folder / "summary.json"
        from sharpwave.reports.files import locate_summary

        return locate_summary(self.folder, self.entities)

    @property
    def page(self) -> Path:
        if self.entities is None:
            return self.folder / "report.html"
        from sharpwave.reports.files import locate_page

        return locate_page(self.folder, self.entities)

    @property
    def failed_log(self) -> Path:
        """Where a failure is written down: earlier results keep the log that they were made with."""
        name = FAILED_LOG if self.summary.exists() else LOG
        return self.summary.with_name(self.summary.name.removesuffix("summary.json") + name)

    def settle(self) -> None:
        """Finish what a process that died had written whole, but not yet moved into place."""
        from sharpwave.reports.files import name_ready

        if self.entities is None:
            settle_files(self.folder)
        else:
            settle_files(self.folder, ready=name_ready(self.entities))

    def check(self) -> None:
        """Before the work: can the results be written, in place of nothing but results?

        Raises:
            SharpwaveError: If not.
        """
        from sharpwave.reports.files import OURS

        if self.entities is None:
            check_folder(self.folder, known=OURS)
            return
        check_folder(self.folder, owns=Path.is_dir)
        if not self.summary.exists():
            check_group_page(self.page)

    def write(self, night: DecodedNight, options: DecodeOptions, texts: Mapping[str, str]) -> Path:
        """Write all files; returns the path of the page."""
        from sharpwave.reports.files import write_bids_files, write_files

        config = options.to_dict()
        if self.entities is None:
            return write_files(night, self.folder, config=config, texts=texts)
        return write_bids_files(night, self.folder, self.entities, config=config, hypnogram=self.hypnogram, texts=texts)


class NightLog:
    """What happened to a night, step by step: passed on as progress, and written beside the results."""

    def __init__(self, task: NightTask, progress: Callable[[str, int, int], None] | None) -> None:
        self._task = task
        self._begun = False
        self._progress = progress
        self._begin = time.perf_counter()
        self._lines = [f"sharpwave {__version__}"]

    def __call__(self, step: str, done: int, total: int) -> None:
        self._lines.append(f"{time.perf_counter() - self._begin:8.1f} s  {step}")
        if self._progress is not None:
            self._progress(step, done, total)

    def begin(self) -> None:
        """The folder of the results is ours to write into from here on."""
        self._begun = True

    def compose(self, lines: Sequence[str]) -> str:
        """The whole log, with these lines at its end."""
        return show_path("\n".join([*self._lines, *lines]) + "\n")

    def write_failure(self, details: str) -> Path | None:
        """Write down why a night failed; None where nothing may be, or can be, written."""
        if not self._begun:
            return None
        try:
            return write_file(self._task.failed_log, self.compose([details]))
        except (SharpwaveError, OSError):
            return None


def read_key(summary: Path) -> str | None:
    """The key under which results were made, or None where there are none."""
    try:
        return str(json.loads(summary.read_text(encoding="utf-8"))["hashes"]["key"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def is_whole(task: NightTask) -> bool:
    """Whether all files of earlier results are there; those of version 0.1 are known by their names only.

    Raises:
        SharpwaveError: If one is not as it was written: what was changed by hand is not replaced unasked.
    """
    return not check_results(task.summary) and task.page.is_file()


def check_results(summary: Path) -> list[str]:
    """Refuse results of a night whose files are not of one run.

    Args:
        summary: Their `summary.json`, which holds the hash of each file; that of version 0.1 holds none.

    Returns:
        Names of files that are missing.

    Raises:
        SharpwaveError: If a file is not the one that the summary was written with.

    >>> check_results(Path("nowhere/summary.json"))
    []
    """
    hashes = _read_hashes(summary)
    while True:
        missing = [name for name in hashes if not (summary.parent / name).is_file()]
        changed = find_changed(summary.parent, {name: hashes[name] for name in hashes if name not in missing})
        before, hashes = hashes, _read_hashes(summary)
        if hashes == before:  # else another process put its results in place while these were looked at
            break
    if changed:
        raise SharpwaveError(
            f"results in {show_path(summary.parent)} of one run",
            got=f"{', '.join(changed[:3])} with other content than {summary.name} was written with",
            fix="decode the night again with --overwrite; copy what you changed to another folder first",
        )
    return missing


def _read_hashes(summary: Path) -> dict[str, str]:
    try:
        return dict(json.loads(summary.read_text(encoding="utf-8")).get("files", {}))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def check_group_page(path: Path) -> None:
    """Refuse to write the page over all nights in place of a page of someone else's.

    Raises:
        SharpwaveError: If there is such a page.
    """
    if os.path.lexists(path) and not (path.is_file() and b"sharpwave" in path.read_bytes()):
        raise SharpwaveError(
            "a folder for the page over all nights",
            got=f"{show_path(path)}, which sharpwave did not write",
            fix="give another --output",
        )
