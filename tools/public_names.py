"""Go over every public name: has it a sentence, a meaning with unit or shape of each parameter, and an example?

    python tools/public_names.py            # how many names, and how many lack what
    python tools/public_names.py --list     # which, the most public ones first
    python tools/public_names.py --check    # exit code 1 where more lack something than `LIMITS` says

A name is public if the `__all__` of `sharpwave`, or of one of its public packages, holds it; `sharpwave.api` counts
first, then `sharpwave` itself, then the packages. Nothing is imported: the sources are read. The limits may only fall.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from house import House, lazy_names

SOURCE = Path(__file__).parents[1] / "src"
LIMITS = {"sentence": 0, "parameter": 0, "unit": 0, "example": 0}
"""How many public names may lack a sentence, a parameter's meaning, its unit or shape, an example that runs."""
PRIVATE = ("commands", "benchmarks", "recipes", "demonstrations")
"""Packages that the command line calls; nobody imports from them."""

NUMBER = re.compile(r"\b(float|int)\b")
ARRAY = re.compile(r"\b(ndarray|Tensor|ArrayLike)\b")
AXES = re.compile(r"""\[[^\]]*(ndarray|Tensor|ArrayLike)[^\]]*,\s*["'][^"']*["']\]""")
SHAPE = re.compile(
    r"\bshape\b|\(\w+(, ?\w+)*,?\)|\bone (a|per|for)\b|\beach\b|\bper\b|\bmatrix\b|\blist of\b|\bof every\b",
    re.IGNORECASE,
)
UNITS = """
s second seconds min minute minutes h hour hours day days year years ms Hz V volt volts µV uV mV dB m mm °C W GB
MB byte bytes bit bits percent share fraction factor ratio times degree degrees radian radians dots
"""
COUNTS = """
number numbers count counts epoch epochs sample samples step steps draw draws trial trials record records block
blocks point points row rows place places token tokens layer layers item items batch batches update updates
evaluation evaluations chance probability probabilities level seed largest smallest fewest most least length
width size rank index order rate weight strength exponent power temperature scale limit threshold quantile
coefficient deviation deviations unit units code codes port phase score value age version capacity every
tolerance gradient gradients mean loss
"""
UNIT = re.compile(
    rf"\b({'|'.join((UNITS + ' ' + COUNTS).split())})\b|%|≥|≤|\bhow (many|often)\b|\d+ to \d+"
    r"|(between|from|above|below) \d",
    re.IGNORECASE,
)
"""Words that say what a number counts or is measured in."""


@dataclass(frozen=True)
class Lack:
    """What a public name lacks.

    Attributes:
        name: Where it is public, and its name.
        what: A key of `LIMITS`.
        detail: The parameter it is about; empty where it is about the name.
    """

    name: str
    what: str
    detail: str = ""


def list_public(house: House) -> Iterator[tuple[str, str, str]]:
    """Public packages first by how public they are: package, name, module that defines it."""
    packages = ["sharpwave", *sorted(name for name in house.files if is_public_package(name, house))]
    seen: set[str] = set()
    for name in exported(house.trees["sharpwave.api"]):
        seen.add(f"sharpwave.api.{name}")
        yield "sharpwave.api", name, "sharpwave.api"
    for package in packages:
        for name in exported(house.trees[package]):
            module = find_home(house, package, name)
            if module is not None and f"{module}.{name}" not in seen:
                seen.add(f"{module}.{name}")
                yield package, name, module


def is_public_package(name: str, house: House) -> bool:
    parts = name.split(".")
    inside = len(parts) > 1 and parts[1] not in PRIVATE and not any(part.startswith("_") for part in parts)
    return inside and house.files[name].name == "__init__.py"


def exported(tree: ast.Module) -> list[str]:
    """Names in `__all__`; where there is none, functions and classes without an underscore that the file defines."""
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__" and isinstance(node.value, ast.List):
            return [item.value for item in node.value.elts if isinstance(item, ast.Constant)]
    lazy = lazy_names(tree)
    own = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [name for name in [*lazy, *own] if not name.startswith("_")]


