"""Nothing leads out of an HDF5 file, and nothing in it takes more memory than a file of its size may."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.files import write_small_nwb

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.nwb import read_nwb
from sharpwave.recordings.readers.nwb_inside import check_links, open_inside
from sharpwave.recordings.recording import Recording

SECRET = 4321.25
STATES = "processing/behavior/sleep_states"
TRACK = "processing/behavior/Position/track"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_small_nwb(tmp_path_factory.mktemp("nwb") / "session.nwb").read_bytes()


@pytest.fixture
def session(original: bytes, tmp_path: Path) -> Path:
    """A session, and beside it a file whose content is nobody's business."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["numbers"] = np.full(4, SECRET)
        file["text"] = "secret"
        file["group/start_time"], file["group/stop_time"] = np.full(3, SECRET), np.full(3, SECRET + 1)
    np.full(4, SECRET).tofile(tmp_path / "secret.bin")
    path = tmp_path / "session.nwb"
    path.write_bytes(original)
    return path


def replace_with(file: h5py.File, name: str, link: object) -> None:
    if name in file:
        del file[name]
    file[name] = link


def out(place: str) -> h5py.ExternalLink:
    return h5py.ExternalLink("secret.h5", place)


def store_outside(file: h5py.File, name: str) -> None:
    del file[name]
    file.create_dataset(name, shape=(4,), dtype="f8", external=[("secret.bin", 0, 32)])


def make_virtual(file: h5py.File, name: str) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f8")
    layout[:] = h5py.VirtualSource("secret.h5", "numbers", shape=(4,))
    del file[name]
    file.create_virtual_dataset(name, layout)


def lead_softly(file: h5py.File, name: str, *, place: str = "numbers") -> None:
    """A soft link inside the file that passes through an external one."""
    replace_with(file, "scratch_out", out("/"))
    replace_with(file, name, h5py.SoftLink(f"/scratch_out/{place}"))


LEADS_OUT: dict[str, Callable[[h5py.File], object]] = {
    "spike times": lambda file: replace_with(file, "units/spike_times", out("/numbers")),
    "spike times, softly": lambda file: lead_softly(file, "units/spike_times"),
    "spike times, stored outside": lambda file: store_outside(file, "units/spike_times"),
    "spike times, virtual": lambda file: make_virtual(file, "units/spike_times"),
    "starts of states": lambda file: replace_with(file, f"{STATES}/start_time", out("/numbers")),
    "a column of states": lambda file: store_outside(file, f"{STATES}/stop_time"),
    "a further column of states": lambda file: replace_with(file, f"{STATES}/code", out("/numbers")),
    "a group of intervals": lambda file: replace_with(file, "intervals/more", out("/group")),
    "a group, softly": lambda file: lead_softly(file, "intervals/more", place="group"),
    "the subject": lambda file: replace_with(file, "general/subject/subject_id", out("/text")),
    "the group of the subject": lambda file: replace_with(file, "general/subject", out("/")),
    "the start": lambda file: replace_with(file, "session_start_time", out("/text")),
    "samples, softly": lambda file: lead_softly(file, f"{TRACK}/data"),
    "timestamps": lambda file: make_virtual(file, f"{TRACK}/timestamps"),
    "electrodes": lambda file: replace_with(file, "general/extracellular_ephys/electrodes/location", out("/numbers")),
}


def tell(recording: Recording) -> str:
    """All that a recording says."""
    parts: list[object] = [recording.subject, recording.start, recording.metadata, recording.events.to_dict("list")]
    parts += [signal.read().ravel()[:9].tolist() for signal in recording.signals.values()]
    parts += [signal.channels for signal in recording.signals.values()]
    if recording.spikes is not None:
        parts += [recording.spikes[unit].times()[:9].tolist() for unit in recording.spikes.keys()]  # noqa: SIM118
    return str(parts)


@pytest.mark.parametrize("kind", LEADS_OUT)
def test_what_leads_out_of_the_file_is_not_followed(session: Path, kind: str) -> None:
    with h5py.File(session, "a") as file:
        LEADS_OUT[kind](file)
    said, kept = read_or_refuse(session)
    assert str(int(SECRET)) not in said
    assert "secret" not in said
    assert not kept or "another file" in said


