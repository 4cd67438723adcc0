"""The tool that goes over public names finds what is lacking."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "tools" / "public_names.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("public_names", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["public_names"] = module
    spec.loader.exec_module(module)
    return module


WHOLE = '''
def measure(samples: np.ndarray, rate: float) -> float:
    """Power of a signal.

    Args:
        samples: The samples, shape (time,).
        rate: Sampling rate in Hz.

    >>> measure(1, 2)
    """
'''


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        (("", ""), []),
        (("Power of a signal.", "Power"), ["sentence"]),
        (("        rate: Sampling rate in Hz.\n", ""), ["parameter"]),
        (("Sampling rate in Hz", "How fast"), []),  # its name says what it is
        (("The samples, shape (time,)", "The signal"), ["unit"]),
        (("    >>> measure(1, 2)\n", ""), ["example"]),
    ],
)
def test_what_a_function_lacks(tool, change, lacks):
    node = ast.parse(WHOLE.replace(*change)).body[0]
    assert [lack.what for lack in tool.find_lacks("measure", node)] == lacks


def test_fields_of_a_dataclass_are_parameters(tool):
    text = (
        '@dataclass\nclass Night:\n    """A night of sleep.\n\n    >>> 1\n    """\n    hours: float\n    dose: float\n'
    )
    node = ast.parse(text).body[0]
    assert [lack.detail for lack in tool.find_lacks("Night", node)] == ["hours", "dose"]
    said = text.replace(
        "    >>> 1", "    Attributes:\n        hours: Its length in hours.\n        dose: What was given.\n\n    >>> 1"
    )
    assert [lack.detail for lack in tool.find_lacks("Night", ast.parse(said).body[0])] == ["dose: What was given."]


def test_exported_names(tool):
    assert tool.exported(ast.parse("__all__ = ['a', 'b']")) == ["a", "b"]
    assert tool.exported(ast.parse("def a(): ...\ndef _b(): ...\nclass C: ...")) == ["a", "C"]
    late = '"""Says what it is."""\nimport x\n__all__ = ["a"]\ndef hidden(): ...'
    assert tool.exported(ast.parse(late)) == ["a"]


def test_a_name_counts_once_however_many_packages_export_it(tool, tmp_path):
    files = {
        "__init__.py": "from sharpwave.room import measure\n__all__ = ['measure']",
        "api.py": "__all__ = []",
        "room/__init__.py": "from sharpwave.room.work import measure\n__all__ = ['measure']",
        "room/work.py": "def measure(): ...",
    }
    for name, text in files.items():
        path = tmp_path / "sharpwave" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert list(tool.list_public(tool.House(tmp_path))) == [("sharpwave", "measure", "sharpwave.room.work")]
