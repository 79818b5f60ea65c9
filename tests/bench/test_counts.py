"""The harness of `./do bench` and `./do profile` on the server: what is counted, never what is timed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.growth import NODES, RUNS, Growth, render_growth
from bench.measures import AT_ONCE, Peer, call_at_once, count_text, make_product
from bench.processes import ROOT, count_requests, run_stdio, run_upstream, write_config
from bench.profiling import describe, profiled, profiled_command, read_imports
from bench.report import SPEED, TOKENS, Round, fill, render
from bench.sessions import CallFailed

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the harness reads /proc")
MODULES = 900
"""Imported for the first `tools/list`: some 800 with Python 3.11. More is a slower start."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with run_upstream() as url:
        yield url


@pytest.fixture
def product(upstream: str, tmp_path: Path) -> Peer:
    return make_product(Path(sys.executable), write_config(tmp_path, upstream))


async def test_a_call_makes_one_request_to_the_portal_and_a_profile_of_sixteen_says_where_their_time_goes(
    product: Peer, upstream: str, tmp_path: Path
) -> None:
    file, calls, asked = tmp_path / "profile", product.nodes(), dict[str, int]()
    async with asyncio.timeout(30), run_stdio(profiled_command(product.stdio, file)) as session:
        answers = {what: await session.call(*call) for what, call in product.bulk.items()}
        for what, call in {"node": next(calls), **product.bulk}.items():
            before = count_requests(upstream)
            await session.call(*call)
            asked[what] = count_requests(upstream) - before
        before = count_requests(upstream)
        async with profiled(session.pid, file, "sixteen calls") as told:
            await call_at_once([session] * AT_ONCE, calls, AT_ONCE)
        asked["at once"] = count_requests(upstream) - before
        with pytest.raises(CallFailed):
            await session.call(*product.node("stb-tester-unknown"))
    assert asked == {"node": 1, "nodes": 1, "runs": 1, "screenshot": 1, "at once": AT_ONCE}
    assert count_text(answers["nodes"]) <= 2_000
    assert count_text(answers["runs"]) <= 1_700
    (text,) = told
    assert text.startswith("sixteen calls: ")
    packages = {line[:32].strip() for line in text.partition("cumulative:")[0].splitlines()}
    assert {"anyio, asyncio", "mcp SDK", "testlab"} <= packages


async def test_ten_times_the_nodes_and_runs_are_one_request_each_and_ten_times_the_runs_no_longer_answer(
    tmp_path: Path,
) -> None:
    sizes: list[int] = []
    for nodes, runs in ((NODES[1], RUNS[1]), (NODES[2], RUNS[2])):
        with run_upstream(nodes, runs) as url:
            product = make_product(Path(sys.executable), write_config(tmp_path, url))
            async with asyncio.timeout(30), run_stdio(product.stdio) as session:
                await session.call(*product.bulk["nodes"])
                sizes.append(count_text(await session.call(*product.bulk["runs"])))
            assert count_requests(url) == 2
    few, many = sizes
    assert many <= 1.2 * few  # numbers of more digits


def test_what_ten_and_a_hundred_times_cost_is_told_by_call_and_row() -> None:
    told = render_growth(Growth((1.0, 5.0, 50.0), (1.0, 10.0, 100.0), (1.25, 1.25, 1.25), (70, 80, 120)))
    assert "| a list of 5, 50, 500 nodes | 1.0 ms (200 µs) | 5.0 ms (100 µs) | 50.0 ms (100 µs) |" in told
    assert "| one node, 6, 60, 600 sessions over HTTP | 1.25 ms | 1.25 ms | 1.25 ms |" in told


async def test_the_start_imports_no_more_modules_than_it_did(product: Peer, tmp_path: Path) -> None:
    imported = await read_imports(product, tmp_path)
    assert {"testlab_mcp.stdio", "mcp.server", "pydantic"} <= imported.keys()
    assert len(imported) <= MODULES


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    names = [*SPEED, *TOKENS]
    rounds = [
        Round(
            dict.fromkeys(names, ours),
            dict.fromkeys(names, 10.0),
            {"one call": 1.0},
        )
        for ours in (2.0, 30.0, 4.0)
    ]
    section = render(rounds, 0.6, datetime(2026, 11, 29, tzinfo=UTC))
    assert "2026-11-29, rounds: 3" in section
    assert "**The machine was busy" in section
    assert "| one call, median | 4000 ms | 10000 ms | 1000 ms | 0.40 | 4.00 |" in section
    assert "busy" not in render(rounds, 0.05)
    page = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert section in fill(page, section)
    with pytest.raises(ValueError, match="no <!-- figures: begin"):
        fill("a page without markers", section)


def test_a_builtin_function_s_time_is_its_callers() -> None:
    caller = ("/x/site-packages/httpx2/client.py", 1, "send")
    builtin = ("~", 0, "<built-in method len>")
    found = describe(
        {caller: (1, 1, 1.0, 4.0, {}), builtin: (9, 9, 3.0, 3.0, {caller: (9, 9, 3.0, 3.0)})},
    )
    assert "httpx2, httpcore2, h11             4.000  100.0%         4.000" in found
