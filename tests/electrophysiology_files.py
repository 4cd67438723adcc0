"""Small valid recordings and scorings in the formats of the sleep laboratory, for readers and for fuzzers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, time
from pathlib import Path

import numpy as np
from edfio import Bdf, BdfSignal, Edf, EdfAnnotation, EdfSignal, Patient, Recording

LABELS = ("C4-M1", "E1-M2", "EMG chin")
RATES = (128.0, 64.0, 128.0)
SECONDS = 60
STAGES = ("W", "N1", "N2", "N2", "N3", "R")


def make_samples(*, seed: int = 0, seconds: int = SECONDS) -> list[np.ndarray]:
    """EEG-like noise in µV, one array per label."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 20, size=int(rate * seconds)) for rate in RATES]


def write_edf(
    path: Path,
    *,
    seed: int = 0,
    stages: Sequence[str] = (),
    unit: str = "uV",
    factor: float = 1.0,
    seconds: int = SECONDS,
) -> Path:
    """An EDF (EDF+ with stages among its annotations, if given) with two rates."""
    signals = [
        EdfSignal(
            samples * factor, rate, label=label, physical_dimension=unit, physical_range=(-200 * factor, 200 * factor)
        )
        for label, rate, samples in zip(LABELS, RATES, make_samples(seed=seed, seconds=seconds), strict=True)
    ]
    marks = [EdfAnnotation(10 * i, 10, f"Sleep stage {stage}") for i, stage in enumerate(stages)]
    patient = Patient(code="S7", sex="F", birthdate=date(1980, 5, 1))
    edf = Edf(
        signals,
        patient=patient,
        recording=Recording(startdate=date(2020, 3, 1)),
        starttime=time(22, 30, 15),
        annotations=[*marks, EdfAnnotation(3.5, None, "Lights off")] if stages else [],
        data_record_duration=1,
    )
    edf.write(path)
    return path


def write_bdf(path: Path, *, seed: int = 0) -> Path:
    """A 24-bit BDF+ with one annotation."""
    signals = [
        BdfSignal(samples, rate, label=label, physical_dimension="uV", physical_range=(-200, 200))
        for label, rate, samples in zip(LABELS, RATES, make_samples(seed=seed), strict=True)
    ]
    Bdf(signals, annotations=[EdfAnnotation(2, None, "Lights off")], data_record_duration=1).write(path)
    return path


