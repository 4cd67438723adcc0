"""Public data sets by name. Each loader takes any folder of the same layout, whoever its subjects are.

>>> from sharpwave.recordings.datasets import DATASETS
>>> DATASETS["dod"].licence
'MIT'
"""

from sharpwave.recordings.datasets.fetch import compare_checksum, compute_checksum, fetch_dataset
from sharpwave.recordings.datasets.load import data_root, find_dataset, find_folder, list_subjects, load_dataset
from sharpwave.recordings.datasets.registry import DATASETS, Dataset

__all__ = [
    "DATASETS",
    "Dataset",
    "compare_checksum",
    "compute_checksum",
    "data_root",
    "fetch_dataset",
    "find_dataset",
    "find_folder",
    "list_subjects",
    "load_dataset",
]
