"""Measure the house: how many files one idea takes, import circles, and files and functions that are too long or short.

    python tools/house.py            # the table
    python tools/house.py --check    # the same; exit code 1 where a limit is passed

The *closure* of a module is the set of files of its own room that are reached by following imports from it, itself
counted: what a reader opens to follow one idea to its end. Imports inside functions count, those for type checkers
alone (`if TYPE_CHECKING:`) do not; a name taken from a package counts as the file that defines it.
Files that a registry loads by their name (encoders, stagers, benchmarks) are not followed: with the four files of
encoders, the model takes four more, and so does training.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "sharpwave"
SHORT, LONG, LONG_FUNCTION = 60, 400, 60

IDEAS = {
    "a night of a network (`Sleep.night`)": ("consolidation.sleep", 19),
    "the model (`brainmu.model`)": ("brainmu.model", 8),
    "training (`brainmu.training`)": ("brainmu.training.training", 13),
    "a benchmark (the largest)": ("benchmarks", 13),
}
"""What a reader may want to follow: the module where it begins, and how many files it may take."""

LIMITS = {"import circles": 0, f"files past {LONG} lines": 0, f"files under {SHORT} lines": 30}
LIMITS[f"functions past {LONG_FUNCTION} lines"] = 12


class House:
    """Modules of a source tree and what each imports."""

    def __init__(self, source: Path) -> None:
        self.files = {to_module(path, source): path for path in sorted((source / PACKAGE).rglob("*.py"))}
        self.trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in self.files.items()}
        self.names = {name: lazy_names(tree) for name, tree in self.trees.items()}
        self.imports = {name: set(self._imported(name)) - {name} for name in self.files}

    def _imported(self, name: str) -> Iterator[str]:
        is_package = self.files[name].name == "__init__.py"
        for node in walk(self.trees[name]):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.files)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    up = name.split(".")[: None if is_package and node.level == 1 else -node.level + is_package]
                    base = ".".join([*up, base]).rstrip(".")
                for alias in node.names:
                    yield from self._home(base, alias.name)

    def _home(self, base: str, name: str) -> Iterator[str]:
        """The file that defines `name` of module `base`."""
        if f"{base}.{name}" in self.files:
            yield f"{base}.{name}"
        elif name in self.names.get(base, {}):
            home = f"{base}.{self.names[base][name]}"
            yield from self._home(home, name) if home in self.files and name in self.names[home] else (home,)
        elif base in self.files:
            yield base

    def closure(self, start: str) -> set[str]:
        """Files of the room of `start` that are reached from it, packages' opening files left out."""
        room = room_of(start)
        seen, todo = set(), [start]
        while todo:
            module = todo.pop()
            if module in seen or room_of(module) != room:
                continue
            seen.add(module)
            todo.extend(self.imports.get(module, ()))
        return {name for name in seen if self.files[name].name != "__init__.py"}

    def circles(self) -> list[list[str]]:
        """Groups of modules that import each other when they load (Tarjan's strongly connected components)."""
        index: dict[str, int] = {}
        low: dict[str, int] = {}
        stack: list[str] = []
        found: list[list[str]] = []

        def visit(name: str) -> None:
            index[name] = low[name] = len(index)
            stack.append(name)
            for other in self.imports[name] & self.files.keys():
                if other not in index:
                    visit(other)
                if other in stack:
                    low[name] = min(low[name], low[other])
            if low[name] == index[name]:
                group = stack[stack.index(name) :]
                del stack[stack.index(name) :]
                if len(group) > 1:
                    found.append(sorted(group))

        for name in self.files:
            if name not in index:
                visit(name)
        return found

    def lines(self) -> dict[str, int]:
        """Lines of each file that is no package's opening file."""
        return {
            str(path): len(path.read_text(encoding="utf-8").splitlines())
            for path in self.files.values()
            if path.name not in {"__init__.py", "__main__.py"}
        }

    def long_functions(self) -> dict[str, int]:
        """Functions past the limit, and their lines."""
        return {
            f"{name}.{node.name}": node.end_lineno - node.lineno + 1
            for name, tree in self.trees.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.end_lineno - node.lineno + 1 > LONG_FUNCTION
        }


def to_module(path: Path, source: Path) -> str:
    """`src/sharpwave/a/b.py` as `sharpwave.a.b`."""
    return ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """The room of a module: the first folder below the package."""
    return ".".join(module.split(".")[:2])


def walk(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from walk(node)


def lazy_names(tree: ast.Module) -> dict[str, str]:
    """Names that a package's opening file hands out when first used (`lazy_loader.attach`): name → its module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_loader.attach":
            table = next(word.value for word in node.keywords if word.arg == "submod_attrs")
            return {name: module for module, names in ast.literal_eval(table).items() for name in names}
    return {}


def measure(source: Path) -> list[tuple[str, int, int, list[str]]]:
    """Rows of the table: what, how many, the limit, and which."""
    house = House(source)
    rows = []
    for idea, (start, limit) in IDEAS.items():
        modules = [name for name in house.files if name.startswith(f"{PACKAGE}.{start}")]
        if start == "benchmarks":
            modules = [name for name in modules if has_run(house.trees[name])]
        else:
            modules = [f"{PACKAGE}.{start}"]
        closures = {name: house.closure(name) for name in modules if name in house.files}
        largest = max(closures, key=lambda name: len(closures[name]), default="")
        rows.append((idea, len(closures.get(largest, ())), limit, sorted(closures.get(largest, ()))))
    lines, circles, functions = house.lines(), house.circles(), house.long_functions()
    counted = (
        ["; ".join(group) for group in circles],
        [f"{name} ({n})" for name, n in lines.items() if n > LONG],
        [f"{name} ({n})" for name, n in lines.items() if n < SHORT],
        [f"{name} ({n})" for name, n in functions.items()],
    )
    rows += [(what, len(which), limit, which) for (what, limit), which in zip(LIMITS.items(), counted, strict=True)]
    return rows


def has_run(tree: ast.Module) -> bool:
    """Whether a module is a benchmark: it has a function `run`."""
    return any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=Path(__file__).parents[1] / "src", help="folder of the package")
    parser.add_argument("--check", action="store_true", help="exit code 1 where a limit is passed")
    parser.add_argument("--list", action="store_true", help="also print which files and functions were counted")
    options = parser.parse_args()
    rows = measure(options.source)
    for what, number, limit, which in rows:
        print(f"{what:40} {number:4}  (at most {limit})" + ("" if number <= limit else "  PASSED"))
        if options.list:
            print(*(f"    {name}" for name in which), sep="\n")
    return int(options.check and any(number > limit for _, number, limit, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