def write_discontinuous_edf(path: Path, *, gap: float = 30.0) -> Path:
    """An EDF+D whose second half starts `gap` seconds late."""
    write_edf(path, stages=STAGES)
    raw = bytearray(path.read_bytes())
    raw[192:197] = b"EDF+D"
    n_signals = int(raw[252:256])
    counts = [int(raw[256 + 216 * n_signals + 8 * i :][:8]) for i in range(n_signals)]
    labels = [bytes(raw[256 + 16 * i :][:16]).strip() for i in range(n_signals)]
    at = 2 * sum(counts[: labels.index(b"EDF Annotations")])
    for record in range(SECONDS // 2, SECONDS):
        begin = 256 * (n_signals + 1) + record * 2 * sum(counts) + at
        old = bytes(raw[begin : begin + 2 * counts[labels.index(b"EDF Annotations")]])
        new = old.replace(b"+%d\x14\x14" % record, b"+%d\x14\x14" % (record + gap), 1)
        raw[begin : begin + len(old)] = new[: len(old)].ljust(len(old), b"\x00")
    path.write_bytes(raw)
    return path


def write_timed_edf(
    path: Path,
    onsets: Sequence[float],
    *,
    flag: str = "EDF+C",
    notes: Sequence[tuple[int, float, float, str]] = (),
    records: np.ndarray | None = None,
    unit: str = "uV",
    label: str = "EEG C4-M1",
    rate: int = 128,
    patient: str = "X X X X",
    recording: str = "Startdate 01-FEB-2023 X X X",
    start: str = "01.02.23",
    record_duration: str = "1",
) -> Path:
    """An EDF+ (BDF+ by its name) of one channel whose data records of 1 s begin at `onsets`, in seconds.

    Args:
        path: Where to write it; ".bdf" makes 24 bits.
        onsets: Stated start of each data record; NaN states none.
        flag: Reserved field of the header.
        notes: Annotations: number of the record they are stored in, onset, duration, text.
        records: Values in µV, shape (record, sample); a ramp that tells each sample apart if None.
        unit: Physical dimension in the header.
        label: Label of the channel.
        rate: Samples in each record.
        patient: Patient field.
        recording: Recording field.
        start: Start date.
        record_duration: Duration of a data record as the header states it.
    """
    width, word = (3, "BDF") if path.suffix == ".bdf" else (2, "EDF")
    limit, room = 2 ** (8 * width - 1), 120
    if records is None:
        records = np.arange(len(onsets) * rate).reshape(-1, rate) % 2000 / 10 - 100
    gain = 1000 / (2 * limit - 1)
    stored = np.round((records + 500) / gain - limit).astype("<i4")
    fields: list[tuple[int, list[object]]] = [
        (16, [label, f"{word} Annotations"]), (80, ["", ""]), (8, [unit, ""]), (8, [-500, -1]), (8, [500, 1]),
        (8, [-limit, -limit]), (8, [limit - 1, limit - 1]), (80, ["", ""]), (8, [rate, room // width]), (32, ["", ""]),
    ]  # fmt: skip
    fixed = [(80, patient), (80, recording), (8, start), (8, "22.30.15"), (8, 768), (44, flag), (8, len(onsets))]
    fixed += [(8, record_duration), (4, 2)]
    head = b"0       " if width == 2 else b"\xffBIOSEMI"
    head += b"".join(str(value).encode("latin-1").ljust(size) for size, value in fixed)
    head += b"".join(str(value).encode("latin-1").ljust(size) for size, values in fields for value in values)
    body = []
    for number, onset in enumerate(onsets):
        body.append(stored[number].view(np.uint8).reshape(-1, 4)[:, :width].tobytes())
        marks = b"" if np.isnan(onset) else f"+{onset:.6f}".rstrip("0").rstrip(".").encode() + b"\x14\x14\x00"
        for record, begin, duration, text in notes:
            marks += f"+{begin:g}\x15{duration:g}\x14{text}\x14\x00".encode() if record == number else b""
        body.append(marks.ljust(room, b"\x00"))
    path.write_bytes(head + b"".join(body))
    return path


def write_fif(path: Path, *, seed: int = 0) -> Path:
    """A raw FIF of an EEG, an EOG and an EMG channel, with an annotation."""
    import mne

    info = mne.create_info(["C4-M1", "E1", "chin"], 128.0, ["eeg", "eog", "emg"])
    data = np.random.default_rng(seed).normal(0, 2e-5, size=(3, 128 * SECONDS))
    raw = mne.io.RawArray(data, info, verbose="error")
    raw.set_annotations(mne.Annotations([5.0], [0.5], ["spindle"]))
    raw.save(path, verbose="error")
    return path


def write_brainvision(path: Path, *, seed: int = 0) -> Path:
    """A BrainVision header with its int16 data and markers beside it."""
    counts = np.random.default_rng(seed).integers(-400, 400, size=(128 * SECONDS, 2)).astype("<i2")
    path.with_suffix(".eeg").write_bytes(counts.tobytes())
    path.with_suffix(".vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={path.stem}.eeg\n[Marker Infos]\nMk1=Stimulus,S  1,256,1,0\n"
    )
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={path.stem}.eeg\nMarkerFile={path.stem}.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        "NumberOfChannels=2\nSamplingInterval=7812.5\n[Binary Infos]\nBinaryFormat=INT_16\n"
        "[Channel Infos]\nCh1=C4,,0.1,µV\nCh2=Cz,,0.1,µV\n",
        encoding="utf-8",
    )
    return path


def write_eeglab(path: Path, *, seed: int = 0) -> Path:
    """An EEGLAB `.set` with its samples inside (MATLAB 5)."""
    from scipy.io import savemat

    data = np.random.default_rng(seed).normal(0, 20, size=(2, 128 * SECONDS)).astype(np.float32)
    chanlocs = np.array([("C4",), ("Cz",)], dtype=[("labels", object)])
    eeg = {
        "setname": "small", "nbchan": 2, "trials": 1, "pnts": data.shape[1], "srate": 128.0, "xmin": 0.0,
        "xmax": (data.shape[1] - 1) / 128, "data": data, "chanlocs": chanlocs, "event": [], "epoch": [],
        "ref": "common",
    }  # fmt: skip
    savemat(path, {"EEG": eeg}, appendmat=False)
    return path


def write_text_channel(path: Path, *, seed: int = 0) -> Path:
    """One channel as numbers, named as DREAMS does."""
    values = make_samples(seed=seed, seconds=20)[0]
    path.write_text("[C3-A1]\n" + "\n".join(f"{value:10.4f}" for value in values) + "\n")
    return path


def write_wfdb(path: Path, counts: np.ndarray | None = None, *, storage: int = 16, stages: bool = True) -> Path:
    """A record of PhysioNet: EEG and ECG at 128 Hz, stages beside; storage 16 as the `.mat` of the Challenge 2018."""
    if counts is None:
        counts = np.stack([10 * make_samples(seed=seed, seconds=180)[0] for seed in (0, 1)]).astype("i2")
    stem, n_samples = path.stem, counts.shape[1]
    if storage == 16:
        from scipy.io import savemat

        savemat(path.with_suffix(".mat"), {"val": counts.astype("i2")}, format="4")
        file, form = f"{stem}.mat", "16+24"
    else:
        low, high = np.pad(counts.T.ravel(), (0, counts.size % 2)).reshape(-1, 2).T & 0xFFF
        packed = np.stack([low & 0xFF, low >> 8 | (high >> 8) << 4, high & 0xFF], axis=1)
        path.with_suffix(".dat").write_bytes(packed.astype(np.uint8).tobytes())
        file, form = f"{stem}.dat", "212"
    lines = [
        f"{stem} 2 128 {n_samples}",
        f"{file} {form} 10/uV 16 0 0 0 0 F3-M2",
        f"{file} {form} 100(10)/mV 16 0 0 0 0 ECG",
        "#Age: 59 Sex: M",
    ]
    path.write_text("\n".join(lines) + "\n")
    if stages:
        texts = [(0, "W"), (30, "N1"), (60, "N2"), (70, "(resp_hypopnea"), (84, "resp_hypopnea)")]
        texts += [(90, "N3"), (120, "R"), (150, "W")]
        path.with_suffix(".arousal").write_bytes(make_wfdb_annotations(texts, rate=128))
    return path


def make_wfdb_annotations(texts: list[tuple[float, str]], *, rate: int) -> bytes:
    """Texts at times in seconds, in MIT's format."""
    parts, last = [], 0
    for second, text in texts:
        step = int(second * rate) - last
        last += step
        if step > 1023:
            parts.append((59 << 10).to_bytes(2, "little") + (step >> 16).to_bytes(2, "little"))
            parts.append((step & 0xFFFF).to_bytes(2, "little"))
            step = 0
        parts.append((22 << 10 | step).to_bytes(2, "little") + (63 << 10 | len(text)).to_bytes(2, "little"))
        parts.append(text.encode() + b"\x00" * (len(text) % 2))
    return b"".join(parts) + b"\x00\x00"


def write_export(path: Path) -> Path:
    """A Noxturnal-like export: UTF-16, French headers, clock times across midnight, other events between stages."""
    words = {"W": "Éveil", "R": "REM"}
    rows = ["Heure de début,Heure de fin,Événement,Durée,", "[],[],[],[s],"]
    clock = ["15/01/2016 23:58:30", "15/01/2016 23:59:00", "15/01/2016 23:59:30"]
    clock += [f"16/01/2016 00:0{i // 2}:{30 * (i % 2):02d}" for i in range(4)]
    for begin, end, stage in zip(clock, clock[1:], STAGES, strict=False):
        rows += [f"{begin},{end},{words.get(stage, stage)},30,", f"{begin},{begin},Micro-éveil,3,"]
    path.write_text("\r\n".join(rows) + "\r\n", encoding="utf-16")
    return path


def write_dreem_json(path: Path) -> Path:
    """A list of integers, as Dreem publishes scorings."""
    path.write_text(json.dumps([-1, 0, 0, 1, 2, 2, 3, 4], indent=2))
    return path


def write_label_lines(path: Path) -> Path:
    """One stage a line, with a legend, as YASA's examples have it."""
    path.write_text(
        "# 1 value per 30 seconds\n# 0: Wake, 1: N1, 2: N2, 3: N3, 4: REM\n" + "\n".join("00112233442") + "\n"
    )
    return path


def write_profusion_xml(path: Path) -> Path:
    """One integer an epoch, as Compumedics Profusion exports scorings."""
    codes = {"W": 0, "N1": 1, "N2": 2, "N3": 4, "R": 5}
    stages = "".join(f"<SleepStage>{codes[stage]}</SleepStage>\n" for stage in STAGES)
    events = "<ScoredEvent><Name>SpO2 desaturation</Name><Start>3.5</Start><Duration>9</Duration></ScoredEvent>"
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<CMPStudyConfig><EpochLength>30</EpochLength>\n'
        f"<ScoredEvents>{events}</ScoredEvents>\n<SleepStages>\n{stages}</SleepStages></CMPStudyConfig>\n"
    )
    return path


def write_nsrr_xml(path: Path) -> Path:
    """Stretches of a stage among other events, as NSRR publishes scorings."""
    stretches = [("Wake|0", 0, 30), ("Stage 1 sleep|1", 30, 30), ("Stage 2 sleep|2", 60, 60)]
    stretches += [("Stage 4 sleep|4", 120, 30), ("REM sleep|5", 150, 30)]
    rows = [("", "Recording Start Time", 0, 180), ("Respiratory|Respiratory", "Hypopnea|Hypopnea", 61.4, 12.5)]
    rows += [("Stages|Stages", concept, onset, lasting) for concept, onset, lasting in stretches]
    events = "\n".join(
        f"<ScoredEvent><EventType>{kind}</EventType><EventConcept>{concept}</EventConcept>"
        f"<Start>{onset}</Start><Duration>{lasting}</Duration></ScoredEvent>"
        for kind, concept, onset, lasting in rows
    )
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<PSGAnnotation><EpochLength>30</EpochLength>\n'
        f"<ScoredEvents>\n{events}\n</ScoredEvents></PSGAnnotation>\n"
    )
    return path
