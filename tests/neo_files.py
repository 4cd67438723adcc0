"""Tiny recordings in the binary formats of electrophysiology systems, written by hand from their published layouts."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

RATE = 1250.0
PARAMETERS = """<?xml version='1.0'?>
<parameters version="1.0" creator="neuroscope-2.0">
 <acquisitionSystem><nBits>16</nBits><nChannels>{channels}</nChannels><samplingRate>20000</samplingRate>
  <voltageRange>20</voltageRange><amplification>1000</amplification><offset>0</offset></acquisitionSystem>
 <fieldPotentials><lfpSamplingRate>{rate:g}</lfpSamplingRate></fieldPotentials>
 <anatomicalDescription><channelGroups><group>{rows}</group></channelGroups></anatomicalDescription>
</parameters>
"""


def make_counts(n_samples: int = 5000, channels: int = 3, *, seed: int = 0) -> np.ndarray:
    """Stored numbers, int16, each channel of its own."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 400, (n_samples, channels)).round().astype("<i2")


def write_neuroscope(folder: Path, counts: np.ndarray, *, name: str = "rat", ending: str = ".lfp") -> Path:
    """`.xml` and samples (Neuroscope's manual): value × 20 V / 2¹⁶ / 1000."""
    rows = "".join(f"<channel skip='0'>{index}</channel>" for index in range(counts.shape[1]))
    (folder / f"{name}.xml").write_text(PARAMETERS.format(channels=counts.shape[1], rate=RATE, rows=rows))
    path = folder / f"{name}{ending}"
    path.write_bytes(counts.tobytes())
    return path


def write_spikeglx(folder: Path, counts: np.ndarray, *, rate: float = 2500.0) -> Path:
    """An LF band of a Neuropixels 1.0 (SpikeGLX guide): V = i × imAiRangeMax / imMaxInt / LF gain (250)."""
    n = counts.shape[1]
    imro = "".join(f"({index} 0 0 500 250 1)" for index in range(n))
    stored = np.c_[counts, np.zeros(len(counts), dtype="<i2")].astype("<i2")
    meta = {
        "typeThis": "imec", "fileName": "D:/run_g0/run_g0_t0.imec0.lf.bin",
        "fileCreateTime": "2024-03-01T22:30:15", "imDatPrb_type": 0, "imDatPrb_pn": "NP1010",
        "imSampRate": rate, "nSavedChans": n + 1,
        "snsApLfSy": f"0,{n},1", "snsSaveChanSubset": "all", "imAiRangeMax": 0.6, "imAiRangeMin": -0.6,
        "imMaxInt": 512, "fileSizeBytes": stored.nbytes, "fileTimeSecs": len(stored) / rate, "firstSample": 0,
        "acqApLfSy": f"{n},{n},1", "imDatPrb_port": 1, "imDatPrb_slot": 2,
        "~imroTbl": f"(0,{n}){imro}",
        "~snsChanMap": f"(0,{n},1)" + "".join(f"(LF{i};{i}:{i})" for i in range(n)) + f"(SY0;{n}:{n})",
    }  # fmt: skip
    path = folder / "run_g0_t0.imec0.lf.bin"
    path.write_bytes(stored.tobytes())
    path.with_suffix(".meta").write_text("\n".join(f"{key}={value}" for key, value in meta.items()) + "\n")
    return path


