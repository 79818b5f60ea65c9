"""Each call that changes something, and each refusal, is a line of the audit; looking is none."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult, Implementation

from testlab_mcp.audit.chain import ChainPosition
from testlab_mcp.audit.verify import verify
from testlab_mcp.commands.serve import policy_of
from testlab_mcp.commands.simlab import SimLab
from testlab_mcp.config.loading import parse_config
from testlab_mcp.protocol.server import build_server
from tests.fixture_types import Connect, RefusedCaller, ToolCaller


async def free_node(client: Client, ask: ToolCaller) -> str:
    return (await ask(client, "list_nodes", available=True))["nodes"][0]["node_id"]


async def test_a_change_is_written_down_before_and_after_with_what_the_service_answered(
    fresh_sim: SimLab,
    audited: Callable[..., str],
    connect: Connect,
    ask: ToolCaller,
    lines: Callable[[], list[dict[str, Any]]],
    audit_file: Path,
) -> None:
    async with connect(audited(fresh_sim)) as client:
        node = await free_node(client, ask)
        assert lines() == [], "looking is not written down"
        made = await ask(client, "reserve_nodes", node_ids=[node], message="soak", duration_minutes=5)
        handle = made["reservations"][0]["reservation_id"]
    intent, outcome = lines()
    assert (intent["event"], outcome["event"]) == ("intent", "outcome")
    assert intent["call"] == outcome["call"]
    for line in (intent, outcome):
        assert (line["who"], line["tool"], line["target"]) == ("local", "reserve_nodes", node)
        assert line["arguments"] == {"node_ids": [node], "message": "soak", "duration_minutes": 5}
        assert line["time"].endswith("Z")
    assert (outcome["outcome"], outcome["made"]) == ("ok", [handle])
    assert outcome["duration_ms"] >= 0
    (change,) = outcome["upstream"]["changes"]
    assert (change["service"], change["method"], change["status"]) == ("portal", "POST", 200)
    assert [intent["seq"], outcome["seq"]] == [1, 2]
    assert verify(audit_file).findings == []
    if os.name == "posix":
        assert stat.S_IMODE(audit_file.stat().st_mode) == 0o600


async def test_a_refusal_by_the_policy_is_written_down_whatever_the_tool_would_do(
    sim: SimLab,
    audited: Callable[..., str],
    connect: Connect,
    refused: RefusedCaller,
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    async with connect(audited(sim, "observe")) as client:
        await refused(client, "reserve_nodes", node_ids=["portal:n"], message="m", duration_minutes=5)
    (line,) = lines()
    assert (line["event"], line["outcome"], line["by"], line["error"]) == ("outcome", "refused", "policy", "Refused")
    assert (line["tool"], line["target"]) == ("reserve_nodes", "portal:n")
    assert "upstream" not in line


async def test_arguments_that_cannot_be_right_are_a_refusal_of_a_tool_that_changes_things_alone(
    sim: SimLab,
    audited: Callable[..., str],
    connect: Connect,
    refused: RefusedCaller,
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    async with connect(audited(sim)) as client:
        await refused(client, "list_runs", limit=100_000)
        assert lines() == []
        await refused(client, "reserve_nodes", node_ids=["n"], message="m", duration_minutes=-5)
        await refused(client, "reserve_nodes", colour="red")
    assert [(line["outcome"], line["by"], line["error"]) for line in lines()] == [("refused", "input", "BadInput")] * 2


async def test_a_file_outside_the_folders_is_a_refusal_even_of_a_tool_that_only_looks(
    sim: SimLab,
    audited: Callable[..., str],
    connect: Connect,
    refused: RefusedCaller,
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    async with connect(audited(sim)) as client:
        await refused(client, "export_runs", save_to="/etc/runs.csv", service="portal")
    (line,) = lines()
    assert (line["tool"], line["outcome"], line["by"]) == ("export_runs", "refused", "lab")


async def test_a_missing_confirm_is_a_refusal_and_nothing_was_begun(
    fresh_sim: SimLab,
    audited: Callable[..., str],
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    async with connect(audited(fresh_sim, "admin")) as client:
        node = next(n for n in (await ask(client, "list_nodes"))["nodes"] if n["state"] == "reserved")
        theirs = node["reservation"]["reservation_id"]
        await refused(client, "interrupt_reservation", reservation_id=theirs, message="m")
    (line,) = lines()
    assert (line["outcome"], line["by"], line["target"]) == ("refused", "confirm", theirs)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("agrees", [True, False])
async def test_a_persons_answer_is_what_the_audit_tells(
    fresh_sim: SimLab,
    audited: Callable[..., str],
    ask: ToolCaller,
    lines: Callable[[], list[dict[str, Any]]],
    mode: str,
    agrees: bool,
    tmp_path: Path,
) -> None:
    async def decide(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"go_ahead": agrees})

    read = parse_config(audited(fresh_sim, "admin"))
    server = build_server(read.lab(), policy_of(read), read.folders(), audit=read.audit_logger())
    who = Implementation(name="bench \x1b[31mclient" + "x" * 200, version="1.2")
    async with Client(server, mode=mode, elicitation_callback=decide, client_info=who) as client:
        node = next(n for n in (await ask(client, "list_nodes"))["nodes"] if n["state"] == "reserved")
        theirs = node["reservation"]["reservation_id"]
        await client.call_tool("interrupt_reservation", {"reservation_id": theirs, "message": "m"})
    told = lines()
    assert all(line["client"]["name"].startswith("bench clientxxx") for line in told)
    assert all(len(line["client"]["name"]) == 80 for line in told)
    if agrees:
        assert [(line["event"], line.get("outcome")) for line in told] == [("intent", None), ("outcome", "ok")]
    else:
        assert [(line["outcome"], line["by"]) for line in told] == [("refused", "person")]


async def test_an_answer_that_was_lost_leaves_its_intent_and_the_class_of_the_error(
    fresh_sim: SimLab,
    audited: Callable[..., str],
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
    lines: Callable[[], list[dict[str, Any]]],
    control: Any,
) -> None:
    async with connect(audited(fresh_sim)) as client:
        node = await free_node(client, ask)
        control.post("/faults", json={"service": "stbtester", "method": "POST", "status": 502, "times": 0})
        await refused(client, "press_key", node_id=node, key="KEY_OK")
    intent, outcome = lines()
    assert intent["event"] == "intent"
    assert (outcome["outcome"], outcome["error"]) == ("error", "AnswerLost")
    assert outcome["upstream"]["changes"] == [{"service": "portal", "method": "POST", "status": 502}]


async def test_a_run_that_waits_to_be_delivered_is_queued_under_the_reference_it_is_sent_with(
    fresh_sim: SimLab,
    audited: Callable[..., str],
    connect: Connect,
    ask: ToolCaller,
    lines: Callable[[], list[dict[str, Any]]],
    control: Any,
    no_backoff: None,
) -> None:
    control.post("/faults", json={"service": "tofupilot", "status": 503, "retry_after": "120", "times": 0})
    async with connect(audited(fresh_sim)) as client:
        made = await ask(client, "create_run", procedure_id="FVT1", serial_number="SN-1", outcome="pass")
    _, outcome = lines()
    assert (outcome["outcome"], outcome["target"]) == ("queued", "SN-1")
    assert outcome["upstream"]["refs"] == [made["queued"]]


async def test_reads_are_written_down_where_the_config_says_so(
    sim: SimLab,
    audited: Callable[..., str],
    connect: Connect,
    ask: ToolCaller,
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    async with connect(audited(sim, extra="reads = true")) as client:
        await ask(client, "list_nodes")
    (line,) = lines()
    assert (line["event"], line["tool"], line["outcome"]) == ("outcome", "list_nodes", "ok")


async def test_a_change_that_cannot_be_written_down_is_not_made(
    fresh_sim: SimLab,
    audited: Callable[..., str],
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
    control: Any,
    audit_file: Path,
) -> None:
    audit_file.mkdir(parents=True)
    async with connect(audited(fresh_sim)) as client:
        node = await free_node(client, ask)
        control.delete("/requests")
        told = await refused(client, "reserve_nodes", node_ids=[node], message="m", duration_minutes=5)
        assert "The audit cannot be written, so nothing was changed" in told
        assert str(audit_file) not in told
        changes = [r for r in control.get("/requests").json()["requests"] if r["method"] != "GET"]
        assert changes == []
        audit_file.rmdir()
        await ask(client, "reserve_nodes", node_ids=[node], message="m", duration_minutes=5)


async def test_a_file_whose_end_was_cut_takes_no_more_changes(
    fresh_sim: SimLab,
    audited: Callable[..., str],
    connect: Connect,
    ask: ToolCaller,
    refused: RefusedCaller,
    audit_file: Path,
) -> None:
    async with connect(audited(fresh_sim)) as client:
        node = await free_node(client, ask)
        await ask(client, "press_key", node_id=node, key="KEY_OK")
        first = audit_file.read_bytes().splitlines(keepends=True)[0]
        audit_file.write_bytes(first)
        told = await refused(client, "press_key", node_id=node, key="KEY_OK")
        assert "its last lines are missing" in told
    assert audit_file.read_bytes() == first


async def test_no_secret_and_no_report_is_in_the_audit(
    fresh_sim: SimLab,
    audited: Callable[..., str],
    connect: Connect,
    lines: Callable[[], list[dict[str, Any]]],
    audit_file: Path,
) -> None:
    secret = "tk-5d41402abc4b2a76b9719d911017c592"
    report = f'<testsuite timestamp="2026-11-20T08:00:00"><testcase name="{secret}"/></testsuite>'
    async with connect(audited(fresh_sim)) as client:
        for tool, arguments in (
            ("import_report", {"content": report, "serial_number": "SN-2", "procedure_id": "FVT1"}),
            ("create_run", {"serial_number": "SN-3", "variables": {"api_key": secret, "nested token": secret}}),
            ("reserve_nodes", {"message": f"Authorization: Bearer {secret}", "node_ids": ["n"]}),
            ("reserve_nodes", {"message": f"https://store/x?X-Amz-Signature={secret}&a=1", "node_ids": ["n"]}),
            ("reserve_nodes", {"message": f"https://me:{secret}@host/", "node_ids": ["n"]}),
            ("press_key", {"node_id": "n", "token": secret}),
        ):
            await client.call_tool(tool, arguments)
    assert secret not in audit_file.read_text(encoding="ascii")
    told = lines()
    assert told[0]["arguments"]["content"]["chars"] == len(report)
    assert told[2]["arguments"]["variables"] == {"api_key": "[masked]", "nested token": "[masked]"}
    assert "[masked]" in told[-2]["arguments"]["message"]


async def test_a_flood_of_arguments_is_refused_and_told_by_its_hash(
    sim: SimLab,
    audited: Callable[..., str],
    connect: Connect,
    refused: RefusedCaller,
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    """Each of these texts once took a hundredth of a second to be searched for secrets."""
    texts = [["token" + " " * 1590] * 20] * 6
    async with connect(audited(sim, access="observe")) as client:
        told = await refused(client, "run_tests", **{f"a{number}": texts for number in range(20)}, n=int("9" * 4000))
    assert "Not allowed" in told
    (line,) = lines()
    assert (line["tool"], line["outcome"], line["by"]) == ("run_tests", "refused", "policy")
    assert line["arguments"].keys() == {"chars", "sha256"}


@pytest.mark.parametrize(
    "text",
    [
        "token: {}",
        "Bearer {}",
        "password = {}",
        "api key {}",
        "secret={}",
        "basic\t{}",
        "token  =  {}",
        "pwd={}",
        "passwd: {}",
        "token='{}'",
        '{{"password": "{}"}}',
        "{{'token':'{}'}}",
        "tlm_{}",
        'password="{}"',
    ],
)
async def test_a_secret_in_an_argument_is_masked_however_it_is_spaced(
    text: str, sim: SimLab, audited: Callable[..., str], connect: Connect, refused: RefusedCaller, audit_file: Path
) -> None:
    async with connect(audited(sim, access="observe")) as client:
        await refused(client, "reserve_nodes", node_ids=["n"], message=text.format("hunter2-hunter2"))
    told = audit_file.read_text(encoding="ascii")
    assert "[masked]" in told
    assert "hunter2" not in told


async def test_two_servers_continue_one_chain(
    fresh_sim: SimLab,
    audited: Callable[..., str],
    spawn: Connect,
    ask: ToolCaller,
    lines: Callable[[], list[dict[str, Any]]],
    audit_file: Path,
) -> None:
    async with spawn(audited(fresh_sim)) as one, spawn(audited(fresh_sim)) as other:
        node = await free_node(one, ask)
        for client in (one, other, one):
            await ask(client, "press_key", node_id=node, key="KEY_OK")
    assert [line["seq"] for line in lines()] == [1, 2, 3, 4, 5, 6]
    verdict = verify(audit_file)
    assert verdict.findings == []
    assert verdict.last == ChainPosition(6, lines()[-1]["hash"])


async def test_stderr_gets_the_lines_and_standard_output_none(
    fresh_sim: SimLab, audited: Callable[..., str], ask: ToolCaller, capsys: pytest.CaptureFixture[str]
) -> None:
    config = audited(fresh_sim).replace("[audit]\nfile", "[audit]\nstderr = true\n#")
    read = parse_config(config)
    assert read.audit_file() is None
    async with Client(build_server(read.lab(), policy_of(read), read.folders(), audit=read.audit_logger())) as client:
        node = await free_node(client, ask)
        await ask(client, "press_key", node_id=node, key="KEY_OK")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count('"event":"intent"') == 1
    assert err.count('"event":"outcome"') == 1
