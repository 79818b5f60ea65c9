"""`python -m tests.agents.call URL --log FILE TOOL '{"json": "arguments"}'`: one call of a tool, from a shell.

`--list` prints the server's instructions and its tools, as a model gets them; `--question N` says which question a call
is for. Each call is told in FILE, a line each, with what a model would pay for the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from mcp import Client
from mcp_types import CallToolResult, TextContent

from testlab_tools.token_estimate import estimate_tokens

LIST = "tools/list"
"""What the log calls the list of tools, which is no call of one."""


class Entry(NamedTuple):
    """A line of the log."""

    tool: str
    arguments: dict[str, Any]
    error: bool
    tokens: int
    question: int = 0


def text_for_model(result: CallToolResult) -> str:
    """What a model reads of a result: its structure as JSON, else its text; of a picture, that there is one."""
    pictures = [f"[{block.type}]" for block in result.content if not isinstance(block, TextContent)]
    if result.structured_content is not None:
        return "\n".join([*pictures, json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":"))])
    return "\n".join([*pictures, *(block.text for block in result.content if isinstance(block, TextContent))])


async def tools_for_model(client: Client) -> str:
    """The instructions, and the tools with their schemas, a line each."""
    tools = (await client.list_tools()).tools
    shown = ({"name": t.name, "description": t.description, "input_schema": t.input_schema} for t in tools)
    lines = [json.dumps(tool, ensure_ascii=False, separators=(",", ":")) for tool in shown]
    return "\n".join([client.instructions or "", *lines])


def write_log(log: Path, entry: Entry) -> None:
    """Add a line."""
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry._asdict(), ensure_ascii=False) + "\n")


def read_log(log: Path) -> list[Entry]:
    """The lines, oldest first; none if there is no log."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [Entry(**json.loads(line)) for line in lines]


async def show_tools(url: str, log: Path) -> str:
    """The list of tools as a model gets it; its cost goes into the log once, however often it is asked for."""
    async with Client(url) as client:
        text = await tools_for_model(client)
    if all(entry.tool != LIST for entry in read_log(log)):
        write_log(log, Entry(LIST, {}, False, estimate_tokens(text)))
    return text


async def call(url: str, log: Path, tool: str, arguments: dict[str, Any], question: int = 0) -> str:
    """Call a tool and tell it in the log; what a model reads of the answer."""
    async with Client(url) as client:
        result = await client.call_tool(tool, arguments)
    text = text_for_model(result)
    write_log(log, Entry(tool, arguments, bool(result.is_error), estimate_tokens(text), question))
    return text


def main() -> int:
    """Print what the model reads."""
    parser = argparse.ArgumentParser("tests.agents.call", description=__doc__)
    parser.add_argument("url", help="of the server")
    parser.add_argument("--log", type=Path, required=True, help="the file in which calls are told")
    parser.add_argument("--question", type=int, default=0, help="the number of the question the call is for")
    parser.add_argument("--list", action="store_true", help="print the instructions and the tools")
    parser.add_argument("tool", nargs="?", help="the tool to call")
    parser.add_argument("arguments", nargs="?", default="{}", help="a JSON object")
    given = parser.parse_intermixed_args()
    if given.list:
        sys.stdout.write(asyncio.run(show_tools(given.url, given.log)) + "\n")
        return 0
    if not given.tool:
        parser.error("name a tool, or ask for --list")
    try:
        arguments = json.loads(given.arguments)
    except ValueError as error:
        parser.error(f"the arguments are no JSON: {error}")
    if not isinstance(arguments, dict):
        parser.error("the arguments must be a JSON object")
    sys.stdout.write(asyncio.run(call(given.url, given.log, given.tool, arguments, given.question)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
