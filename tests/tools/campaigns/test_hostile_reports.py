"""Texts of devices and people act in no form that a campaign's end is told in: not in JUnit, the page or a message."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any, cast
from xml.etree import ElementTree

import pytest

from testlab_tools.campaigns.announcing import describe_event
from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.campaigns.reading import Details, NodeShare, Told
from testlab_tools.campaigns.records import Campaign, CampaignNode
from testlab_tools.campaigns.report import write_junit, write_page
from testlab_tools.notify.bodies import write_body

HOSTILE = {
    "control characters": "a\0\x08\x0b\x1f\x7f\x85b",
    "a terminal's": "\x1b]0;owned\x07\x1b[31mred\x9b2J",
    "hidden": "a\u202eb\u200bc\U000e0041d",
    "no characters": "a\ufffe\uffffb",
    "half a surrogate pair": "a\ud800b\udfffc",
    "HTML": "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><b>",
    "XML": "]]><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>&y;<failure/>",
    "Slack": "<!channel> <@U1> <https://x.example|here> *bold*",
    "Teams": "<at>all</at> [x](javascript:1) **b** {{DATE()}}",
    "long": "x<" * 50_000,
    "lines": "a\n\r\n\tb\u2028c",
}
CONTROLS = (*range(9), *range(11, 32), *range(127, 160), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000))
ACTS = {chr(code) for code in CONTROLS} | set("\u202e\u200b\u2028\U000e0041")
PAGE = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "h1",
    "h2",
    "h3",
    "p",
    "table",
    "tr",
    "th",
    "td",
    "span",
    "code",
}


@pytest.fixture(params=HOSTILE.values(), ids=list(HOSTILE))
def text(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def campaign(text: str) -> Campaign:
    order = CampaignOrder(service="portal", test_pack_revision=text, node_ids=(text,), message=text)
    values = {"created_at": 0.0, "ended_at": 9.0, "tests": 1, "items": 1, "failed": 1, "why": text}
    return Campaign.model_validate({"campaign_id": "c1", "order": order, "state": "failed", **values})


@pytest.fixture
def told(text: str) -> Told:
    return Told(0, text, "fail", text, text, text, 1.0, 2.0, "confirmed", text)


def texts_of(value: object) -> Iterator[str]:
    """All texts in a JSON document."""
    match value:
        case str():
            yield value
        case list():
            for item in cast(list[object], value):
                yield from texts_of(item)
        case dict():
            for name, item in cast(dict[str, object], value).items():
                yield name
                yield from texts_of(item)
        case _:
            pass


def test_junit_is_one_case_whatever_its_names_are(campaign: Campaign, told: Told) -> None:
    written = "".join(write_junit(campaign, [told]))
    assert not ACTS & set(written)
    (suite,) = ElementTree.fromstring(written.encode())
    (case,) = suite
    assert [child.tag for child in case] == ["properties", "failure"]
    assert {child.tag for child in case[0]} == {"property"}


def test_the_page_has_no_element_that_a_text_made(campaign: Campaign, told: Told, text: str) -> None:
    tags, attributes = set[str](), set[tuple[str, str | None]]()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)
            attributes.update(attrs)

    node = CampaignNode(node=text, reservation_id="1", ticket=1, state="dropped", why=text)
    details = Details(campaign, [told], [NodeShare(node, {"fail": 1})], 0, None, ())
    written = "".join(write_page(details, [told]))
    assert not ACTS & set(written)
    Reader().feed(written)
    assert tags <= PAGE
    assert {name for name, _ in attributes} <= {"lang", "charset", "name", "content", "class"}


def _find_unmarked(slack: dict[str, Any]) -> list[object]:
    blocks = slack["blocks"]
    shown = [block.get("text") for block in blocks] + [one for block in blocks for one in block.get("fields", ())]
    return [one for one in shown if one and one["type"] != "plain_text"] + [slack["mrkdwn"] or None]


def _find_other_runs(teams: dict[str, Any]) -> list[object]:
    card = teams["attachments"][0]["content"]
    return [run for block in card["body"] for run in block["inlines"] if run["type"] != "TextRun"]


def _find_nothing(_: dict[str, Any]) -> list[object]:
    return []


@pytest.mark.parametrize(
    ("kind", "find_marked", "limit"),
    [("webhook", _find_nothing, 300), ("slack", _find_unmarked, 2000), ("teams", _find_other_runs, 400)],
)
def test_a_message_has_the_texts_short_and_as_texts_alone(
    kind: Any, find_marked: Callable[[dict[str, Any]], list[object]], limit: int, campaign: Campaign, told: Told
) -> None:
    body = json.loads(write_body(kind, describe_event(campaign, [told]), "n1").decode())
    assert [one for one in find_marked(body) if one is not None] == []
    for one in texts_of(body):
        assert not ACTS & set(one)
        assert "\n" not in one
        assert len(one) <= limit
        assert kind != "slack" or not {"<", ">"} & set(one)
