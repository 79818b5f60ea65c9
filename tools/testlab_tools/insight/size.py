"""About how many tokens a text costs a model, where no tokenizer is installed."""

from __future__ import annotations

import json
import re

from pydantic import BaseModel

_PIECES = re.compile(r"(?P<word>[a-z]+|[A-Z][a-z]*)|\d{1,3}|(?P<mark>[!-/:-@\[-`{-~]{1,3})|(?P<other>[^\x00-\x7f])")


def cost(noun: BaseModel) -> int:
    """The weight of a noun as tools report it."""
    data = noun.model_dump(mode="json", exclude_defaults=True)
    return weight(json.dumps(data, separators=(",", ":"), ensure_ascii=False))


def weight(text: str) -> int:
    """Rather too many than too few: a word is a token per five letters, three digits are one, a character beyond ASCII
    two."""
    total = 0
    for piece in _PIECES.finditer(text):
        total += 2 if piece["other"] else -(-len(piece[0]) // 5) if piece["word"] else 1
    return total
