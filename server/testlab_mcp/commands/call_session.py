"""A client of a server in this process: calls, progress on standard error, and a person's agreement at the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, NamedTuple

import anyio.to_thread
from mcp import Client
from mcp.client import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST, ElicitRequestParams, ElicitResult, ErrorData, ImageContent, TextContent

from testlab_mcp.access.policy import Policy
from testlab_mcp.audit.log import AuditLogger
from testlab_mcp.protocol.server import build_server
from testlab_tools.files.folders import Folders
from testlab_tools.lab import Lab
from testlab_tools.untrusted import sanitize


class Answer(NamedTuple):
    """What a tool answered: its structure, empty for a picture; its texts; whether it failed."""

    structure: Mapping[str, Any]
    texts: list[str]
    failed: bool


class Session:
    """One connection to a server of its own, over MCP without a wire."""

    def __init__(self, lab: Lab, policy: Policy, files: Folders, audit: AuditLogger) -> None:
        self.lab = lab
        asks = sys.stdin.isatty() and sys.stderr.isatty()
        server = build_server(lab, policy, files, audit=audit)
        self._client = Client(server, elicitation_callback=_ask_person if asks else None)
        self._stack = AsyncExitStack()
        self._shown = ""

    async def __aenter__(self) -> Session:
        await self._stack.enter_async_context(self._client)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, at)

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """Call a tool. What the server refuses is an answer that failed."""
        try:
            result = await self._client.call_tool(tool, dict(arguments), progress_callback=self._show_progress)
        except MCPError as error:
            return Answer({}, [error.error.message], failed=True)
        finally:
            self.end_progress()
        texts = [block.text for block in result.content if isinstance(block, TextContent)]
        sizes = [len(block.data) * 3 // 4 for block in result.content if isinstance(block, ImageContent)]
        texts += [f"A picture of {size} bytes, not shown here: --save-to keeps it." for size in sizes]
        return Answer(result.structured_content or {}, texts, bool(result.is_error))

    async def _show_progress(self, progress: float, total: float | None, message: str | None) -> None:
        line = sanitize(message or "") or (f"{progress:g} of {total:g}" if total else f"{progress:g}")
        self.show_progress(line)

    def show_progress(self, line: str) -> None:
        """Write a line of progress to standard error, over the one before where that is a terminal."""
        if line == self._shown:
            return
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{line}{' ' * (len(self._shown) - len(line))}")
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
        self._shown = line

    def end_progress(self) -> None:
        """Leave the line of progress as it is and go on below it."""
        if self._shown and sys.stderr.isatty():
            sys.stderr.write("\n")
        self._shown = ""


async def _ask_person(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
    """Put the server's question to the person at the terminal; whatever is not a yes is a no."""
    if params.mode != "form":
        return ErrorData(code=INVALID_REQUEST, message="Only questions are answered here")
    print(f"{sanitize(params.message)}\nGo ahead? [y/N] ", end="", file=sys.stderr, flush=True)
    line = await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
    agreed = line.strip().casefold() in ("y", "yes")
    return ElicitResult(action="accept" if agreed else "decline", content={"go_ahead": True} if agreed else None)
