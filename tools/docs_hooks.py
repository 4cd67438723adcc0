"""What the site writes of itself: the reference of commands, from the command line; called by mkdocs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MARK = "<!--commands-->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the reference of commands where a page asks for it."""
    return markdown.replace(MARK, "\n".join(describe_commands())) if MARK in markdown else markdown


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