def write_open_ephys(
    folder: Path, counts: np.ndarray, *, rate: float = 1000.0, parts: int = 1, pause: int = 2000
) -> Path:
    """The binary format (Open Ephys GUI 0.6): `structure.oebin`, `continuous.dat`, `sample_numbers.npy`."""
    bit = 0.195
    pieces = np.array_split(counts, parts)
    first = 4000
    for number, piece in enumerate(pieces, 1):
        place = folder / "Record Node 101" / "experiment1" / f"recording{number}"
        stream = place / "continuous" / "Board-100.Rhythm"
        stream.mkdir(parents=True)
        names = [f"CH{index + 1}" for index in range(counts.shape[1])]
        described = {
            "GUI version": "0.6.4",
            "continuous": [
                {
                    "folder_name": "Board-100.Rhythm/",
                    "sample_rate": rate,
                    "stream_name": "Rhythm",
                    "source_processor_name": "Board",
                    "source_processor_id": 100,
                    "num_channels": len(names),
                    "channels": [{"channel_name": name, "bit_volts": bit, "units": "uV"} for name in names],
                }
            ],
            "events": [],
            "spikes": [],
        }
        (place / "structure.oebin").write_text(json.dumps(described))
        (stream / "continuous.dat").write_bytes(piece.tobytes())
        numbers = np.arange(first, first + len(piece), dtype=np.int64)
        np.save(stream / "sample_numbers.npy", numbers)
        np.save(stream / "timestamps.npy", numbers / rate)
        first += len(piece) + pause
    (folder / "Record Node 101" / "settings.xml").write_text("<SETTINGS/>")
    return folder


def _qstring(text: str) -> bytes:
    return struct.pack("<I", 2 * len(text)) + text.encode("utf-16-le")


def write_intan(path: Path, counts: np.ndarray, *, names: tuple[str, ...] = ("A-000", "A-001", "EMG")) -> Path:
    """An `.rhd` of version 1.3 (Intan's file-format notes): blocks of 60 samples, µV = 0.195 × (i − 32768)."""
    n_blocks = len(counts) // 60
    head = struct.pack(
        "<Ihh f h 6f h 2f", 0xC6912702, 1, 3, 2000.0, 1, 1.0, 0.1, 7500.0, 1.0, 0.1, 7500.0, 0, 1000.0, 1000.0
    )
    head += _qstring("") * 3 + struct.pack("<h", 0) + struct.pack("<h", 0)
    head += struct.pack("<h", 1) + _qstring("Port A") + _qstring("A") + struct.pack("<3h", 1, len(names), len(names))
    for order, name in enumerate(names):
        head += _qstring(name) + _qstring(name) + struct.pack("<6h", order, order, 0, 1, order, 0)
        head += struct.pack("<4h 2f", 0, 0, 0, 0, 0.0, 0.0)
    body = b""
    for block in range(n_blocks):
        body += np.arange(60 * block, 60 * (block + 1), dtype="<i4").tobytes()
        rows = counts[60 * block : 60 * (block + 1), : len(names)].astype(np.int32) + 32768
        body += rows.T.astype("<u2").tobytes()
    path.write_bytes(head + body)
    return path


def write_blackrock(path: Path, counts: np.ndarray, *, names: tuple[str, ...] = ("hpc1", "hpc2", "C3")) -> Path:
    """An `.ns2` of specification 2.3: 1 kHz, digital ±32764 as ±8191 µV, one packet of data."""
    head = struct.pack("<8s2BI16s256sII8HI", b"NEURALCD", 2, 3, 314 + 66 * len(names), b"1 kS/s", b"", 30, 30000,
                       2024, 3, 0, 1, 22, 30, 15, 0, len(names))  # fmt: skip
    for number, name in enumerate(names, 1):
        head += struct.pack("<2sH16s2B4h16s2IH2IH", b"CC", number, name.encode(), 1, number, -32764, 32764, -8191, 8191,
                            b"uV", 300, 4, 1, 250000, 4, 1)  # fmt: skip
    path.write_bytes(head + struct.pack("<BII", 1, 0, len(counts)) + counts[:, : len(names)].astype("<i2").tobytes())
    return path


