"""Hostile text through every field of every service and every tool: it comes out plain, bounded, and as data alone."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from mcp import Client
from mcp_types import CallToolResult, EmbeddedResource, ImageContent, TextContent

from testlab_mcp.protocol.results import UNTRUSTED
from testlab_sim.world import YOU
from tests.answer_text import read_answer
from tests.tool_calls import BENCH, CLOUD, FACTORY, OLD, PORTAL, fill
from tests.tool_samples import SAMPLES, SIMULATED

if TYPE_CHECKING:
    from tests.server.hostile.conftest import Asked, Hostile, Mode, Rewriter

CANARY = "kq7canary"
MAX_CHARS = 200_000
"""Of an answer's text. Of one text in it 2,000; of an excerpt of a log or file 17,000."""
MAX_ERROR = 1_500
EXCERPTS = {"lines", "text"}
HANDLE = re.compile(r"(?:[a-z]+:)?[\w.~%:+/@=,-]+", re.ASCII)
"""What a service says is an id may be one, if it can be no sentence; one of TofuPilot v1 holds its unit's
serial number, percent-encoded."""
OUR_OWN = {tool for tool, sample in SAMPLES.items() if not sample.services}
"""They ask no service, but this server's own database, which is switched off here."""
BY_NAME = {"measurement_stats"}
"""They look for what the caller names, and a lab whose every name is another has none of that."""

OF_FILES = {"export_runs", "get_artifact", "get_run", "grab_screenshot", "import_report", "read_log"}
"""They list, take or keep files by name."""

QUOTED = re.compile(r'\b[a-z_]+ "(?:[^"\\]|\\.)*"')
"""An argument and its text, as an error quotes them from the call."""
SAFE_NAME = re.compile(r"[\w. -]{1,100}", re.ASCII)

Row = tuple[str, dict[str, Any]]


async def facts(client: Client, url: str) -> dict[str, str]:
    """Names of what the lab has, as tools tell them."""

    async def ask(tool: str, **arguments: object) -> dict[str, Any]:
        result = await client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        return result.structured_content

    async def newest_measurement() -> tuple[str, str]:
        run = (await ask("list_runs", service="factory", limit=1))["runs"][0]
        cases = (await ask("get_run", run_id=run["run_id"], include=["measurements"]))["cases"]
        values = [m for case in cases for m in case.get("measurements", []) if isinstance(m.get("value"), float)]
        return run["test"], values[0]["name"]

    portal = (await ask("list_runs", service="portal", outcome="fail", limit=3))["runs"]
    factory = (await ask("list_runs", service="factory", outcome="fail", limit=3))["runs"][0]
    plan, measured = await newest_measurement()
    cloud = (await ask("list_runs", service="cloud", outcome="fail", limit=3))["runs"][0]
    old = (await ask("list_runs", service="old", unit=factory["unit"], limit=3))["runs"][0]
    nodes = (await ask("list_nodes"))["nodes"]
    theirs = next(n for n in nodes if n["state"] == "reserved")
    free = next(n for n in nodes if n["state"] == "free")
    cases = await ask("list_test_cases", revision="main", service="portal")
    kept = await ask("get_artifact", run_id=portal[0]["run_id"])
    bearer = {"Authorization": f"Bearer {YOU.token}"}
    procedure = httpx2.get(f"{url}/tofupilot/api/v2/procedures", headers=bearer).json()["data"][0]
    return {
        "run": portal[0]["run_id"],
        "job": portal[0]["job_uid"],
        "factory": factory["run_id"],
        "serial": factory["unit"],
        "plan": plan,
        "measured": measured,
        "procedure": procedure["id"],
        "cloud": cloud["run_id"],
        "old": old["run_id"],
        **dict.fromkeys(("node", "free_node", "idle_node", "busy_node"), free["node_id"]),
        "their_node": theirs["node_id"],
        "their_reservation": theirs["reservation"]["reservation_id"],
        "case": cases["test_cases"][0],
        "revision": "main",
        **await bench_facts(url, ask),
        "artifact": next(a["name"] for a in kept["artifacts"] if a["name"].endswith(".log")),
    }


async def bench_facts(url: str, ask: Callable[..., Any]) -> dict[str, str]:
    """Of the stand, whose test waits in a dialog; each name behind `bench:`."""
    panel = f"{url}/hardpy/api"
    httpx2.post(f"{panel}/selected_tests", json=["test_3_operator::test_led"])
    httpx2.get(f"{panel}/start")
    waiting: list[dict[str, Any]] = []
    while not waiting:
        waiting = (await ask("list_nodes", node_ids=["bench:bench"]))["nodes"][0].get("waiting_for", [])
    run = (await ask("list_runs", service="bench", outcome="fail", limit=1))["runs"][0]
    job = (await ask("get_job", node_id="bench:bench"))["job_uid"]
    known = {"run": run["run_id"], "serial": run["unit"], "plan": run["test"], "measured": "rail_5v", "job": job}
    known |= {"dialog": waiting[0]["dialog_id"], **dict.fromkeys(("node", "busy_node"), "bench:bench")}
    return {f"bench:{name}": text for name, text in known.items()}


