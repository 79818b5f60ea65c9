"""`testlab-mcp completion SHELL`: completes commands, options, tools and their arguments (argcomplete)."""

from __future__ import annotations

import argparse
import os
import shlex
from contextlib import suppress

import argcomplete
from argcomplete.completers import FilesCompleter

from testlab_mcp.commands.call_arguments import find_tool_named
from testlab_mcp.protocol.schema import read_arguments
from testlab_tools.errors import BadInput
from testlab_tools.tools import all_tools


def print_script(shell: str) -> int:
    """Print what a shell must evaluate once, as in `eval "$(testlab-mcp completion bash)"`."""
    print(argcomplete.shellcode(["testlab-mcp"], shell=shell))  # pyright: ignore[reportPrivateImportUsage]
    return 0


def complete(parser: argparse.ArgumentParser, call: argparse.ArgumentParser) -> None:
    """Answer the shell that asks for completions of its line, and end the process."""
    (tool,) = (action for action in call._actions if action.dest == "tool")
    tool.choices = [spec.name for spec in all_tools()]
    with suppress(ValueError):
        _add_arguments(call, shlex.split(os.environ.get("COMP_LINE", "")))
    argcomplete.autocomplete(parser, default_completer=FilesCompleter())


def _add_arguments(call: argparse.ArgumentParser, words: list[str]) -> None:
    """The options of the tool that the line names, with the values of those that take one of a few."""
    if len(words) < 3 or words[1] != "call":
        return
    with suppress(BadInput):
        for name, field in read_arguments(find_tool_named(words[2])).schema["properties"].items():
            flag = f"--{name.replace('_', '-')}"
            if field.get("type") == "boolean":
                call.add_argument(flag, action="store_true")
            else:
                call.add_argument(flag, choices=field.get("enum"), action="append")
