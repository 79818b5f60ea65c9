"""read_log: tails and searches of logs of any size and content."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from testlab_mcp.commands.simlab import SimLab
from tests.fixture_types import Connect, RefusedCaller, ToolCaller

if TYPE_CHECKING:
    from tests.server.run_files.conftest import Portal

MB = 2**20


async def test_a_tail_is_the_logs_last_lines_with_their_numbers(
    lab: SimLab, portal: Portal, connect: Connect, ask: ToolCaller
) -> None:
    run = portal.failed()["result_id"]
    lines = portal.get(f"results{run}/stbt.log").text.splitlines()
    async with connect(lab.config_toml()) as client:
        answer = await ask(client, "read_log", run_id=f"portal:{run}", tail=4)
        whole = await ask(client, "read_log", run_id=f"portal:{run}", tail=1000)
    numbered = [f"{number}:{line}" for number, line in enumerate(lines, 1)]
    assert answer["lines"].splitlines() == numbered[-4:]
    assert whole["lines"].splitlines() == numbered
    assert (answer["total_lines"], answer["total_bytes"]) == (len(lines), sum(len(line) + 1 for line in lines))
    assert "note" not in whole
    assert answer["untrusted"] == ["lines"]


async def test_a_search_gives_the_lines_around_each_match(
    lab: SimLab, portal: Portal, connect: Connect, ask: ToolCaller
) -> None:
    run = portal.failed()["result_id"]
    lines = portal.get(f"results{run}/stbt.log").text.splitlines()
    hits = [number for number, line in enumerate(lines, 1) if "pressed " in line.lower()]
    near = {n for hit in hits for n in (hit - 1, hit, hit + 1) if 1 <= n <= len(lines)}
    async with connect(lab.config_toml()) as client:
        answer = await ask(client, "read_log", run_id=f"portal:{run}", search="pressed ", context=1)
        nothing = await ask(client, "read_log", run_id=f"portal:{run}", search="(a+)+$")
    shown = [line for line in answer["lines"].splitlines() if line != "--"]
    assert shown == [f"{n}{':' if n in hits else '-'}{lines[n - 1]}" for n in sorted(near)]
    assert (answer["matches"], answer["total_lines"]) == (len(hits), len(lines))
    assert (nothing["matches"], nothing.get("lines", "")) == (0, "")


async def test_a_logs_times_are_in_the_zone_asked_for_and_a_wrong_zone_is_never_sent(
    lab: SimLab, portal: Portal, connect: Connect, ask: ToolCaller, refused: RefusedCaller
) -> None:
    run = portal.failed()["result_id"]
    async with connect(lab.config_toml()) as client:
        answer = await ask(client, "read_log", run_id=f"portal:{run}", tail=1, tz="America/Denver")
        before = len(portal.requests())
        for wrong in ("America/Denvr", "Mars/Olympus", "../../etc/passwd", "UTC&x=1"):
            assert "is not the name of a time zone" in await refused(
                client, "read_log", run_id=f"portal:{run}", tz=wrong
            )
        assert len(portal.requests()) == before
    last = portal.get(f"results{run}/stbt.log", tz="America/Denver").text.splitlines()[-1]
    assert answer["lines"].endswith(last)


async def test_hidden_characters_escapes_and_endless_lines_are_made_harmless(
    connect: Connect, ask: ToolCaller, hostile: Callable[..., AbstractAsyncContextManager[str]], run: str
) -> None:
    log = b"\x1b[31mred\x1b[0m\r\nsecond\rline \xe2\x80\xae\xff\n" + b"x" * 5 * MB + b"\nneedle\n"
    async with hostile({"stbt.log": log}) as config, connect(config) as client:
        answer = await ask(client, "read_log", run_id=run)
        found = await ask(client, "read_log", run_id=run, search="NEEDLE", context=1)
    lines = answer["lines"].split("\n")
    assert lines[:2] == ["1:red", "2:second line \ufffd"]
    assert lines[2].startswith("3:xxx")
    assert lines[2].endswith("[line cut]")
    assert (len(lines), answer["total_lines"], found["matches"]) == (4, 4, 1)
    assert len(answer["lines"]) < 2000
    assert found["lines"].split("\n")[-1] == "4:needle"


async def test_too_many_matches_show_the_first_and_the_last_and_say_so(
    connect: Connect, ask: ToolCaller, hostile: Callable[..., AbstractAsyncContextManager[str]], run: str
) -> None:
    log = b"".join(b"match number %d\n" % n for n in range(1, 100_001))
    async with hostile({"stbt.log": log}) as config, connect(config) as client:
        answer = await ask(client, "read_log", run_id=run, search="match", context=20)
        tail = await ask(client, "read_log", run_id=run, tail=1000)
    lines = answer["lines"].split("\n")
    assert (lines[0], lines[-1]) == ("1:match number 1", "100000:match number 100000")
    assert lines.count("--") == 1
    assert answer["matches"] == 100_000
    assert f"{len(lines) - 1} of 100000 matches fit" in answer["note"]
    assert len(answer["lines"]) < 17_000
    shown = tail["lines"].split("\n")
    assert shown[-1] == "100000:match number 100000"
    assert tail["note"] == f"Only the last {len(shown)} lines fit."


async def test_only_the_last_matches_are_told_when_asked_for(
    lab: SimLab, portal: Portal, connect: Connect, ask: ToolCaller
) -> None:
    run = portal.failed()["result_id"]
    lines = portal.get(f"results{run}/stbt.log").text.splitlines()
    hits = [number for number, line in enumerate(lines, 1) if "pressed " in line.lower()]
    assert len(hits) > 2
    async with connect(lab.config_toml()) as client:
        one = await ask(client, "read_log", run_id=f"portal:{run}", search="pressed ", last=1, context=0)
        near = await ask(client, "read_log", run_id=f"portal:{run}", search="pressed ", last=1, context=1)
        two = await ask(client, "read_log", run_id=f"portal:{run}", search="pressed ", last=2, context=0)
        none = await ask(client, "read_log", run_id=f"portal:{run}", search="(a+)+$", last=1)
    assert one["lines"] == f"{hits[-1]}:{lines[hits[-1] - 1]}"
    assert one["matches"] == len(hits)
    assert "note" not in one
    assert one["lines"] in near["lines"].splitlines()
    assert [line.partition(":")[0] for line in two["lines"].splitlines() if line != "--"] == [str(n) for n in hits[-2:]]
    assert (none["matches"], none.get("lines", "")) == (0, "")
