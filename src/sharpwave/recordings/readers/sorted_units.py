"""Sorted units in folders: Phy and Kilosort, CellExplorer, and Neuroscope's `.res` and `.clu`; nothing is executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.files import guarded
from sharpwave.recordings.readers.matlab_files import read_structure, to_texts, to_vector
from sharpwave.recordings.readers.nwb_tables import Units
from sharpwave.recordings.recording import Recording

MOST_SPIKES = 10**9
MOST_TABLE = 64 << 20
QUALITY = ("group", "KSLabel", "quality")
"""Columns of Phy's tables in which a person, then the sorter, says how good a cluster is."""
METRICS = {"putativeCellType": "cell_type", "brainRegion": "area", "labels": "quality"}
"""CellExplorer's fields, and what they are called here."""
NOISE = ("0", "1")
"""Clusters of Klusters: artefacts, and spikes that belong to no unit."""


def read_phy(path: str | Path, *, rate: float | None = None) -> Recording:
    """Read the units of a Phy folder (Kilosort, SpikeInterface).

    Args:
        path: The folder with `spike_times.npy`, `spike_clusters.npy` and `params.py`.
        rate: Samples per second; by default `sample_rate` of `params.py`, which is searched and never executed.

    Returns:
        Units but for noise, with their group as `quality`, and further columns of the tables.

    Raises:
        SharpwaveError: If a file is missing, or files contradict each other.
    """
    folder = Path(path)
    with guarded(folder, "a Phy folder"):
        times, clusters = (_load(folder / f"spike_{what}.npy") for what in ("times", "clusters"))
        if len(times) != len(clusters):
            raise SharpwaveError(
                f"a cluster of each spike in {folder.name}",
                got=f"{len(clusters)} clusters for {len(times)} spikes",
                fix="save the sorting again",
            )
        rate = rate or _find_rate(folder)
        numbers = np.unique(clusters).astype(int)
        table = _read_clusters(folder).reindex(numbers)
        quality = next((table[name].fillna("unsorted") for name in QUALITY if name in table), None)
        noise = [] if quality is None else [int(unit) for unit in numbers if quality[unit] == "noise"]
        kept = [int(unit) for unit in numbers if int(unit) not in noise]
        order = np.argsort(clusters, kind="stable")
        edges = np.searchsorted(clusters[order], numbers)
        pieces = dict(zip(numbers.tolist(), np.split(times[order].astype(np.float64) / rate, edges[1:]), strict=True))
    said = [f"{len(noise)} clusters that are called noise were left out"] * bool(noise)
    if not kept:
        raise SharpwaveError(f"units in {folder.name}", got="noise alone", fix="sort it, or look at cluster_group.tsv")
    names = [str(name) for name in table if re.fullmatch(r"[A-Za-z]\w*", str(name))]
    known = {name: to_plain(table[name].loc[kept]) for name in names}
    if quality is not None:
        known["quality"] = quality[kept].astype(str).to_numpy()
    units = Units({unit: np.sort(pieces[unit]) for unit in kept}, metadata=known)
    return Recording(spikes=units.to_spikes(), source=folder.name, repairs=tuple(said))


def _load(path: Path) -> np.ndarray:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.size > MOST_SPIKES or array.dtype.kind not in "iuf" or array.size != max(array.shape, default=0):
        raise SharpwaveError(f"one number a spike in {path.name}", got=f"shape {array.shape}", fix="save it again")
    return np.asarray(array).ravel()


def _find_rate(folder: Path) -> float:
    """`sample_rate = 30000.` of `params.py`, as text."""
    params = folder / "params.py"
    text = params.read_text(encoding="utf-8", errors="replace")[:65536] if params.is_file() else ""
    match = re.search(r"^\s*sample_rate\s*=\s*([0-9.]+(?:e\d+)?)\s*(?:#.*)?$", text, re.MULTILINE)
    if match is None or not float(match[1]) > 0:
        raise SharpwaveError(
            f"a line sample_rate = NUMBER in params.py of {folder.name}",
            got="none" if text else "no params.py",
            fix="add it, or give the rate in Hz (--rate; rate= in Python)",
        )
    return float(match[1])


def _read_clusters(folder: Path) -> pd.DataFrame:
    """The tables `cluster_*.tsv`, by cluster."""
    joined = pd.DataFrame()
    for path in sorted([*folder.glob("cluster_*.tsv"), *folder.glob("cluster_*.csv")]):
        if path.stat().st_size > MOST_TABLE:
            raise SharpwaveError(f"a table of clusters in {path.name}", got="more than 64 MiB", fix="save it again")
        table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
        key = next((name for name in ("cluster_id", "id") if name in table), None)
        if key is not None:
            table = table.drop_duplicates(key).set_index(key)
            joined = joined.join(table[[name for name in table if name not in joined]], how="outer")
    return joined