def find_home(house: House, package: str, name: str) -> str | None:
    """Module that defines a function or class that a package exports; None for what is neither (tables, submodules)."""
    todo, seen = [package], set()
    while todo:
        module = todo.pop()
        if module in seen or module not in house.files:
            continue
        seen.add(module)
        if find_definition(house.trees[module], name) is not None:
            return module
        lazy = house.names[module]
        if name in lazy:
            todo.append(f"{module}.{lazy[name]}")
        for node in ast.walk(house.trees[module]):
            if isinstance(node, ast.ImportFrom) and node.module and any(a.name == name for a in node.names):
                todo.append(node.module)
    return None


def find_definition(tree: ast.Module, name: str) -> ast.FunctionDef | ast.ClassDef | None:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return node
    return None


def find_lacks(public: str, node: ast.FunctionDef | ast.ClassDef) -> Iterator[Lack]:
    """What a public function or class lacks."""
    text = ast.get_docstring(node) or ""
    first = text.partition("\n\n")[0].strip()
    if not re.search(r"[.:!?)`]$", first) or len(first.split()) < 3:
        yield Lack(public, "sentence")
    parts = [text]
    parameters: list[tuple[str, str]] = []
    if isinstance(node, ast.ClassDef):
        methods = [one for one in node.body if isinstance(one, ast.FunctionDef)]
        parts += [ast.get_docstring(one) or "" for one in methods]
        init = next((one for one in methods if one.name == "__init__"), None)
        parameters = [*list_parameters(init)] if init is not None else [*list_fields(node)]
    else:
        parameters = [*list_parameters(node)]
    if not any(">>>" in part for part in parts) and not is_error_or_protocol(node):
        yield Lack(public, "example")
    for name, annotation in parameters:
        said = find_meaning(name, "\n".join(parts[:1] + ([parts[1]] if len(parts) > 1 else [])), text)
        if said is None:
            yield Lack(public, "parameter", name)
        elif ARRAY.search(annotation):
            if not (AXES.search(annotation) or SHAPE.search(said)):
                yield Lack(public, "unit", f"{name}: {said}")
        elif NUMBER.search(annotation) and not UNIT.search(f"{said} {name}"):
            yield Lack(public, "unit", f"{name}: {said}")


def is_error_or_protocol(node: ast.AST) -> bool:
    bases = [ast.unparse(base) for base in getattr(node, "bases", [])]
    return any("Protocol" in base or base.endswith("Error") for base in bases)


def list_parameters(node: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Name and annotation of each parameter that has a name of its own."""
    for one in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
        if one.arg not in ("self", "cls") and not one.arg.startswith("_"):
            yield one.arg, "" if one.annotation is None else ast.unparse(one.annotation)


def list_fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """Fields of a dataclass."""
    if not any("dataclass" in ast.unparse(one) for one in node.decorator_list):
        return
    for one in node.body:
        if not isinstance(one, ast.AnnAssign) or not isinstance(one.target, ast.Name) or one.target.id.startswith("_"):
            continue
        if "ClassVar" not in ast.unparse(one.annotation):
            yield one.target.id, ast.unparse(one.annotation)


def find_meaning(name: str, *texts: str) -> str | None:
    """What a docstring says of a parameter under Args or Attributes; None where it says nothing."""
    for text in texts:
        named = rf"(?:\w+, )*\*{{0,2}}{re.escape(name)}(?:, [\w, ]+)?(?: \([^)]*\))?"
        entry = re.search(rf"^( *){named}: (.*(?:\n\1 +.*)*)", text, re.MULTILINE)
        if entry:
            return " ".join(entry.group(2).split())
    return None


def collect() -> tuple[int, list[Lack]]:
    """Number of public functions and classes, and all that they lack, the most public first."""
    house = House(SOURCE)
    lacks, n = [], 0
    for package, name, module in list_public(house):
        node = find_definition(house.trees[module], name)
        if node is not None:
            n += 1
            lacks += find_lacks(f"{package}.{name}", node)
    return n, lacks


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit code 1 where a limit is passed")
    parser.add_argument("--list", action="store_true", help="print what lacks what")
    options = parser.parse_args()
    n, lacks = collect()
    if options.list:
        for lack in lacks:
            print(f"{lack.what:10} {lack.name}  {lack.detail}")
    passed = False
    print(f"{n} public functions and classes")
    for what, limit in LIMITS.items():
        found = sum(lack.what == what for lack in lacks)
        passed |= found > limit
        print(f"lack {what:10} {found:4}  (at most {limit})" + ("" if found <= limit else "  PASSED"))
    return int(options.check and passed)


if __name__ == "__main__":
    sys.exit(main())
