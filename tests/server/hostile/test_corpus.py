"""Hostile text through every field of every service and every tool: it comes out plain, bounded, and as data alone."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest
from mcp import Client
from mcp_types import CallToolResult, EmbeddedResource, ImageContent, TextContent

from testlab_sim.world import YOU
from testlab_tools.catalog import all_tools
from testlab_tools.definitions import DefinitionKind

CANARY = "kq7canary"
MOST_CHARS = 200_000
"""Of an answer's text. Of one text in it 2,000; of an excerpt of a log or file 17,000."""
MOST_ERROR = 1_500
EXCERPTS = {"lines", "text"}
HANDLE = re.compile(r"(?:[a-z]+:)?[\w.~%:+/@=,-]+", re.ASCII)
"""What a service says is an id may be one, if it can be no sentence; one of TofuPilot v1 holds its unit's
serial number, percent-encoded."""
OUR_OWN = {"list_deliveries", "release_delivery"}
"""They ask no service, but this server's own database, which is switched off here."""

SAFE_NAME = re.compile(r"[\w. -]{1,100}", re.ASCII)

Row = tuple[str, dict[str, Any]]


async def facts(client: Client, url: str) -> dict[str, str]:
    """Names of what the lab has, as tools tell them."""

    async def ask(tool: str, **arguments: object) -> dict[str, Any]:
        result = await client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        return result.structured_content

    portal = (await ask("list_runs", service="portal", outcome="fail", limit=3))["runs"]
    factory = (await ask("list_runs", service="factory", outcome="fail", limit=3))["runs"][0]
    cloud = (await ask("list_runs", service="cloud", outcome="fail", limit=3))["runs"][0]
    old = (await ask("list_runs", service="old", unit=factory["unit"], limit=3))["runs"][0]
    nodes = (await ask("list_nodes"))["nodes"]
    theirs = next(n for n in nodes if n["state"] == "reserved")
    free = next(n for n in nodes if n["state"] == "free")
    cases = await ask("list_test_cases", revision="main")
    kept = await ask("get_artifact", run_id=portal[0]["run_id"])
    bearer = {"Authorization": f"Bearer {YOU.token}"}
    procedure = httpx2.get(f"{url}/tofupilot/api/v2/procedures", headers=bearer).json()["data"][0]
    return {
        "run": portal[0]["run_id"],
        "job": portal[0]["job_uid"],
        "factory": factory["run_id"],
        "unit": factory["unit"],
        "procedure": procedure["id"],
        "cloud": cloud["run_id"],
        "old": old["run_id"],
        "free": free["node_id"],
        "theirs": theirs["node_id"],
        "reservation": theirs["reservation"]["reservation_id"],
        "case": cases["test_cases"][0],
        "artifact": next(a["name"] for a in kept["artifacts"] if a["name"].endswith(".log")),
    }


