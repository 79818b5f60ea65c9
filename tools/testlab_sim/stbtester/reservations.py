"""Reservations: one user's hold on one node, until it is ended, interrupted or the clock passes its expiry."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass
class Reservation:
    reservation_id: int
    node_id: str
    username: str
    message: str
    start: float
    expires: float | None
    ended: bool = False
    interrupted_by: str = ""
    interruption: str = ""

    def active(self, now: float) -> bool:
        return not self.ended and (self.expires is None or now < self.expires)


class Reservations:
    """All reservations ever made, by id; ids count up from 1."""

    def __init__(self) -> None:
        self._all: dict[int, Reservation] = {}

    def get(self, reservation_id: int) -> Reservation | None:
        return self._all.get(reservation_id)

    def on(self, node_id: str, now: float) -> Reservation | None:
        """The reservation now held on a node."""
        held = (r for r in reversed(self._all.values()) if r.node_id == node_id and r.active(now))
        return next(held, None)

    def make(
        self, node_ids: Iterable[str], username: str, message: str, now: float, seconds: float | None
    ) -> list[Reservation]:
        """Reserve without asking: whether the nodes are free is for the caller to have seen."""
        expires = None if seconds is None else now + seconds
        made: list[Reservation] = []
        for node_id in node_ids:
            reservation = Reservation(len(self._all) + 1, node_id, username, message, now, expires)
            self._all[reservation.reservation_id] = reservation
            made.append(reservation)
        return made


_INLINE = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<!\*)\*([^*]+)\*(?!\*)"), r"<em>\1</em>"),
    (re.compile(r"\[([^\]]+)\]\((https?://[^\s)]+)\)"), r'<a href="\2">\1</a>'),
)


def markdown_html(message: str) -> str:
    """The Markdown a reservation message uses, as HTML: paragraphs, bullets, emphasis, code and links."""
    return "\n".join(_block(part) for part in re.split(r"\n{2,}", message.strip()))


def _block(text: str) -> str:
    escaped = html.escape(text, quote=False)
    for pattern, replacement in _INLINE:
        escaped = pattern.sub(replacement, escaped)
    lines = escaped.split("\n")
    if all(line.startswith(("- ", "* ")) for line in lines):
        return "<ul>\n" + "\n".join(f"<li>{line[2:]}</li>" for line in lines) + "\n</ul>"
    return f"<p>{escaped}</p>"