def read_or_refuse(session: Path) -> tuple[str, bool]:
    """All that a recording, or its refusal, says; and whether it was read."""
    try:
        recording = read_nwb(session)
    except SharpwaveError as error:
        return str(error), False
    return tell(recording) + str((recording.absent, recording.repairs)), True


def test_links_inside_the_file_are_followed(session: Path) -> None:
    with h5py.File(session, "a") as file:
        file["scratch/kept"] = file["units/spike_times"]
        replace_with(file, "units/spike_times", h5py.SoftLink("/scratch/./kept"))
        file.move("general/subject/subject_id", "general/subject/name")
        file["general/subject/subject_id"] = h5py.SoftLink("name")
        file["general/subject/strain"] = h5py.SoftLink("strain")
    recording = read_nwb(session)
    assert recording.subject == "M1"
    assert len(recording.spikes) == 3


def hide(file: h5py.File, name: str, n: int, dtype: str = "f8") -> None:
    """A data set of n numbers, packed into next to nothing."""
    attributes = dict(file[name].attrs)
    del file[name]
    data = file.create_dataset(name, shape=(n,), dtype=dtype, chunks=(2**20,), compression="gzip")
    for low in range(0, n, 2**22):
        data[low : low + 2**22] = 0
    data.attrs.update(attributes)


def share_text(file: h5py.File) -> None:
    """Many rows that all point to one long text."""
    name, n = f"{STATES}/label", 20_000
    for column in ("start_time", "stop_time"):
        del file[f"{STATES}/{column}"]
        file[f"{STATES}/{column}"] = np.arange(n) + (column == "stop_time")
    del file[name]
    data = file.create_dataset(name, shape=(n,), dtype=h5py.string_dtype(), chunks=(n,))
    data[0] = "x" * 50_000
    pointer = np.empty(n * 16, dtype=np.uint8)
    filters, raw = data.id.read_direct_chunk((0,))
    pointer[:] = np.tile(np.frombuffer(raw[:16], dtype=np.uint8), n)
    data.id.write_direct_chunk((0,), pointer.tobytes(), filters)


BOMBS: dict[str, Callable[[h5py.File], object]] = {
    "a start of many numbers": lambda file: hide(file, "processing/ecephys/LFP/ElectricalSeries/starting_time", 2**26),
    "spike times": lambda file: hide(file, "units/spike_times", 2**25),
    "starts of states": lambda file: hide(file, f"{STATES}/start_time", 2**25),
    "identifiers": lambda file: hide(file, "units/id", 2**25, "i8"),
    "one text for all": share_text,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_small_files_take_little_memory(session: Path, kind: str) -> None:
    with h5py.File(session, "a") as file:
        BOMBS[kind](file)
    assert session.stat().st_size < 2_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SharpwaveError, match=r"session\.nwb"):
        read_nwb(session)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250_000  # kB


def test_a_giant_chunk_is_refused(session: Path) -> None:
    with h5py.File(session, "a") as file:
        data = file.create_dataset("big", shape=(2**24,), dtype="f8", chunks=(2**24,), compression="gzip")
        data[:] = 0
    with h5py.File(session, "r") as file, pytest.raises(SharpwaveError, match="smaller chunks"):
        open_inside(file, where="session.nwb", size=1000).array("big").check_size()


def test_a_long_text_is_no_name(session: Path) -> None:
    with h5py.File(session, "a") as file:
        replace_with(file, "general/subject/subject_id", "x" * 100_000)
        replace_with(file, "general/subject/strain", ["a", "b"])
    assert read_nwb(session).subject == "unknown"


@pytest.mark.parametrize("leads", [True, False])
def test_files_for_other_libraries_are_checked_for_links(session: Path, leads: bool) -> None:
    if not leads:
        check_links(str(session), where="session.nwb")
        return
    with h5py.File(session, "a") as file:
        lead_softly(file, "EEG")
    with pytest.raises(SharpwaveError, match=r"everything of session\.nwb inside it"):
        check_links(str(session), where="session.nwb")
