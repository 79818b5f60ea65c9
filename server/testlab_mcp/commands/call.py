"""`testlab-mcp call`: one tool from a shell or from CI, with the schema, access, audit and confirmation of MCP."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from testlab_mcp.commands.call_arguments import describe_arguments, find_tool_named, parse_arguments
from testlab_mcp.commands.call_output import render_answer
from testlab_mcp.commands.console import paint, table
from testlab_mcp.commands.serve import policy_of, read_config, start_simlab
from testlab_tools.errors import BadInput, LabError
from testlab_tools.registry import ToolSpec
from testlab_tools.untrusted import sanitize

if TYPE_CHECKING:
    from testlab_mcp.commands.call_session import Session


SENDS = "It goes on as soon as a server runs: testlab-mcp serve, or that of an MCP client."


@dataclass(frozen=True)
class Options:
    """How a call is made and shown: see `testlab-mcp call --help`."""

    config: str = ""
    demo: bool = False
    as_json: bool = False
    wait: bool = False
    junit: str = ""


def call(name: str, words: Sequence[str], options: Options) -> int:
    """Call a tool and print its answer. Returns 0, or 1 when the tool failed, or the job that it watched did not pass.

    Raises:
        BadInput: no such tool, or arguments that it does not take; nothing was started.
    """
    if not name:
        raise BadInput("No tool is named", "", "Write call TOOL --argument value; `testlab-mcp tools` lists them.")
    tool = find_tool_named(name)
    if {"--help", "-h"} & set(words):
        print(_describe(tool))
        return 0
    arguments = parse_arguments(tool, words)
    if (options.wait or options.junit) and tool.name != "run_tests":
        raise BadInput("--wait and --junit go with run_tests alone")
    with ExitStack() as stack:
        config = (start_simlab(stack) if options.demo else read_config(options.config))()
        # The SDK takes half a second to import: what is wrong so far is said before that.
        from testlab_mcp.commands.call_session import Session

        session = Session(config.lab(), policy_of(config), config.folders(), config.audit_logger())
        if tool.name == "run_tests" and (options.wait or options.junit):
            from testlab_mcp.commands.watched_job import run_watched

            return anyio.run(run_until_signal, partial(run_watched, session, arguments, options))
        return anyio.run(run_until_signal, partial(call_once, session, tool.name, arguments, options))


async def call_once(
    session: Session, name: str, arguments: Mapping[str, Any], options: Options, scope: anyio.CancelScope
) -> int:
    """Call a tool and print its answer, until `scope` is cancelled; as `call` returns."""
    async with session:
        with scope:
            answer = await session.call(name, arguments)
            print_answer(tell_who_sends(answer.structure), answer.texts, answer.failed, options)
            return 1 if answer.failed or has_failed(answer.structure) else 0
    return 1


def tell_who_sends(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer, which says what sends a delivery that waits: this process ends, and the next call sends nothing."""
    return {**answer, "note": f"{answer.get('note', '')} {SENDS}".strip()} if answer.get("queued") else answer


def has_failed(job: Mapping[str, Any]) -> bool:
    """Whether an answer is a job that has ended without passing whole."""
    return job.get("finished") is True and "job_uid" in job and job.get("passed", 0) < job.get("total", 0)


def print_answer(structure: Mapping[str, Any], texts: Sequence[str], failed: bool, options: Options) -> None:
    """An answer on standard output, a failure on standard error; with --json its structure on standard output."""
    if options.as_json:
        print(json.dumps(structure or {"text": texts}, ensure_ascii=False, indent=2))
    if failed:
        print(paint_error("\n".join(texts)), file=sys.stderr)
    elif not options.as_json:
        print(render_answer(structure) if structure else "\n".join(map(sanitize, texts)))


def paint_error(text: str) -> str:
    """A failure as it is shown."""
    return f"testlab-mcp call: {' '.join(sanitize(text).split())}"


def _describe(tool: ToolSpec) -> str:
    head = f"{paint(tool.name, 'bold')} ({tool.access} access, toolset {tool.toolset})\n\n{tool.description}\n"
    return f"{head}\n{table(('argument', 'type', 'what'), describe_arguments(tool))}"


async def run_until_signal(work: Callable[[anyio.CancelScope], Awaitable[int]]) -> int:
    """Run until it ends. SIGINT or SIGTERM cancels the scope, and what is held outside it can be given back.

    anyio cancels again and again, so that no code on the way can lose it, as it can lose asyncio's own at SIGINT.
    """
    scope = anyio.CancelScope()
    ended: list[int | Exception] = []
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    scope.cancel()
                    return

        if sys.platform != "win32":
            group.start_soon(watch)
        try:
            ended.append(await work(scope))
        except* (LabError, BrokenPipeError) as errors:
            error: Exception = errors
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            ended.append(error)
        group.cancel_scope.cancel()
    if scope.cancel_called:
        raise KeyboardInterrupt
    if isinstance(ended[0], Exception):
        raise ended[0]
    return ended[0]
