"""The commands' reference page, made from the command line itself."""

from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from strop.cli.main import EXIT_CODES, app


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the page."""
    group: Any = typer.main.get_command(app)
    sections = [_section(name, command) for name, command in group.commands.items()]
    content = "\n".join(["# The commands\n", f"{EXIT_CODES}\n", *sections])
    files.append(File.generated(config, "reference/commands.md", content=content))
    return files


def _section(name: str, command: Any) -> str:
    parameters = [one for one in command.params if one.name != "help"]
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    usage = " ".join(["strop", name, *(_shown(one) for one in arguments)])
    options = " [OPTIONS]" if len(arguments) < len(parameters) else ""
    rows = [f"| `{_name(one)}` | {one.help or ''} | {_default(one)} |" for one in parameters]
    table = ["| argument | what it is | default |", "|---|---|---|", *rows, ""] if rows else []
    return "\n".join([f"## strop {name}\n", f"    {usage}{options}\n", f"{' '.join(command.help.split())}\n", *table])


def _shown(argument: Any) -> str:
    named = _name(argument)
    return named if argument.required else f"[{named}]"


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def _default(parameter: Any) -> str:
    if parameter.required:
        return "must be given"
    default = parameter.default
    shown = "none" if default in (None, (), []) else f"`{str(default).lower() if default is False else default}`"
    return f"{shown}, or the environment variable `{parameter.envvar}`" if parameter.envvar else shown