def write_neuralynx(folder: Path, counts: np.ndarray, *, names: tuple[str, ...] = ("CSC1", "CSC2", "EMG1")) -> Path:
    """`.ncs` files: 16 KiB of text, then records of 512 samples with their time in µs."""
    rate = 2000
    for column, name in enumerate(names):
        text = (
            "######## Neuralynx Data File Header\r\n-FileType NCS\r\n-FileVersion 3.4\r\n-RecordSize 1044\r\n"
            "-TimeCreated 2024/03/01 22:30:15\r\n-TimeClosed 2024/03/01 22:31:15\r\n"
            f'-HardwareSubSystemType DigitalLynxSX\r\n-ApplicationName Cheetah "6.3.2"\r\n'
            f"-SamplingFrequency {rate}\r\n-ADMaxValue 32767\r\n-ADBitVolts 0.00000003051850948\r\n"
            f"-AcqEntName {name}\r\n-NumADChannels 1\r\n-ADChannel {column}\r\n"
            "-InputRange 1000\r\n-InputInverted False\r\n"
            "-DSPLowCutFilterEnabled True\r\n-DspLowCutFrequency 0.1\r\n"
            "-DspLowCutNumTaps 0\r\n-DspLowCutFilterType DCO\r\n"
            "-DSPHighCutFilterEnabled True\r\n-DspHighCutFrequency 500\r\n-DspHighCutNumTaps 128\r\n"
            "-DspHighCutFilterType FIR\r\n-DspDelayCompensation Disabled\r\n-DspFilterDelay_µs 0\r\n"
        )
        body = b""
        for record in range(len(counts) // 512):
            piece = counts[512 * record : 512 * (record + 1), column].astype("<i2")
            body += struct.pack("<QIII", 10**6 + round(512e6 / rate) * record, column, rate, 512) + piece.tobytes()
        (folder / f"{name}.ncs").write_bytes(text.encode("latin-1").ljust(16384, b"\x00") + body)
    return folder


def write_plexon(path: Path, counts: np.ndarray, *, names: tuple[str, ...] = ("FP01", "FP02", "FP03")) -> Path:
    """A `.plx` of version 106 with field potentials and one sorted unit; V = i × 5 / (2¹⁵ × 500 × 2)."""
    head = bytearray(7504)
    struct.pack_into("<I i", head, 0, 0x58454C50, 106)
    struct.pack_into("<14i", head, 136, 40000, 1, 0, len(names), 0, 0, 2024, 3, 1, 22, 30, 15, 0, 40000)
    struct.pack_into("<BBBBhhh", head, 200, 1, 1, 16, 16, 3000, 5000, 500)
    unit = bytearray(1020)
    struct.pack_into("<32s32s", unit, 0, b"sig001", b"sig001")
    struct.pack_into("<3i", unit, 64, 1, 0, 1)
    struct.pack_into("<4i", unit, 76, 0, 0, 500, 0)
    slow = b""
    for column, name in enumerate(names):
        one = bytearray(296)
        struct.pack_into("<32s6i", one, 0, name.encode(), column, 1000, 500, 1, 2, 0)
        slow += bytes(one)
    blocks = b""
    for column in range(len(names)):
        for start in range(0, len(counts), 1000):
            piece = counts[start : start + 1000, column].astype("<i2")
            blocks += struct.pack("<hHIhhhh", 5, 0, 40 * start, column, 0, 1, len(piece)) + piece.tobytes()
    for stamp, number in ((4000, 1), (8000, 1), (9000, 0), (40000, 1)):
        blocks += struct.pack("<hHIhhhh", 1, 0, stamp, 1, number, 0, 0)
    path.write_bytes(bytes(head) + bytes(unit) + slow + blocks)
    return path


TIMES = (np.arange(0.5, 9.0, 0.5), np.arange(0.25, 9.0, 0.75), np.arange(1.0, 9.0, 1.0))
TYPES = ("Pyramidal Cell", "Narrow Interneuron", "Pyramidal Cell")
AREAS = ("CA1", "CA1", "CA3")
WORDS = ("good", "good", "mua")


def write_phy(folder: Path, *, rate: float = 30_000.0, params: str | None = None) -> Path:
    """Phy's folder: units 3 (good), 5 (mua) and 8 (noise), and a `params.py` that must not be run."""
    stamps = np.concatenate([np.round(train * rate) for train in TIMES]).astype(np.int64)
    clusters = np.repeat([3, 5, 8], [len(train) for train in TIMES]).astype(np.int32)
    order = np.argsort(stamps, kind="stable")
    np.save(folder / "spike_times.npy", stamps[order])
    np.save(folder / "spike_clusters.npy", clusters[order])
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n3\tgood\n5\tmua\n8\tnoise\n")
    (folder / "cluster_info.tsv").write_text("cluster_id\tch\tarea\n3\t10\tCA1\n5\t11\tCA3\n8\t12\tCA1\n")
    default = f"dat_path = 'x.dat'\nsample_rate = {rate}\nraise SystemExit\n"
    (folder / "params.py").write_text(default if params is None else params)
    return folder


def write_cellexplorer(folder: Path, *, name: str = "rat", hdf5: bool = False) -> Path:
    """CellExplorer's session: units with metrics, states, ripples, position; version 5, or 7.3 for the units."""
    from scipy.io import savemat

    def cells(values: list) -> np.ndarray:
        array = np.empty((1, len(values)), dtype=object)
        array[0, :] = values
        return array

    spikes = {"times": cells([train[:, None] for train in TIMES]), "UID": np.arange(1.0, 4.0)[None], "sr": 20000.0}
    metrics = {
        "UID": np.arange(1.0, 4.0)[None],
        "putativeCellType": cells(list(TYPES)),
        "brainRegion": cells(list(AREAS)),
        "labels": cells(list(WORDS)),
        "firingRate": np.ones((1, 3)),
    }
    if hdf5:
        _write_hdf5(folder / f"{name}.spikes.cellinfo.mat")
    else:
        savemat(folder / f"{name}.spikes.cellinfo.mat", {"spikes": spikes}, do_compression=True)
    savemat(folder / f"{name}.cell_metrics.cellinfo.mat", {"cell_metrics": metrics}, do_compression=True)
    ints = {"WAKEstate": [[0.0, 3.0]], "NREMstate": [[3.0, 6.0], [8.0, 9.0]], "REMstate": [[6.0, 8.0]]}
    savemat(folder / f"{name}.SleepState.states.mat", {"SleepState": {"ints": ints}})
    savemat(folder / f"{name}.ripples.events.mat", {"ripples": {"timestamps": [[4.0, 4.1], [5.0, 5.06]]}})
    place = {"x": np.linspace(0, 100, 90)[:, None], "y": np.zeros((90, 1)), "units": "cm"}
    behavior = {"timestamps": np.arange(90)[:, None] / 10, "position": place}
    savemat(folder / f"{name}.animal.behavior.mat", {"behavior": behavior})
    return folder


def _write_hdf5(path: Path) -> None:
    """As MATLAB 7.3 does: a user block of 512 bytes, cells as references into `#refs#`, arrays transposed."""
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        kept = file.create_group("#refs#")
        group = file.create_group("spikes")
        group.attrs["MATLAB_class"] = np.bytes_(b"struct")
        cells = group.create_dataset("times", shape=(len(TIMES), 1), dtype=h5py.ref_dtype)
        cells.attrs["MATLAB_class"] = np.bytes_(b"cell")
        for row, train in enumerate(TIMES):
            data = kept.create_dataset("abc"[row], data=train[None])
            data.attrs["MATLAB_class"] = np.bytes_(b"double")
            cells[row, 0] = data.ref
        group.create_dataset("UID", data=np.arange(1.0, 4.0)[:, None]).attrs["MATLAB_class"] = np.bytes_(b"double")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + b"\x00" * 8 + b"\x00\x02IM")


def write_klusters(folder: Path, *, name: str = "rat", rate: int = 20_000) -> Path:
    """`.res.1` and `.clu.1`: two units, and clusters 0 and 1."""
    stamps = np.concatenate([np.round(train * rate) for train in TIMES[:2]]).astype(int)
    clusters = np.repeat([2, 3], [len(train) for train in TIMES[:2]])
    stamps, clusters = np.r_[stamps, 7, 9], np.r_[clusters, 0, 1]
    (folder / f"{name}.res.1").write_text("\n".join(map(str, stamps)) + "\n")
    (folder / f"{name}.clu.1").write_text("\n".join(map(str, [4, *clusters])) + "\n")
    return folder
