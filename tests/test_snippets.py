"""Printed snippets: Python parses, commands have the options that they name, and what is not run says why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import snippets  # noqa: E402

RUN_HERE = ("README.md", "docs/store.md", "docs/estimands.md")
"""Pages whose Python runs with the tests; `make docs` runs all of them."""


def test_every_printed_snippet_parses_and_names_options_that_exist() -> None:
    found = [snippet for path in snippets.list_pages() for snippet in snippets.read_page(path)]
    assert [fault for snippet in found for fault in snippets.check(snippet)] == []
    assert len(found) >= 50
    python = [snippet for snippet in found if snippet.language in snippets.PYTHON]
    left_out = [snippet for snippet in python if snippet.reason]
    assert len(left_out) <= 3
    assert all(len(snippet.reason) >= 20 for snippet in left_out)


@pytest.mark.parametrize("page", RUN_HERE)
def test_a_page_runs_as_printed(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("edfio", "mne"):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    assert snippets.run_page(snippets.read_page(ROOT / page)) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sharpwave decode night.edf --lights-of 23:10", "No such option"),
        ("sharpwave decode night.edf --age old", "should be a valid integer"),
        ("sharpwave decode", "Missing argument"),
        ("sharpwave decoded night.edf", "No such command"),
        ("sharpwave datasets lst", "No such command"),
        ("pip install 'sharpwave[brian]'", "no extra brian"),
        ("make everything", "no target everything"),
        ("python -m sharpwave.recipes.nothing", "no module"),
        ("python nowhere.py", "no file"),
        ("frobnicate night.edf", "not known"),
    ],
)
def test_a_wrong_command_is_found(line: str, words: str) -> None:
    faults = snippets.check_command(line)
    assert len(faults) == 1
    assert words.lower() in faults[0].lower()


def test_what_is_right_is_no_fault() -> None:
    for line in ("OMP_NUM_THREADS=1 sharpwave decode *.edf -j 2  # all", "sharpwave --help", "make demo", "cd there"):
        assert snippets.check_command(line) == []


def make_page(folder: Path, text: str) -> list[snippets.Snippet]:
    (folder / "docs").mkdir(exist_ok=True)
    path = folder / "docs" / "page.md"
    path.write_text(text, encoding="utf-8")
    return snippets.read_page(path, folder)


def test_blocks_of_a_page_are_one_programme_and_faults_have_a_place(tmp_path: Path) -> None:
    good = make_page(
        tmp_path, "```python\na = 1000\n```\n\n<!--snippet: 1000→3-->\n```python\nassert a + 1000 == 1003\n```\n"
    )
    assert snippets.run_page(good) == []
    bad = make_page(tmp_path, "# A\n\n```python\na = 1\nnonsense(a)\n```\n")
    (fault,) = snippets.run_page(bad)
    assert fault.startswith("docs/page.md:3: ")
    assert "NameError" in fault
    assert "line 5" in fault


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```python\nfor ... in x: pass\n```\n", "no Python"),
        ("<!--snippet: with nobody-->\n```python\na = 1\n```\n", "nothing that is given"),
        ("<!--snippet: 8→1-->\n```python\na = 1\n```\n", "does not stand in it"),
        ("<!--snippet: run by tests/none.py-->\n```python\na = 1\n```\n", "does not run page.md"),
        ("```cobol\nMOVE\n```\n", "no language"),
        ("```sh\nsharpwave decode\n```\n", "Missing argument"),
    ],
)
def test_a_fault_of_a_page_is_found_without_running(text: str, words: str, tmp_path: Path) -> None:
    (snippet,) = make_page(tmp_path, text)
    assert any(words.lower() in fault.lower() for fault in snippets.check(snippet, tmp_path))


def test_a_mark_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not known"):
        make_page(tmp_path, "<!--snippet: maybe-->\n```python\na = 1\n```\n")
