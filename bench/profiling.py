"""`./do profile WHAT`: where the server's time goes, written to profile/WHAT.txt.

cold: imports up to the answer to the first `tools/list`. call: 16 calls outstanding over stdio. http: 16 sessions over
HTTP. bulk: 50 nodes, 2,000 runs, a screenshot.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import pstats
import re
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench.measures import AT_ONCE, Peer, call_at_once, make_product, time_calls
from bench.processes import ROOT, cpu_seconds, main_thread_seconds, run_http, run_stdio, run_upstream, write_config

WARM, CALLS, BULK_CALLS, ROWS = 100, 1000, 20, 30
HTTP, SDK, LOOP, OURS = "httpx2, httpcore2, h11", "mcp SDK", "anyio, asyncio", "testlab"
GROUPS = {
    **dict.fromkeys(("httpx2", "httpcore2", "h11"), HTTP),
    **dict.fromkeys(("mcp", "mcp_types"), SDK),
    **dict.fromkeys(("anyio", "asyncio", "_asyncio"), LOOP),
    **dict.fromkeys(("pydantic", "pydantic_core"), "pydantic"),
    **dict.fromkeys(("testlab_mcp", "testlab_tools"), OURS),
    **dict.fromkeys(("uvicorn", "starlette", "sse_starlette"), "uvicorn, starlette"),
    **dict.fromkeys(("opentelemetry",), "opentelemetry"),
    **dict.fromkeys(("PIL",), "pillow"),
}
REST = "everything else"
Function = tuple[str, int, str]
"""File, line and name, as pstats has them; the file of a built-in function is `~`."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="./do profile", description=__doc__)
    parser.add_argument("what", choices=("cold", "call", "http", "bulk"))
    what: str = parser.parse_args().what
    if not sys.platform.startswith("linux"):
        parser.error("it reads processor time from /proc, which Linux alone has")
    with tempfile.TemporaryDirectory() as folder, run_upstream() as url:
        product = make_product(Path(sys.executable), write_config(Path(folder), url))
        profile: Callable[[Peer, Path], Awaitable[str]] = {
            "cold": profile_start,
            "call": profile_calls,
            "http": profile_sessions,
            "bulk": profile_bulk,
        }[what]
        text = asyncio.run(run(profile, product, Path(folder)))
    path = ROOT / "profile" / f"{what}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
    print(*text.split("\n\n\n")[::2], f"the whole is in {path.relative_to(ROOT)}", sep="\n\n")
    return 0


async def run(profile: Callable[[Peer, Path], Awaitable[str]], product: Peer, folder: Path) -> str:
    return await profile(product, folder)


async def profile_start(product: Peer, folder: Path) -> str:
    """What the server imports for its first `tools/list`, by package and by module."""
    modules = await read_imports(product, folder)
    packages: defaultdict[str, list[int]] = defaultdict(list)
    for name, spent in modules.items():
        packages[name.partition(".")[0]].append(spent)
    by_package = sorted(packages.items(), key=lambda item: -sum(item[1]))
    by_module = sorted(modules.items(), key=lambda item: -item[1])
    lines = [f"{len(modules)} modules in {sum(modules.values()) / 1000:.0f} ms up to the first tools/list", ""]
    lines += [f"{'package':32}{'modules':>8}{'own ms':>10}"]
    lines += [f"{name:32}{len(spent):8}{sum(spent) / 1000:10.1f}" for name, spent in by_package[:ROWS]]
    lines += ["", "", f"{'module':60}{'own ms':>10}"]
    lines += [f"{name:60}{spent / 1000:10.1f}" for name, spent in by_module[: 2 * ROWS]]
    return "\n".join(lines)


async def read_imports(product: Peer, folder: Path) -> dict[str, int]:
    """Each module that is imported up to the answer to the first `tools/list`, and its own microseconds."""
    log = folder / "imports.txt"
    python, *arguments = product.stdio
    command = f'exec "$0" -X importtime "$@" 2>"{log}"'
    async with run_stdio(("sh", "-c", command, python, *arguments)) as session:
        await session.request("tools/list", {})
        imported = log.read_text(encoding="utf-8")
    found = re.findall(r"^import time: +(\d+) \| +\d+ \| +([\w.]+)$", imported, re.MULTILINE)
    return {name: int(spent) for spent, name in found}


