"""Hostile text through resources, prompts and completion; homoglyphs of names; and answers too long as a whole."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from mcp import Client, MCPError
from mcp_types import ResourceTemplateReference, TextResourceContents

from testlab_mcp.protocol.resources import TEMPLATES
from testlab_mcp.protocol.results import MAX_CHARS, to_result
from testlab_tools.errors import LabError
from testlab_tools.models.lab import RunPage
from tests.answer_text import read_answer

if TYPE_CHECKING:
    from tests.server.hostile.conftest import Hostile, Rewriter

CANARY = "kq7canary"
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
"""What the caller gave, as an error quotes it."""
PROMPTS = {"unit_passport": "serial_number", "reproduce_failure": "run_id", "morning_triage": "since"}


def hides(text: str) -> bool:
    acts = any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n\t" for c in text)
    return acts or any("\ufe00" <= c <= "\ufe0f" or "\U000e0000" <= c <= "\U000e0fff" for c in text)


async def uris(client: Client) -> dict[str, str]:
    """One of every template."""
    run = (await client.call_tool("list_runs", {"service": "portal", "limit": 1})).structured_content["runs"][0]  # type: ignore[index]
    node = (await client.call_tool("list_nodes", {"available": True})).structured_content["nodes"][0]  # type: ignore[index]
    names = {"handle": run["run_id"], "test": run["test"], "node_id": node["node_id"], "name": "{name}"}
    made: dict[str, str] = {}
    for template in TEMPLATES:
        uri = template.uri
        for name, text in names.items():
            uri = uri.replace(f"{{{name}}}", text if name == "name" else quote(text, safe=""))
        made[template.name] = uri
    return made


async def tried(asking: Any) -> Any:
    """The answer, or the error's message."""
    try:
        return await asking
    except MCPError as error:
        return error.message


async def test_the_menu_shows_hostile_text_as_marked_contents_alone(
    corpus: Callable[[str], tuple[int, list[Hostile]]],
    rewriter: Rewriter,
    hostile_client: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts, rounds = corpus("values")
    findings: list[str] = []
    read = 0
    async with hostile_client() as client:
        every = await uris(client)
        for uri in every.values():
            await tried(client.read_resource(uri))
        for hostile in rounds:
            rewriter.mode, rewriter.hostile = "values", hostile
            for name, template in every.items():
                uri = template.replace("{name}", quote(rewriter.first_name, safe=""))
                answer = await tried(client.read_resource(uri))
                if isinstance(answer, str):
                    findings += [f"{hostile.name}: {name}: {answer[:80]}"] * (CANARY in answer or hides(answer))
                    continue
                read += 1
                for content in answer.contents:
                    if isinstance(content, TextResourceContents):
                        wrong = hides(content.text) or len(content.text) > MAX_CHARS
                        marked = '"untrusted":[' in content.text or (content.meta or {}).get("testlab/untrusted")
                        if wrong or (CANARY in content.text and not marked):
                            findings.append(f"{hostile.name}: {name}: {content.text[:80]!a}")
            for template in TEMPLATES:
                reference = ResourceTemplateReference(uri=template.uri)
                for argument in template.parsed.variable_names:
                    given = {"name": argument, "value": ""}
                    values = (await client.complete(reference, given, {"handle": "x"})).completion.values
                    findings += [
                        f"{template.name}: {v[:80]!a}" for v in values if hides(v) or "\n" in v or len(v) > 200
                    ]
        rewriter.mode = "clean"
    with capsys.disabled():
        print(f"\nmenu: {texts} texts x {len(every)} resources: {read} read, {len(findings)} findings")  # noqa: T201
    assert read
    assert findings == []


@pytest.mark.parametrize("prompt", PROMPTS)
async def test_a_prompt_takes_no_hostile_argument_but_as_a_quoted_value(
    prompt: str,
    corpus: Callable[[str], tuple[int, list[Hostile]]],
    rewriter: Rewriter,
    hostile_client: Callable[..., Any],
) -> None:
    async with hostile_client() as client:
        for hostile in corpus("values")[1]:
            value = hostile.marked.encode("utf-8", "replace").decode()
            answer = await tried(client.get_prompt(prompt, {PROMPTS[prompt]: value}))
            if isinstance(answer, str):
                assert CANARY not in QUOTED.sub("", answer)
                assert not hides(answer)
                continue
            assert not any(hides(message.content.text) for message in answer.messages)
            assert json.dumps(value.strip(), ensure_ascii=False) in answer.messages[0].content.text


@pytest.mark.parametrize("service", ["p\u043ertal", "portal\u200b", "\uff50ortal", "PORTAL", "portal "])
async def test_a_name_that_only_looks_like_a_services_is_refused(
    service: str, rewriter: Rewriter, hostile_client: Callable[..., Any]
) -> None:
    rewriter.mode = "refused"
    async with hostile_client() as client:
        for tool, arguments in (
            ("list_runs", {"service": service}),
            ("get_run", {"run_id": f"{service}:/stb-tester-1/0a21/90/2026-01-01_00.00.00"}),
            ("list_nodes", {"node_ids": [f"{service}:stb-tester-1"]}),
        ):
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            told = " ".join(getattr(block, "text", "") for block in result.content)
            assert not hides(told)
            ours = QUOTED.sub("", told)
            assert "\u043e" not in ours
            assert "\uff50" not in ours
    rewriter.mode = "clean"


def page(count: int, length: int) -> RunPage:
    run = {"run_id": "a:1", "outcome": "fail", "started_at": "2026-01-01T00:00:00Z", "test": "x" * length}
    return RunPage.model_validate({"runs": [run] * count, "services": []})


def test_an_answer_too_long_as_a_whole_has_its_texts_cut_and_says_so() -> None:
    result = to_result(page(200, 1_900))
    assert result.structured_content is not None
    assert len(result.content[0].text) <= MAX_CHARS  # type: ignore[union-attr]
    assert read_answer(result.content[0].text) == result.structured_content  # type: ignore[union-attr]
    assert "texts are cut to 400 characters" in result.structured_content["note"]
    assert result.structured_content["runs"][0]["test"].endswith("… [cut]")


def test_an_answer_too_long_without_its_texts_is_an_error() -> None:
    with pytest.raises(LabError, match="Ask for less at once"):
        to_result(page(20_000, 1))
