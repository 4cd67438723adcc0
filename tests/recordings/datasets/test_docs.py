"""docs/datasets.md says what the registry says."""

from __future__ import annotations

from pathlib import Path

import pytest

from sharpwave.recordings.datasets import DATASETS, Dataset

PAGE = Path(__file__).parents[3] / "docs" / "datasets.md"


def format_entry(dataset: Dataset) -> str:
    """The section of one data set, as the page has it."""
    trained = "yes" if dataset.may_train else "no: evaluation only"
    fetched = "yes" if dataset.files or dataset.sums else f"no: {dataset.how}"
    rows = {
        "What": dataset.what,
        "Licence": dataset.licence,
        "Source": f"<{dataset.source}>",
        "Cite": dataset.citation,
        "Folder": f"`{dataset.folder}`",
        "Trains weights that ship": trained,
        "`sharpwave datasets fetch`": fetched,
    }
    lines = [f"### `{dataset.name}`: {dataset.title}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in rows.items()]
    traps = [f"- {trap}" for trap in dataset.traps]
    return "\n".join([*lines, *(["", "Traps:", "", *traps] if traps else [])])


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=list(DATASETS))
def test_the_page_has_each_entry(dataset: Dataset) -> None:
    assert format_entry(dataset) in PAGE.read_text(encoding="utf-8")
