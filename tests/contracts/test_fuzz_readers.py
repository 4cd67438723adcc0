"""A damaged file either reads or is refused in three parts; nothing hangs, crashes, runs or fills the memory.

A seeded share runs always; `SHARPWAVE_FUZZ=2000` reads that many damaged files.
"""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py  # noqa: F401  (asks for the name of the machine when it is first imported, which the watch would see)
import numpy as np
import pytest
from tests import electrophysiology_files as lab
from tests import files, neo_files, watch_files
from tests.fuzz import mutate, time_limit, watch
from tests.own_files import OWN_FORMATS
from tests.recordings.readers.test_hypnogram_shapes import FILES as SHAPES

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.readers import READERS, read_hypnogram, read_recording, read_scoring
from sharpwave.recordings.recording import Recording

SECONDS_PER_FILE = 20.0
MEMORY_GROWTH = 1e9
N_FAST = 200

Write = Callable[[Path], Path]
Read = Callable[[Path], object]


def _writer(name: str, text: str) -> Write:
    return lambda folder: write_shape(folder / name, text)


def write_shape(path: Path, text: str) -> Path:
    """A scoring in one of the shapes of `test_hypnogram_shapes.py`."""
    path.write_text(text, encoding="utf-8")
    return path


FORMATS: dict[str, tuple[Write, Read]] = {
    "edf": (lambda folder: lab.write_edf(folder / "night.edf"), read_recording),
    "edf+": (lambda folder: lab.write_edf(folder / "night.edf", stages=lab.STAGES), read_recording),
    "edf+d": (lambda folder: lab.write_discontinuous_edf(folder / "night.edf"), read_recording),
    "bdf": (lambda folder: lab.write_bdf(folder / "night.bdf"), read_recording),
    "fif": (lambda folder: lab.write_fif(folder / "night_raw.fif"), read_recording),
    "brainvision": (lambda folder: lab.write_brainvision(folder / "night.vhdr"), read_recording),
    "eeglab": (lambda folder: lab.write_eeglab(folder / "night.set"), read_recording),
    "text": (lambda folder: lab.write_text_channel(folder / "c3.txt"), lambda path: read_recording(path, rate=128.0)),
    "hypnogram lines": (lambda folder: lab.write_label_lines(folder / "stages.txt"), read_hypnogram),
    "hypnogram json": (lambda folder: lab.write_dreem_json(folder / "stages.json"), read_hypnogram),
    "hypnogram export": (lambda folder: lab.write_export(folder / "export.csv"), read_hypnogram),
    "hypnogram edf": (lambda folder: lab.write_edf(folder / "h.edf", stages=lab.STAGES), read_hypnogram),
    "hypnogram tsv": (
        lambda folder: Hypnogram.from_labels(lab.STAGES).write(folder / "n_hypnogram.tsv"),
        read_hypnogram,
    ),
    "nwb": (lambda folder: files.write_small_nwb(folder / "session.nwb"), read_recording),
    "nifti": (lambda folder: files.write_small_nifti(folder / "bold.nii"), read_recording),
    "nifti gz": (lambda folder: files.write_small_nifti(folder / "bold.nii.gz"), read_recording),
    "bids": (lambda folder: files.write_small_bids(folder), read_recording),
    "wearable csv": (lambda folder: files.write_small_wearable(folder / "watch.csv"), read_recording),
    "wearable tsv": (lambda folder: files.write_small_wearable(folder / "watch.tsv"), read_recording),
    "apple health": (lambda folder: watch_files.write_apple_health(folder / "export.xml"), read_recording),
    "fitbit": (lambda folder: watch_files.write_fitbit(folder / "heart_rate-2024-03-01.json"), read_recording),
    "oura": (lambda folder: watch_files.write_oura(folder / "oura.json"), read_recording),
    "actiwatch": (lambda folder: watch_files.write_actiwatch(folder / "arm.awd"), read_recording),
    "gt3x": (lambda folder: watch_files.write_gt3x(folder / "a.gt3x", np.ones((300, 3))), read_recording),
    "geneactiv": (lambda folder: watch_files.write_geneactiv(folder / "a.bin", np.ones((600, 3))), read_recording),
    "dreem": (lambda folder: watch_files.write_dreem(folder / "a.h5", np.ones(2500)), read_recording),
    "intan": (lambda folder: neo_files.write_intan(folder / "a.rhd", neo_files.make_counts(600)), read_recording),
    "plexon": (lambda folder: neo_files.write_plexon(folder / "a.plx", neo_files.make_counts(600)), read_recording),
    "blackrock": (
        lambda folder: neo_files.write_blackrock(folder / "a.ns2", neo_files.make_counts(600)),
        read_recording,
    ),
    "cellexplorer": (
        lambda folder: neo_files.write_cellexplorer(folder) / "rat.spikes.cellinfo.mat",
        read_recording,
    ),
    "wfdb": (lambda folder: lab.write_wfdb(folder / "a.hea"), read_recording),
    "zarr": (lambda folder: files.write_small_store(folder / "night.zarr"), read_recording),
    "hypnogram profusion xml": (lambda folder: lab.write_profusion_xml(folder / "profusion.xml"), read_hypnogram),
    "hypnogram nsrr xml": (lambda folder: lab.write_nsrr_xml(folder / "nsrr.xml"), read_hypnogram),
    **{f"hypnogram {name}": (_writer(name, text), read_scoring) for name, text in SHAPES.items()},
    **OWN_FORMATS,
}


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One valid file of each format, in a folder of its own."""
    paths = {}
    for name, (write, _) in FORMATS.items():
        folder = tmp_path_factory.mktemp("valid") / "source"
        folder.mkdir()
        paths[name] = write(folder)
    return paths


def test_every_reader_has_a_file_to_damage(valid: dict[str, Path]) -> None:
    from fnmatch import fnmatch

    reached = {
        next(reader.function for pattern, reader in READERS.items() if fnmatch(path.name, pattern))
        for name, path in valid.items()
        if not name.startswith("hypnogram") and name not in OWN_FORMATS
    }
    assert reached == {reader.function for reader in READERS.values()}


@pytest.mark.parametrize("name", FORMATS)
def test_the_undamaged_file_reads(valid: dict[str, Path], name: str) -> None:
    _use(FORMATS[name][1](valid[name]))


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files(valid: dict[str, Path], name: str, tmp_path: Path) -> None:
    wanted = int(os.environ.get("SHARPWAVE_FUZZ", N_FAST))
    outcomes, slowest, failures = fuzz(name, valid[name], tmp_path, n_files=-(-wanted // len(FORMATS)), seed=20)
    print(f"\n{name}: {dict(outcomes)}, slowest {slowest:.2f} s")
    assert not failures, "\n".join(failures)


def _launch(path: Path) -> Recording:
    os.system("true")
    raise SharpwaveError("one", got="two", fix="three")


def _hang(path: Path) -> Recording:
    while True:
        try:
            time.sleep(1)
        except Exception:  # as a reader might, which must not defeat the time limit
            continue


def _leak(path: Path) -> Recording:
    raise ValueError(path.name)


@pytest.mark.parametrize(("read", "noticed"), [(_launch, "os.system"), (_hang, "TimedOutError"), (_leak, "ValueError")])
def test_the_fuzzer_notices(
    read: Read, noticed: str, valid: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_damaged(path: Path) -> Recording:
        return read(path) if "damaged" in path.parts else read_recording(path, rate=128.0)

    monkeypatch.setitem(globals(), "SECONDS_PER_FILE", 0.05)
    monkeypatch.setitem(FORMATS, "text", (FORMATS["text"][0], only_damaged))
    _, _, failures = fuzz("text", valid["text"], tmp_path, n_files=1, seed=0)
    assert noticed in failures[0]


def fuzz(name: str, source: Path, folder: Path, *, n_files: int, seed: int) -> tuple[Counter[str], float, list[str]]:
    """Read `n_files` damaged copies; returns what came out, the slowest, and what should not have happened."""
    rng = np.random.default_rng([seed, list(FORMATS).index(name)])
    read = FORMATS[name][1]
    read(source)
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    slowest = 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(n_files):
        path, what = mutate(source, folder / "damaged", rng)
        began = time.perf_counter()
        with watch() as deeds:
            outcome = _outcome(read, path)
        slowest = max(slowest, time.perf_counter() - began)
        outcomes[outcome.partition(":")[0]] += 1
        if outcome.startswith("failed") or deeds:
            failures.append(f"{name} file {number} ({what}): {outcome} {deeds[:3]}")
    growth = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    if growth > MEMORY_GROWTH:
        failures.append(f"{name}: memory grew by {growth / 1e9:.2f} GB")
    return outcomes, slowest, failures


def _outcome(read: Read, path: Path) -> str:
    try:
        with time_limit(SECONDS_PER_FILE):
            _use(read(path))
    except SharpwaveError as error:
        complete = error.expected and error.got and error.fix
        return "refused" if complete else f"failed: an incomplete message {error}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"failed: {type(error).__name__}: {error}"
    return "read"


def _use(result: object) -> None:
    """Touch what a caller would touch."""
    if isinstance(result, Hypnogram):
        result.bouts()
    if not isinstance(result, Recording):
        return
    assert result.duration >= 0
    for signal in list(result.signals.values())[:6]:
        signal.read(signal.start, signal.start + min(signal.duration, 1000 / signal.rate))
        signal.read(max(signal.start, signal.end - 1000 / signal.rate), None)
    len(result.events)
    if result.hypnogram is not None:
        result.hypnogram.bouts()
