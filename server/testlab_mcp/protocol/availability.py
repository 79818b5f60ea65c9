"""What a caller has of the lab. A resource or a prompt is there only if its tools are exposed to the caller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from testlab_mcp.audit.log import AuditedCall
from testlab_tools.errors import ConfigError, LabError, ServiceError
from testlab_tools.lab import Lab
from testlab_tools.registry import Call, ToolSpec
from testlab_tools.tools import all_tools
from testlab_tools.untrusted import quote

logger = logging.getLogger("testlab_mcp")

MAX_QUOTED = 80
"""Characters of what was asked for, in an error."""
READ_SECONDS = 50
"""As long as a tool call may hold."""


class ToolUnavailable(MCPError):
    """A tool is not exposed, and what it would show is not either."""

    def __init__(self, tool: str, why: str) -> None:
        super().__init__(INVALID_PARAMS, f"Not allowed: {why}")
        self.tool = tool


@dataclass(frozen=True)
class Availability:
    """What one caller has of the lab. `refusal` says why the caller does not have a tool, as for a call of it; it is
    empty for a tool that the caller has. `audited` records what is read by a tool's right."""

    scope: Call
    refusal: Callable[[str], str]
    audited: Callable[[ToolSpec, Mapping[str, Any]], AuditedCall]

    @property
    def lab(self) -> Lab:
        """The caller's lab."""
        return self.scope.lab

    def has(self, *tools: str) -> bool:
        """Whether all of these tools are exposed."""
        return not any(self.refusal(tool) for tool in tools)

    def require(self, *tools: str) -> None:
        """Raises ToolUnavailable with the reason when one of the tools is not exposed."""
        for tool in tools:
            if why := self.refusal(tool):
                raise ToolUnavailable(tool, why)

    @asynccontextmanager
    async def reading(self, tool: str, uri: str) -> AsyncGenerator[None, None]:
        """Read a resource by a tool's right, audited as a call of the tool. Raises ToolUnavailable."""
        self.require(tool)
        async with self.audited(find_tool(tool), {"uri": uri}) as audited:
            await audited.start()
            yield

    async def call(self, tool: str, **arguments: object) -> Any:
        """What the tool's own handler returns, if it is exposed."""
        self.require(tool)
        return await find_tool(tool).handler(self.scope, **arguments)


_CURRENT: ContextVar[Availability] = ContextVar("availability")


def current_availability() -> Availability:
    """The availability for the caller whose request is being answered."""
    return _CURRENT.get()


@contextmanager
def use_availability(availability: Availability) -> Generator[None]:
    """Answer a request with what its caller has."""
    token = _CURRENT.set(availability)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def find_tool(tool: str) -> ToolSpec:
    """A tool of the catalog by its name."""
    return next(spec for spec in all_tools() if spec.name == tool)


@asynccontextmanager
async def as_mcp_errors(data: dict[str, str]) -> AsyncGenerator[None, None]:
    """Errors of the lab become protocol errors in the same words, with `data`; no read holds longer than a tool."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            yield
    except MCPError:
        raise
    except LabError as error:
        # A bare LabError is of the database, or of this server.
        ours = type(error) is LabError or isinstance(error, ServiceError | ConfigError)
        code = INTERNAL_ERROR if ours else INVALID_PARAMS
        asked = f" Asked for: {quote(error.about, MAX_QUOTED)}." if error.about else ""
        raise MCPError(code, f"{error}{asked}", data) from None
    except TimeoutError:
        raise MCPError(INTERNAL_ERROR, f"It took longer than {READ_SECONDS} s, and was given up.", data) from None
    except Exception:
        logger.exception("A resource or prompt failed in a way nobody foresaw")
        words = "Something went wrong inside this server. Its log (stderr) has the details."
        raise MCPError(INTERNAL_ERROR, words, data) from None
