"""What the project knows of a data set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """One data set.

    Attributes:
        name: Short name, as in `load_dataset("ucddb/022")`.
        title: What its authors call it.
        what: What is in it, in one sentence.
        folder: Name of its folder under the data root.
        source: Address of the authors' copy.
        licence: Licence, or "none stated".
        citation: What to cite.
        sha256: Checksum of the development copy (`compute_checksum` over its folder).
        may_train: Whether weights that ship may be trained on it.
        loader: Module in `sharpwave.recordings.datasets` that reads it; empty where it holds no recordings.
        how: How to get it by hand.
        base: Address under which `fetch_dataset` finds the files.
        files: Files to download, as (path in the folder, path under `base`, SHA-256).
        sums: In place of `files`: name of the source's own list of SHA-256 sums under `base`.
        suffixes: Which files of that list are wanted.
        traps: What goes wrong with it, each found by measurement.

    >>> from sharpwave.recordings.datasets import DATASETS
    >>> dataset = DATASETS["walch"]
    >>> dataset.folder, dataset.licence, dataset.may_train
    ('walch-applewatch', 'ODC-By 1.0', True)
    """

    name: str
    title: str
    what: str
    folder: str
    source: str
    licence: str
    citation: str
    sha256: str
    may_train: bool = False
    loader: str = ""
    how: str = ""
    base: str = ""
    files: tuple[tuple[str, str, str], ...] = ()
    sums: str = ""
    suffixes: tuple[str, ...] = ()
    traps: tuple[str, ...] = ()
