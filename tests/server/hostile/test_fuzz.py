"""Arguments, URIs and configs made by their schemas, and against them: always an answer or an error of our own."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import Client, MCPError
from mcp_types import CallToolResult

from testlab_mcp.commands.serve import policy_of
from testlab_mcp.commands.tools import describe_tool
from testlab_mcp.config.loading import parse_config
from testlab_mcp.protocol.server import build_server
from testlab_tools.errors import ConfigError
from testlab_tools.tools import all_tools
from tests.service_samples import SERVICE_SAMPLES

DEAD = "http://127.0.0.1:9"
CONFIG = '[server]\naccess = "admin"\ntoolsets = ["all"]\n[durable]\nenabled = false\n' + "".join(
    sample.table(DEAD, token="t") for sample in SERVICE_SAMPLES.values()
)
FEW = settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
UUID = "0196434d-e8f7-7ce1-81f7-e16f20487494"
LIKELY = [
    *("", " ", "24h", "7d", "999999w", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "../../x", "UTC"),
    *("portal", "factory", "portal:", "portal:/stb-tester-1/0a23/1", "portal:/a/b/c/d", f"factory:{UUID}", "cloud:x"),
    *("a=b&c", '"', "\x00", "\u202ex", "4.85 <= x <= 5.15", "1e999 <= x", "[" * 2_000, "NaN", "1e999", "~nobody/x"),
]
TEXT = st.one_of(st.sampled_from(LIKELY), st.text(max_size=40))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a schema takes, its bounds included."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "integer":
            return st.integers(schema.get("minimum", -(2**70)), schema.get("maximum", 2**70))
        case "number":
            return st.floats(schema.get("minimum"), allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case "array":
            return st.lists(fitting(schema.get("items", {})), min_size=schema.get("minItems", 0), max_size=3)
        case "object" if "properties" in schema:
            needed = {n: fitting(s) for n, s in schema["properties"].items() if n in schema.get("required", ())}
            others = {n: fitting(s) for n, s in schema["properties"].items() if n not in needed}
            return st.fixed_dictionaries(needed, optional=others)
        case "object":
            return st.dictionaries(TEXT, TEXT, max_size=3)
        case "string":
            return TEXT
        case _:
            return JSON


def nearly(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """One member of another type, one that is not known, or anything."""
    spoiled = st.tuples(fitting(schema), st.sampled_from(sorted(schema["properties"]) or ["x"]), JSON)
    return st.one_of(
        spoiled.map(lambda made: {**made[0], made[1]: made[2]}),
        st.tuples(fitting(schema), TEXT, JSON).map(lambda made: {**made[0], made[1]: made[2]}),
        st.dictionaries(TEXT, JSON, max_size=3),
    )


def asking(work: Callable[[Client], Any]) -> Any:
    """What a real client gets of a server of its own."""

    async def asked() -> Any:
        config = parse_config(CONFIG)
        async with Client(build_server(config.lab(), policy_of(config), config.folders())) as client:
            async with asyncio.timeout(20):
                return await work(client)

    return asyncio.run(asked())


@pytest.mark.parametrize("tool", [tool.name for tool in all_tools()])
@FEW
@given(data=st.data())
def test_whatever_arguments_a_tool_is_given_it_answers_in_our_words(
    tool: str, no_pauses: None, data: st.DataObject
) -> None:
    schema = describe_tool(next(known for known in all_tools() if known.name == tool))["inputSchema"]
    arguments = data.draw(fitting(schema) | nearly(schema))
    result: CallToolResult = asking(lambda client: client.call_tool(tool, arguments))
    said = str(result.content)
    assert "went wrong inside this server" not in said
    assert "Traceback" not in said
    assert len(said) < 6_000


URIS = st.one_of(
    st.builds("testlab://{}/{}/{}".format, st.sampled_from(["runs", "nodes", "tests", "x"]), TEXT, TEXT),
    st.builds(
        "testlab://runs/{}/artifacts/{}".format, st.sampled_from(["portal%3A%2Fa%2Fb%2Fc%2Fd", "%", "%ED%A0"]), TEXT
    ),
    st.builds("skill://{}/SKILL.md".format, TEXT),
    TEXT,
)


@FEW
@given(uri=URIS, value=TEXT, prompt=st.sampled_from(["unit_passport", "reproduce_failure", "morning_triage", "x"]))
def test_whatever_is_read_or_prompted_it_is_an_answer_or_a_protocol_error_of_ours(
    no_pauses: None, uri: str, value: str, prompt: str
) -> None:
    async def both(client: Client) -> list[str]:
        told: list[str] = []
        names = {"unit_passport": "serial_number", "reproduce_failure": "run_id"}
        for ask in (
            lambda: client.read_resource(uri),
            lambda: client.get_prompt(prompt, {names.get(prompt, "since"): value}),
        ):
            try:
                told.append(str(await ask()))
            except MCPError as error:
                told.append(error.message)
        return told

    for said in asking(both):
        assert "went wrong inside this server" not in said
        assert "Traceback" not in said


def toml(value: Any) -> str:
    """JSON values as TOML writes them."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


KEYS = ["kind", "url", "token", "token_env", "access", "toolsets", "allow", "save_to", "path", "api_version", "urll"]
VALUES = st.one_of(
    st.sampled_from(["stbtester", "tofupilot", "x", DEAD, "http://[", "http://a:b@c", "operate", "~nobody/x", "a\nb"]),
    st.booleans() | st.integers(-5, 2**70) | st.text(st.characters(codec="ascii"), max_size=9),
    st.lists(st.sampled_from(["default", "all", "~nobody/x", "x\x00"]), max_size=2),
)
TABLES = st.dictionaries(st.sampled_from(KEYS) | st.text(st.characters(codec="ascii"), max_size=6), VALUES, max_size=5)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "server": TABLES | VALUES,
        "files": TABLES | VALUES,
        "durable": TABLES,
        "http": TABLES,
        "callers": st.dictionaries(st.sampled_from(["ci", "a\nb"]), TABLES, max_size=2) | VALUES,
        "services": st.dictionaries(st.sampled_from(["portal", "a\nb", "", "a.b"]), TABLES | VALUES, max_size=2),
    },
)


@settings(FEW, max_examples=400)
@given(tables=CONFIGS)
def test_a_config_is_read_or_told_in_one_line(tables: dict[str, Any]) -> None:
    read_or_told("\n".join(f"{name} = {toml(table)}" for name, table in tables.items()))


@settings(FEW, max_examples=100)
@given(text=st.text(max_size=60) | st.sampled_from([f"a = {'[' * 5_000}", f"a = {'9' * 5_000}", "a = 1e999", "\x00"]))
def test_any_text_is_a_config_or_told_in_one_line(text: str) -> None:
    read_or_told(text)


def read_or_told(text: str) -> None:
    said = ""
    try:
        config = parse_config(text)
        config.folders()
        config.lab()
    except ConfigError as error:
        said = str(error)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", said), ascii(said)