def to_plain(column: pd.Series) -> np.ndarray:
    """Numbers as they are, everything else as texts.

    >>> to_plain(pd.Series(["CA1", None])).tolist()
    ['CA1', '']
    """
    return column.to_numpy() if column.dtype.kind in "biuf" else column.fillna("").astype(str).to_numpy()


def read_cellexplorer(spikes: Path | None, metrics: Path | None) -> Units:
    """Units of CellExplorer.

    Args:
        spikes: `NAME.spikes.cellinfo.mat`; where None, the times are taken from the metrics.
        metrics: `NAME.cell_metrics.cellinfo.mat`; None where there is none.

    Returns:
        Times in s, with `cell_type`, `area` and what else the metrics say of each unit in words.

    Raises:
        SharpwaveError: If neither holds times, or they are of different units.
    """
    named = next(path for path in (spikes, metrics) if path is not None)
    found = None if spikes is None else read_structure(spikes, "spikes")
    about = None if metrics is None else read_structure(metrics, "cell_metrics")
    held: Any = found if isinstance(found, dict) else about.get("spikes") if isinstance(about, dict) else None
    times = held.get("times") if isinstance(held, dict) else None
    if isinstance(times, np.ndarray):  # one unit alone
        times = [times]
    if not isinstance(times, list) or not times:
        raise SharpwaveError(
            f"spikes.times in {named.name}", got="none", fix="give NAME.spikes.cellinfo.mat beside the metrics"
        )
    trains = {index: np.sort(to_vector(train)) for index, train in enumerate(times)}
    if not all(np.isfinite(train).all() for train in trains.values()):
        raise SharpwaveError(f"spike times in {named.name}", got="some that are no numbers", fix="save them again")
    return Units(trains, metadata=_describe_cells(held, about, len(trains), named))


def _describe_cells(held: Mapping[str, Any], about: Any, n_units: int, path: Path) -> dict[str, np.ndarray]:
    known: dict[str, np.ndarray] = {}
    for field, name in (("UID", "UID"), ("cluID", "cluster"), ("shankID", "shank"), ("region", "area")):
        texts = to_texts(held.get(field), n_units)
        if any(texts):
            known[name] = np.array(texts)
    if not isinstance(about, dict):
        return known
    stated = to_vector(about.get("UID"))
    if len(stated) and len(stated) != n_units:
        raise SharpwaveError(
            f"metrics of the {n_units} units of {path.name}", got=f"{len(stated)} of them", fix="compute them again"
        )
    for field, value in ((str(field), value) for field, value in about.items()):
        texts = to_texts(value, n_units) if isinstance(value, list | str) else []
        if any(texts) and re.fullmatch(r"[A-Za-z]\w*", field):
            known[METRICS.get(field, field)] = np.array(texts)
    return known


def read_klusters(folder: Path, stem: str, rate: float) -> Units | None:
    """Units of `.res.N` and `.clu.N`, one pair a shank.

    Args:
        folder: The session's folder.
        stem: Name of the session, which its files begin with.
        rate: Samples per second of the wide band, in which `.res` counts.

    Returns:
        The units but for clusters 0 and 1 (artefacts, and what belongs to no unit); None where there are none.

    Raises:
        SharpwaveError: If the two files of a shank do not belong together.
    """
    trains: dict[int, np.ndarray] = {}
    shanks: list[int] = []
    numbers: list[int] = []
    for res in sorted(folder.glob(f"{stem}.res.*"), key=lambda path: path.suffix.zfill(8)):
        clu = folder / f"{stem}.clu{res.suffix}"
        if not res.suffix[1:].isdigit() or not clu.is_file():
            continue
        times = np.array(res.read_text(encoding="ascii").split(), dtype=np.float64)
        clusters = np.array(clu.read_text(encoding="ascii").split(), dtype=np.int64)[1:]
        if len(times) != len(clusters):
            raise SharpwaveError(
                f"a cluster of each spike in {clu.name}",
                got=f"{len(clusters)} for {len(times)} spikes",
                fix="take both files of one sorting",
            )
        for cluster in np.unique(clusters):
            if str(cluster) not in NOISE:
                trains[len(trains)] = np.sort(times[clusters == cluster]) / rate
                shanks.append(int(res.suffix[1:]))
                numbers.append(int(cluster))
    if not trains:
        return None
    return Units(trains, metadata={"shank": np.array(shanks), "cluster": np.array(numbers)})