def rows(known: dict[str, str]) -> list[Row]:
    """Calls of every tool that succeed in a clean lab, in this order; a tool without one fails the test."""
    everything = ["cases", "measurements", "tags", "artifacts"]
    whose = [known["run"], known["factory"], known["old"], known["cloud"]]
    run = {"procedure_id": known["procedure"], "serial_number": "SN-1", "outcome": "fail", "part_number": "PCB-1"}
    report = '<testsuite timestamp="2026-11-20T08:00:00"><testcase name="a"/></testsuite>'
    made: list[Row] = [
        *(("list_runs", {"service": service, "limit": 5}) for service in ("portal", "factory", "cloud")),
        ("list_runs", {"service": "old", "unit": known["unit"]}),
        ("list_runs", {"service": "portal", "outcome": "fail", "limit": 3}),
        *(("get_run", {"run_id": run_id, "include": everything}) for run_id in whose),
        *(("get_failed_cases", {"run_id": run_id}) for run_id in [*whose, known["job"]]),
        *(("read_log", {"run_id": run_id, "tail": 1000}) for run_id in whose[:2]),
        ("read_log", {"run_id": known["run"], "search": CANARY}),
        ("get_artifact", {"run_id": known["run"]}),
        ("get_artifact", {"run_id": known["run"], "name": "{artifact}"}),
        ("get_artifact", {"run_id": known["run"], "name": "{artifact}", "save_to": "saved/{n}/"}),
        *(("export_runs", {"save_to": f"export/{{n}}.{form}", "format": form}) for form in ("csv", "junit")),
        *(("get_unit", {"serial_number": known["unit"], "service": s}) for s in ("factory", "old", "cloud")),
        ("get_unit", {"serial_number": known["unit"]}),
        ("triage", {"since": "7d"}),
        *(("explain_failure", {"run_id": run_id}) for run_id in whose),
        *(("list_catalog", {"kind": kind, "service": "factory"}) for kind in get_args(DefinitionKind)),
        ("list_nodes", {}),
        ("list_nodes", {"node_ids": [known["free"], known["theirs"]], "detail": True}),
        *(("grab_screenshot", {"node_id": known["free"], "size": size}) for size in ("model", "full", "thumbnail")),
        ("grab_screenshot", {"run_id": known["run"], "save_to": "shots/{n}.png"}),
        ("list_test_cases", {"revision": "main"}),
        ("get_job", {"job_uid": known["job"]}),
        ("press_key", {"node_id": known["free"], "key": "KEY_OK"}),
        ("reserve_nodes", {"node_ids": [known["free"]], "message": "m", "duration_minutes": 5}),
        ("reserve_nodes", {"node_ids": [known["theirs"]], "message": "m", "duration_minutes": 5}),
        ("extend_reservation", {"reservation_id": "{mine}", "minutes": 5}),
        ("run_tests", {"node_id": known["free"], "test_pack_revision": "main", "test_cases": ["{case}"]}),
        ("get_job", {"node_id": known["free"]}),
        ("stop_job", {"node_id": known["free"]}),
        ("end_reservation", {"reservation_id": "{mine}"}),
        ("interrupt_reservation", {"reservation_id": known["reservation"], "message": "m"}),
        ("create_run", {**run, "service": "factory"}),
        ("create_run", {**run, "service": "old", "serial_number": "SN-2"}),
        (
            "import_report",
            {"content": report, "serial_number": "SN-3", "procedure_id": known["procedure"], "part_number": "PCB-1"},
        ),
        ("update_unit", {"serial_number": known["unit"], "service": "factory", "batch_number": "LOT-1"}),
        *(("delete_unit", {"serial_number": sn, "service": s}) for sn, s in (("SN-1", "factory"), ("SN-2", "old"))),
        ("delete_run", {"run_id": known["factory"]}),
        ("delete_run", {"run_id": known["old"]}),
        ("list_deliveries", {}),
        ("release_delivery", {"delivery_id": "x"}),
    ]
    made = [(t, {**a, "service": "factory"} if t == "import_report" else a) for t, a in made]
    assert {tool for tool, _ in made} == {tool.name for tool in all_tools()}
    return made


def filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [filled(item, names) for item in value]
    if isinstance(value, dict):
        return {key: filled(item, names) for key, item in value.items()}
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text)
    return value


def hidden(text: str) -> set[str]:
    """Characters that act or hide, found by what Unicode says of them."""
    found = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n\t"}
    variation = {c for c in text if "\ufe00" <= c <= "\ufe0f" or "\U000e0000" <= c <= "\U000e0fff"}
    return found | variation | ({*"\u034f\u115f\u1160\u3164\uffa0\u180b\u180e"} & set(text))


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
        if len(text) > (MOST_ERROR if result.is_error else MOST_CHARS):
            yield f"text of {len(text)} characters"
    for block in result.content:
        if isinstance(block, ImageContent) and block.mime_type not in ("image/png", "image/jpeg"):
            yield f"an image of type {block.mime_type[:40]!r}"
        if isinstance(block, EmbeddedResource):
            yield "an embedded resource"
    structure = result.structured_content
    if structure is None or result.is_error:
        yield from ("canary in text" for text in texts if CANARY in text)
    elif json.loads(texts[-1], parse_constant=_no_json) != structure:
        yield "text and structure differ"
    if structure is not None:
        yield from _wrong_inside(structure)


def _wrong_inside(structure: dict[str, Any]) -> Iterator[str]:
    for name, data, text in strings(structure, marked=frozenset(structure.get("untrusted", ()))):
        if found := hidden(text):
            yield f"hidden in {name}: {sorted(map(ascii, found))[:5]}"
        if (
            CANARY in text
            and not data
            and not (name in ("run_id", "run_ids", "last_run", "exemplar", "id") and HANDLE.fullmatch(text))
        ):
            yield f"canary in {name}"
        if len(text) > (17_000 if name in EXCERPTS else 2_000):
            yield f"{len(text)} characters in {name}"
        if name == "lines" and max(map(len, text.split("\n"))) > 600:
            yield "a long line"


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


