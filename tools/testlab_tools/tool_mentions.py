"""Next steps name tools. A sentence that names a tool which cannot be used is left out."""

from __future__ import annotations

import re
from collections.abc import Collection

_SENTENCES = re.compile(r"(?<=[.!?]) +(?=[A-Za-z])")


def drop_mentions(text: str, tools: Collection[str]) -> str:
    """The text without the sentences that name one of these tools.

    >>> drop_mentions("It is parked. release_delivery sends it again.", {"release_delivery"})
    'It is parked.'
    """
    if not any(name in text for name in tools):
        return text
    named = re.compile(rf"\b(?:{'|'.join(map(re.escape, tools))})\b")
    return " ".join(sentence for sentence in _SENTENCES.split(text) if not named.search(sentence))
