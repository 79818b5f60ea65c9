"""Estimates how much of a model's context a text takes, without a tokenizer: rather too much than too little."""

from __future__ import annotations

import json
import re

from pydantic import BaseModel

_PIECES = re.compile(
    r"(?P<mixed>(?=[A-Za-z]*\d|\d*[A-Za-z])(?:[A-Za-z]+\d|\d+[A-Za-z])[A-Za-z\d]*)"
    r"|(?P<word>[A-Za-z]+)|(?P<digits>\d+)|(?P<space>\s+)|(?P<ascii>[\x21-\x7e])|(?P<other>[^\x00-\x7f]+)"
)


def estimate_result(result: BaseModel) -> int:
    """As `estimate_tokens`, of a result as tools return it."""
    data = result.model_dump(mode="json", exclude_defaults=True)
    return estimate_tokens(json.dumps(data, separators=(",", ":"), ensure_ascii=False))


def estimate_tokens(text: str) -> int:
    """About how many o200k tokens, hardly below the truth but for short words that no language has."""
    return round(sum(_weigh(found) for found in _PIECES.finditer(text)))


def _weigh(found: re.Match[str]) -> float:
    piece = found.group()
    match found.lastgroup:
        case "word":
            return 1.1 if len(piece) <= 8 else 0.2 * len(piece) if len(piece) <= 24 else 0.6 * len(piece)
        case "mixed":
            return 0.68 * len(piece)
        case "digits":
            return (len(piece) + 2) // 3
        case "space":
            return 0.1
        case "other":
            return sum(4 if ord(sign) > 0xFFFF else 0.7 * len(sign.encode("utf-8", "replace")) for sign in piece)
        case _:
            return 0.78