async def recorded(client: Client, rewriter: Any) -> list[Row]:
    """Have the lab answer every call once, and keep the answers. All succeed but for the ones that ask for trouble."""
    rewriter.mode = "clean"
    known = await facts(client, rewriter.url)
    called: list[Row] = []
    for n, (tool, given) in enumerate(rows(known)):
        arguments = filled(given, {**known, "n": f"clean{n}"})
        result = await client.call_tool(tool, arguments)
        if tool == "reserve_nodes" and not result.is_error:
            known["mine"] = result.structured_content["reservations"][0]["reservation_id"]  # type: ignore[index]
        trouble = tool in ("release_delivery", "list_deliveries") or arguments.get("node_ids") == [known["theirs"]]
        assert result.is_error is trouble, (tool, arguments, result.content)
        kept = {name: text for name, text in known.items() if name not in ("artifact", "case")}
        called.append((tool, filled(given, kept)))
    return called


@pytest.mark.parametrize("mode", ["values", "everything", "refused", "garbage", "numbers"])
async def test_no_text_of_a_service_acts_hides_or_speaks_for_us(
    mode: str, corpus: Any, rewriter: Any, hostile_client: Any, asked: Any, tmp_path: Path, caplog: Any, capsys: Any
) -> None:
    """`values`: every text but ids, dates and enums; `everything`: these too; `refused`: the bodies and headers of
    errors; `garbage`: whole bodies with their type; `numbers`: every number."""
    caplog.set_level(logging.DEBUG, "testlab_mcp")
    findings: list[str] = []
    good, bad = Counter[str](), Counter[str]()
    corpus = [hostile for hostile in corpus if hostile.json or mode != "numbers"]

    async with hostile_client(asking=asked) as client:
        calls = await recorded(client, rewriter)
        asked.questions.clear()
        rewriter.fields.clear()
        rewriter.mode = mode
        for number, hostile in enumerate(corpus):
            rewriter.hostile, rewriter.status = hostile, (400, 404, 409, 422, 429, 500)[number % 6]
            names = {"artifact": rewriter.first_name, "case": encodable(hostile.marked), "n": f"{mode}{number}"}
            answers = await asyncio.gather(*(client.call_tool(tool, filled(given, names)) for tool, given in calls))
            for (tool, _), answer in zip(calls, answers, strict=True):
                (bad if answer.is_error else good)[tool] += 1
                findings += [f"{hostile.name}: {tool}: {said}" for said in wrong(answer)]
        rewriter.mode = "clean"
    findings += [f"asked: {said}" for question in asked.questions for said in wrongly_asked(question)]
    findings += [f"on disk: {name!r}" for name in names_below(tmp_path) if not SAFE_NAME.fullmatch(name)]
    findings += [f"logged: {line[:200]!r}" for line in caplog.text.splitlines() if CANARY in line or hidden(line)]
    with capsys.disabled():
        tools, asking = len({tool for tool, _ in calls}), len(asked.questions)
        sys.stdout.write(
            f"\n{mode}: {len(corpus)} texts x {len(rewriter.fields)} fields x {tools} tools: "
            f"{good.total()} answers, {bad.total()} errors, {asking} questions, {len(findings)} findings\n"
        )
    assert findings == []
    if mode == "values":
        readable = sum(not hostile.raw for hostile in corpus) - len(corpus) // 10
        assert {tool for tool, _ in calls if good[tool] < readable} == OUR_OWN


def encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def names_below(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        yield path.name


def wrongly_asked(question: str) -> Iterator[str]:
    """The first line is ours; below it stands, on a line each, what others wrote, quoted."""
    ours, *quoted = question.split("\n")
    if CANARY in ours:
        yield "canary in our own words"
    for line in quoted:
        label, _, text = line.partition(": ")
        if label not in ("Holder", "Their message", "They will read", "Unit", "Test", "Part"):
            yield f"a line of its own: {line[:60]!r}"
        elif not isinstance(json.loads(text), str):
            yield f"not quoted: {line[:60]!r}"
    if found := hidden(question):
        yield f"hidden: {sorted(map(ascii, found))}"
    if len(question) > 2 * MOST_ERROR:
        yield f"{len(question)} characters"