async def profile_calls(product: Peer, folder: Path) -> str:
    calls, file = product.nodes(), folder / "profile"
    async with run_stdio(profiled_command(product.stdio, file)) as session:
        await call_at_once([session] * AT_ONCE, calls, WARM)
        async with profiled(session.pid, file, f"{CALLS} calls over stdio, {AT_ONCE} at once") as told:
            await call_at_once([session] * AT_ONCE, calls, CALLS)
    return "\n".join(told)


async def profile_sessions(product: Peer, folder: Path) -> str:
    calls, file = product.nodes(), folder / "profile"
    async with run_http(profiled_command(product.http, file), AT_ONCE) as (pid, sessions):
        await call_at_once(sessions, calls, WARM)
        async with profiled(pid, file, f"{CALLS} calls over HTTP, {AT_ONCE} sessions") as told:
            await call_at_once(sessions, calls, CALLS)
    return "\n".join(told)


async def profile_bulk(product: Peer, folder: Path) -> str:
    file, parts = folder / "profile", list[str]()
    async with run_stdio(profiled_command(product.stdio, file)) as session:
        for what, call in product.bulk.items():
            await session.call(*call)
            async with profiled(session.pid, file, f"{what}, {BULK_CALLS} calls one after the other") as told:
                await time_calls(session, itertools.repeat(call), BULK_CALLS)
            parts += told
    return "\n\n\n".join(parts)


def profiled_command(command: Sequence[str | Path], file: Path) -> tuple[str | Path, ...]:
    """The command of a server, with its profile switched by a signal."""
    python, _, _, *arguments = command
    return (python, "-m", "bench.profiled", file, *arguments)


@asynccontextmanager
async def profiled(pid: int, file: Path, title: str) -> AsyncGenerator[list[str], None]:
    """Profile a server while the block runs; the list then has what was found."""
    told: list[str] = []
    os.kill(pid, signal.SIGUSR1)
    whole, loop = cpu_seconds(pid), main_thread_seconds(pid)
    yield told
    loop = main_thread_seconds(pid) - loop
    others = cpu_seconds(pid) - whole - loop
    os.kill(pid, signal.SIGUSR1)
    while not file.exists():  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.05)
    head = f"{title}: {loop:.2f} s of the event loop's thread, profiling included, {others:.2f} s of other threads"
    told.append(f"{head}\n\n{describe(pstats.Stats(str(file)).stats)}")  # type: ignore[attr-defined]
    file.unlink()


def describe(
    stats: dict[Function, tuple[int, int, float, float, dict[Function, tuple[int, int, float, float]]]],
) -> str:
    """Own and cumulative time by package, then by function. What a built-in function takes is its caller's own."""
    own, cumulative = defaultdict[str, float](float), defaultdict[str, float](float)
    for function, (_, _, spent, within, callers) in stats.items():
        group = find_group(function)
        if not callers:
            own[group or REST] += spent
            cumulative[group or REST] += within
        for caller, (_, _, part, part_within) in callers.items():
            outside = find_group(caller) or REST
            own[group or outside] += part
            if (group or outside) != outside:
                cumulative[group or outside] += part_within
    total = sum(own.values()) or 1.0
    lines = [f"{'package':32}{'own s':>8}{'share':>8}{'cumulative s':>14}"]
    ranked = sorted(own, key=lambda group: -own[group])
    lines += [f"{name:32}{own[name]:8.3f}{own[name] / total:8.1%}{cumulative[name]:14.3f}" for name in ranked]
    lines += ["cumulative: from entering a package until leaving it; what it calls back counts in both", "", ""]
    lines += [f"{'own s':>8}{'cumulative s':>14}{'calls':>9}  function"]
    for function, (_, calls, spent, within, _) in sorted(stats.items(), key=lambda item: -item[1][2])[:ROWS]:
        lines.append(f"{spent:8.3f}{within:14.3f}{calls:9}  {_name(function)}")
    return "\n".join(lines)


def find_group(function: Function) -> str:
    """The packages that a function is counted with; "" for a built-in function of Python's own."""
    file, _, name = function
    if file == "~":
        return "pydantic" if "pydantic_core" in name else ""
    parts = Path(file).parts
    return next((GROUPS[part] for part in reversed(parts[:-1]) if part in GROUPS), GROUPS.get(Path(file).stem, REST))


def _name(function: Function) -> str:
    file, line, name = function
    return name if file == "~" else f"{'/'.join(Path(file).parts[-3:])}:{line} {name}"


if __name__ == "__main__":
    sys.exit(main())
