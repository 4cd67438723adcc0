from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zlib
from pathlib import Path

import pytest

import sharpwave
from sharpwave.errors import MissingExtraError, SharpwaveError

ROOT = Path(__file__).parents[1]


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_loads_no_heavy_library():
    loaded = run_python("import sharpwave, sys; print(*sys.modules)").split()
    heavy = {"numpy", "pandas", "torch", "mne", "yasa", "scipy", "matplotlib", "pynapple"}
    assert not heavy & set(loaded)


def test_the_hypnogram_needs_no_brain_library():
    loaded = run_python("import sharpwave.recordings.hypnogram, sys; print(*sys.modules)").split()
    assert not {"mne", "yasa", "pynapple", "zarr", "torch"} & set(loaded)


def test_every_public_name_exists():
    for name in sharpwave.__all__:
        assert getattr(sharpwave, name) is not None
    assert len(sharpwave.__all__) <= 13
    with pytest.raises(AttributeError, match="attribute nonsense"):
        sharpwave.nonsense  # noqa: B018


def test_an_error_says_expected_got_fix():
    error = SharpwaveError("volts", got="microvolts", fix="divide by a million")
    assert str(error) == "expected volts; got microvolts. Fix: divide by a million"
    assert isinstance(error, ValueError)
    assert "sharpwave[brain]" in str(MissingExtraError("yasa", extra="brain"))


IMPORTED_AS = {"lazy-loader": "lazy_loader", "lightning-fabric": "lightning_fabric", "pillow": "PIL"}
IMPORTED_AS |= {"ripple-detection": "ripple_detection", "scikit-learn": "sklearn", "scikit-network": "sknetwork"}
IMPORTED_AS |= {"track-linearization": "track_linearization"}
BEHIND = {"pyarrow": "pandas reads and writes parquet through it", "onnxscript": "torch.onnx writes graphs through it"}


def test_every_dependency_is_imported_somewhere():
    """What is asked for is used: by the source, or in the case of `dev` by the tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [name_of(line) for line in [*project["dependencies"], *extras["brain"], *extras["export"]]]
    imported = list_imports(ROOT / "src")
    assert [name for name in asked if IMPORTED_AS.get(name, name) not in imported | BEHIND.keys()] == []
    oracles = {"edfio", "pynwb", "statsmodels"}
    assert oracles <= set(map(name_of, extras["dev"]))
    assert oracles <= list_imports(ROOT / "tests")
    rooms = [room for room in (ROOT / "src" / "sharpwave").iterdir() if room.is_dir() and room.name != "benchmarks"]
    assert not oracles & set().union(*map(list_imports, rooms))


def name_of(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


def list_imports(folder: Path) -> set[str]:
    """First names of the modules that the files of a folder import, also inside functions."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found


def test_types_are_shipped() -> None:
    assert (Path(sharpwave.__file__).parent / "py.typed").is_file()


def test_hashes_are_those_of_the_constraints() -> None:
    """Every version of `constraints.txt` but torch's, each with at least one SHA-256."""
    pinned = re.findall(r"^(\S+==\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    text = (ROOT / "constraints-hashed.txt").read_text()
    blocks = re.findall(r"^(\S+==\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.MULTILINE)
    assert [name for name, _ in blocks] == [name for name in pinned if not name.startswith("torch==")]


def test_the_wheel_stays_small():
    """Under 15 MB with all its weights and tables: what each file takes in a wheel, which packs them one by one."""
    files = [path for path in Path(sharpwave.__file__).parent.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    packed = sum(len(zlib.compress(path.read_bytes(), 1)) for path in files)
    assert 2e6 < packed < 15e6, f"{packed / 1e6:.1f} MB"


def test_pages_name_files_that_exist() -> None:
    rooms = ("src", "benchmarks", "tools", "tests", "examples")
    files = [f"/{path.relative_to(ROOT).as_posix()}" for room in rooms for path in (ROOT / room).rglob("*.py")]
    of_the_reader = {"src/sharpwave/brainmu/encoders/conductance.py"}  # adding-a-modality.md has one write it
    missing = {
        (page.name, name)
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        for name in re.findall(r"`((?:[\w-]+/)+[\w-]+\.py)`", page.read_text(encoding="utf-8"))
        if name not in of_the_reader and not any(file.endswith(f"/{name}") for file in files)
    }
    assert not missing
