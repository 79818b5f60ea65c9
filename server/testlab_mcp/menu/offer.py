"""The tools that stand behind the menu: a resource or a prompt is there only if its tools are exposed."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from testlab_mcp.audit.attempt import Attempt
from testlab_tools.catalog import all_tools
from testlab_tools.errors import ConfigError, LabError, ServiceError
from testlab_tools.lab import Lab
from testlab_tools.registry import Call, ToolSpec

logger = logging.getLogger("testlab_mcp")

READ_SECONDS = 50
"""As long as a tool call may hold."""

LIST_RUNS, GET_RUN, READ_LOG, GET_ARTIFACT = "list_runs", "get_run", "read_log", "get_artifact"
GET_FAILED_CASES, GET_UNIT, TRIAGE, EXPLAIN_FAILURE = "get_failed_cases", "get_unit", "triage", "explain_failure"
LIST_NODES, GRAB_SCREENSHOT = "list_nodes", "grab_screenshot"
RESERVE_NODES, END_RESERVATION, RUN_TESTS, GET_JOB = "reserve_nodes", "end_reservation", "run_tests", "get_job"


class Withheld(MCPError):
    """A tool is not exposed, and what it would show is not either."""

    def __init__(self, tool: str, why: str) -> None:
        super().__init__(INVALID_PARAMS, f"Not allowed: {why}")
        self.tool = tool


@dataclass(frozen=True)
class Offer:
    """What one caller has of the lab, and `refusal`: why it has not a tool, empty for one that it has; the same as for
    calling it. `attempt` is how the audit has what is read by a tool's right."""

    given: Call
    refusal: Callable[[str], str]
    attempt: Callable[[ToolSpec, Mapping[str, Any]], Attempt]

    @property
    def lab(self) -> Lab:
        """The caller's lab."""
        return self.given.lab

    def has(self, *tools: str) -> bool:
        """Whether all of these tools are exposed."""
        return not any(self.refusal(tool) for tool in tools)

    def require(self, *tools: str) -> None:
        """Raises Withheld with the reason when one of the tools is not exposed."""
        for tool in tools:
            if why := self.refusal(tool):
                raise Withheld(tool, why)

    @asynccontextmanager
    async def reading(self, tool: str, uri: str) -> AsyncGenerator[None, None]:
        """The read of a resource by a tool's right, in the audit as that tool's call would be. Raises Withheld."""
        self.require(tool)
        async with self.attempt(spec_of(tool), {"uri": uri}) as attempt:
            await attempt.begins()
            yield

    async def call(self, tool: str, **arguments: object) -> Any:
        """What the tool's own handler returns, if it is exposed."""
        self.require(tool)
        return await spec_of(tool).handler(self.given, **arguments)


def spec_of(tool: str) -> ToolSpec:
    """A tool of the catalog by its name."""
    return next(spec for spec in all_tools() if spec.name == tool)


@asynccontextmanager
async def told(data: dict[str, str]) -> AsyncGenerator[None, None]:
    """Errors of the lab become protocol errors in the same words, with `data`; no read holds longer than a tool."""
    try:
        with anyio.fail_after(READ_SECONDS):
            yield
    except MCPError:
        raise
    except LabError as error:
        code = INTERNAL_ERROR if isinstance(error, ServiceError | ConfigError) else INVALID_PARAMS
        raise MCPError(code, str(error), data) from None
    except TimeoutError:
        raise MCPError(INTERNAL_ERROR, f"It took longer than {READ_SECONDS} s, and was given up.", data) from None
    except Exception:
        logger.exception("A resource or prompt failed in a way nobody foresaw")
        words = "Something went wrong inside this server. Its log (stderr) has the details."
        raise MCPError(INTERNAL_ERROR, words, data) from None
