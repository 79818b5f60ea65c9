"""The message in each receiver's shape: pure functions. No text in it is read as markup.

Sources: Standard Webhooks, "Payload structure"; Slack, "Block Kit" (text objects) and "Escaping text"; Microsoft,
"Adaptive Cards" (RichTextBlock: a TextRun has no Markdown), as Teams' workflow for webhook requests takes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from testlab_tools.notify.event import Event, clean, clean_facts
from testlab_tools.notify.receivers import ReceiverKind

WRITTEN = "Written by devices and people: "


def write_body(kind: ReceiverKind, event: Event, notice_id: str) -> bytes:
    """The body of a message, the same at every try."""
    return json.dumps(_SHAPES[kind](event, notice_id), separators=(",", ":"), ensure_ascii=False).encode()


def _webhook(event: Event, notice_id: str) -> dict[str, Any]:
    data = {
        "id": event.event_id,
        "state": event.state,
        "title": clean(event.title),
        "facts": clean_facts(event.facts),
        "untrusted": clean_facts(event.untrusted),
        "next": clean(event.next),
    }
    return {"type": event.type, "timestamp": event.time, "data": data}


def _slack(event: Event, notice_id: str) -> dict[str, Any]:
    def plain(text: str) -> dict[str, Any]:
        return {"type": "plain_text", "text": _escape(text), "emoji": False}

    fields = [plain(line) for line in _lines(event)]
    blocks: list[dict[str, Any]] = [{"type": "section", "text": plain(clean(event.title))}]
    if fields:
        blocks.append({"type": "section", "fields": fields[:10]})
    blocks.append({"type": "context", "elements": [plain(f"{event.time} · {notice_id}")]})
    return {"text": _escape(clean(event.title)), "mrkdwn": False, "blocks": blocks}


def _teams(event: Event, notice_id: str) -> dict[str, Any]:
    def run(text: str, **style: object) -> dict[str, Any]:
        return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}

    body = [run(clean(event.title), weight="Bolder", size="Medium"), *map(run, _lines(event))]
    body.append(run(f"{event.time} · {notice_id}", isSubtle=True, size="Small"))
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _lines(event: Event) -> list[str]:
    ours = [f"{name}: {value}" for name, value in clean_facts(event.facts).items()]
    return ours + [f"{WRITTEN}{name}: {value}" for name, value in clean_facts(event.untrusted).items()]


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_SHAPES: Mapping[ReceiverKind, Callable[[Event, str], dict[str, Any]]] = {
    "webhook": _webhook,
    "slack": _slack,
    "teams": _teams,
}