def rows(known: dict[str, str]) -> list[Row]:
    """Calls of every tool that succeed in a clean lab, in this order."""
    portal = (
        "revision",
        "run",
        "job",
        "node",
        "free_node",
        "idle_node",
        "busy_node",
        "their_node",
        "their_reservation",
    )
    unit = {name: known[name] for name in ("serial", "procedure", "plan", "measured")}
    names = {
        PORTAL: {"canary": CANARY, **{name: known[name] for name in portal}},
        FACTORY: {**unit, "run": known["factory"], "new_unit": "SN-1"},
        OLD: {**unit, "run": known["old"], "new_unit": "SN-2"},
        CLOUD: {**unit, "run": known["cloud"]},
        BENCH: {name.partition(":")[2]: text for name, text in known.items() if name.startswith("bench:")},
    }
    return [(row.tool, row.arguments) for sample in SIMULATED.values() for row in sample.hostile_rows(names)]


def hidden(text: str) -> set[str]:
    """Characters that act or hide, found by what Unicode says of them."""
    return {character for character in set(text) if _hides(character)}


@cache
def _hides(character: str) -> bool:
    acts = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in "\n\t"
    varies = "\ufe00" <= character <= "\ufe0f" or "\U000e0000" <= character <= "\U000e0fff"
    return acts or varies or character in "\u034f\u115f\u1160\u3164\uffa0\u180b\u180e"


