"""What the site writes of itself: commands, public names, files of the repository's root; called by mkdocs."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MARK, NAMES = "<!--commands-->", "<!--names-->"
FILE = re.compile(r"<!--file: ([A-Z]+\.md)-->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the reference of commands, the public names, or a file of the root where a page asks for it."""
    if MARK in markdown:
        return markdown.replace(MARK, "\n".join(describe_commands()))
    if NAMES in markdown:
        return markdown.replace(NAMES, "\n".join(describe_names()))
    return FILE.sub(lambda found: (ROOT / found[1]).read_text(encoding="utf-8").replace("](docs/", "]("), markdown)


def describe_names() -> Iterator[str]:
    """Lines of Markdown: a heading for each package, a fold for each name that it exports."""
    sys.path.insert(0, str(ROOT / "tools"))
    from house import House
    from public_names import find_definition, list_public

    house, before = House(ROOT / "src"), ""
    for package, name, module in list_public(house):
        node = find_definition(house.trees[module], name)
        if node is None:
            continue
        if package != before:
            yield f"\n## {package}\n"
            before = package
        text = ast.get_docstring(node) or ""
        first = " ".join(text.partition("\n\n")[0].split())
        arguments = f"({ast.unparse(node.args)})" if isinstance(node, ast.FunctionDef) else ""
        yield f"<details><summary><code>{name}</code> {escape(first)}</summary>"
        yield f"<pre>{escape(name + arguments)}\n\n{escape(text)}</pre></details>\n"


def describe_commands() -> Iterator[str]:
    """Lines of Markdown: a heading, what it does and its options for each command, in the order of `--help`."""
    import typer

    from sharpwave.commands.cli import app

    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        yield from describe(command, f"sharpwave {name}")
        for below, inner in getattr(command, "commands", {}).items():
            yield from describe(inner, f"sharpwave {name} {below}")


def describe(command: Any, name: str) -> Iterator[str]:
    """Lines of Markdown of one command.

    Args:
        command: The command, as click has it.
        name: The words that call it.
    """
    yield f"\n## {name}\n"
    yield str(command.help or "").replace("\x08", "").replace("\f", "")
    options = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    if options and not getattr(command, "commands", None):
        yield "\n| Option | Default | Meaning |\n|---|---|---|"
        for parameter in options:
            spelled = (
                " ".join([*parameter.opts, *parameter.secondary_opts])
                if parameter.param_type_name == "option"
                else str(parameter.name).upper()
            )
            default = "" if parameter.default is None or callable(parameter.default) else str(parameter.default)
            words = (
                " ".join(str(getattr(parameter, "help", None) or "").split()).replace("|", "\\|").replace("<", "&lt;")
            )
            yield f"| `{spelled}` | {default.replace('|', ' ')} | {words} |"