def strings(value: Any, name: str = "", marked: frozenset[str] = frozenset(), data: bool = False) -> Iterator[Any]:
    """Every text in a structure, names of members included: the member it is in, and whether that is marked."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield name or "(a name)", data, key
            yield from strings(item, key if not data else name, marked, data or key in marked)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item, name, marked, data)
    elif isinstance(value, str):
        yield name, data, value


def wrong(result: CallToolResult) -> Iterator[str]:
    """What is wrong with an answer; nothing, it is to be hoped."""
    try:
        json.dumps(result.model_dump(mode="json", by_alias=True), allow_nan=False, ensure_ascii=False).encode()
        yield from _wrong(result)
    except ValueError as error:
        yield f"{type(error).__name__}: {error}"


def _wrong(result: CallToolResult) -> Iterator[str]:
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    for text in texts:
        if found := hidden(text):
            yield f"hidden in text: {sorted(map(ascii, found))[:5]}"
        if "went wrong inside this server" in text:
            yield "nobody foresaw it"
        if len(text) > (MAX_ERROR if result.is_error else MAX_CHARS):
            yield f"text of {len(text)} characters"
    for block in result.content:
        if isinstance(block, ImageContent) and block.mime_type not in ("image/png", "image/jpeg"):
            yield f"an image of type {block.mime_type[:40]!r}"
        if isinstance(block, EmbeddedResource):
            yield "an embedded resource"
    structure = result.structured_content
    if structure is None or result.is_error:
        ours = [QUOTED.sub("", text.partition(f"\n{UNTRUSTED} {{")[0]) for text in texts]
        yield from ("canary in text" for text in ours if CANARY in text)
    elif read_answer(texts[-1]) != structure:
        yield "text and structure differ"
    if structure is not None:
        yield from _wrong_inside(structure)


def _wrong_inside(structure: dict[str, Any]) -> Iterator[str]:
    for name, data, text in strings(structure, marked=frozenset(structure.get("untrusted", ()))):
        if found := hidden(text):
            yield f"hidden in {name}: {sorted(map(ascii, found))[:5]}"
        if (
            CANARY in QUOTED.sub("", text)
            and not data
            and not (name in ("run_id", "run_ids", "last_run", "exemplar", "id") and HANDLE.fullmatch(text))
        ):
            yield f"canary in {name}"
        if len(text) > (17_000 if name in EXCERPTS else 2_000):
            yield f"{len(text)} characters in {name}"
        if name == "lines" and max(map(len, text.split("\n"))) > 600:
            yield "a long line"


STATUS, STATE = ("GET", "/hardpy/api/status", ""), ("GET", "/hardpy/api/json_data", "")


async def recorded(client: Client, rewriter: Rewriter) -> list[Row]:
    """Have the lab answer every call once, and keep the answers. All succeed but for the ones that ask for trouble."""
    rewriter.mode = "clean"
    known = await facts(client, rewriter.url)
    rewriter.kept.pop(STATE)  # from now on a dialog waits
    called: list[Row] = []
    for n, (tool, given) in enumerate(rows(known)):
        arguments = fill(given, {**known, "n": f"clean{n}"})
        result = await client.call_tool(tool, arguments)
        if tool == "reserve_nodes" and not result.is_error:
            known["reservation"] = known["ending_reservation"] = result.structured_content["reservations"][0][
                "reservation_id"
            ]  # type: ignore[index]
        is_stored = SAMPLES[tool].toolset in ("deliveries", "campaigns")  # and nothing is, in this server
        trouble = is_stored or arguments.get("node_ids") == [known["their_node"]]
        assert result.is_error is trouble, (tool, arguments, result.content)
        kept = {name: text for name, text in known.items() if name not in ("artifact", "case")}
        called.append((tool, fill(given, kept)))
    rewriter.kept[STATUS].body = b'{"status":"busy"}'  # as while the dialog waits
    return called


@pytest.mark.parametrize("mode", ["values", "everything", "refused", "garbage", "numbers"])
async def test_no_text_of_a_service_acts_hides_or_speaks_for_us(
    mode: Mode,
    corpus: Callable[[str], tuple[int, list[Hostile]]],
    rewriter: Rewriter,
    hostile_client: Callable[..., Any],
    asked: Asked,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`values`: every text but ids, dates and enums; `everything`: these too; `refused`: the bodies and headers of
    errors; `garbage`: whole bodies with their type; `numbers`: every number."""
    caplog.set_level(logging.DEBUG, "testlab_mcp")
    findings: list[str] = []
    good, bad = Counter[str](), Counter[str]()
    texts, rounds = corpus(mode)

    async with hostile_client(asking=asked) as client:
        calls = await recorded(client, rewriter)
        asked.questions.clear()
        rewriter.fields.clear()
        rewriter.mode = mode
        for number, hostile in enumerate(rounds):
            rewriter.hostile, rewriter.status = hostile, (400, 404, 409, 422, 429, 500)[number % 6]
            names = {"artifact": rewriter.first_name, "case": encodable(hostile.marked), "n": f"{mode}{number}"}
            asking = [call for call in calls if not hostile.file_name or call[0] in OF_FILES]
            answers = await asyncio.gather(*(client.call_tool(tool, fill(given, names)) for tool, given in asking))
            for (tool, _), answer in zip(asking, answers, strict=True):
                (bad if answer.is_error else good)[tool] += 1
                findings += [f"{hostile.name}: {tool}: {said}" for said in wrong(answer)]
        rewriter.mode = "clean"
    findings += [f"asked: {said}" for question in asked.questions for said in wrongly_asked(question)]
    findings += [f"on disk: {name!r}" for name in names_below(tmp_path) if not SAFE_NAME.fullmatch(name)]
    findings += [f"logged: {line[:200]!r}" for line in caplog.text.splitlines() if CANARY in line or hidden(line)]
    with capsys.disabled():
        tools, questions = len({tool for tool, _ in calls}), len(asked.questions)
        sys.stdout.write(
            f"\n{mode}: {texts} texts x {len(rewriter.fields)} fields x {tools} tools: "
            f"{good.total()} answers, {bad.total()} errors, {questions} questions, {len(findings)} findings\n"
        )
    assert findings == []
    if mode == "values":
        readable = sum(bool(hostile.text) and not hostile.file_name for hostile in rounds) - len(rounds) // 10
        stored = {tool for tool, sample in SAMPLES.items() if sample.toolset == "campaigns"}
        assert {tool for tool, _ in calls if good[tool] < readable} <= OUR_OWN | BY_NAME | stored


def encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def names_below(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        yield path.name


LISTED_IDS = re.compile(
    r"'[\w~@%.:+-]{1,120}'(?:, '[\w~@%.:+-]{1,120}')*(?: and \d+ others \(those-[0-9a-f]{12}\))?", re.ASCII
)


QUESTION_LINES = {
    *("Holder", "Their message", "They will read", "Unit", "Test", "Part", "Started by"),
    *("Title", "Text", "Button", "Typed or chosen"),
}


def wrongly_asked(question: str) -> Iterator[str]:
    """The first line is ours; below it stands, on a line each, what others wrote, quoted."""
    ours, *quoted = question.split("\n")
    if CANARY in ours:
        yield "canary in our own words"
    for line in quoted:
        label, _, text = line.partition(": ")
        if label == "Runs":  # ids, each of its kind's shape and between quotation marks
            if not LISTED_IDS.fullmatch(text):
                yield f"no ids: {line[:60]!r}"
        elif label not in QUESTION_LINES:
            yield f"a line of its own: {line[:60]!r}"
        elif not isinstance(json.loads(text), str):
            yield f"not quoted: {line[:60]!r}"
    if found := hidden(question):
        yield f"hidden: {sorted(map(ascii, found))}"
    if len(question) > 2 * MAX_ERROR:
        yield f"{len(question)} characters"
