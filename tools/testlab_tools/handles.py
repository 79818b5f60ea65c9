"""Handles: `<service>:<native id>`, the only ids that tools return and the ones they take back."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class Handle(NamedTuple):
    """`portal:/stb-tester-abcdef123456/0a23/972` is service `portal`, native id `/stb-tester-abcdef123456/0a23/972`.

    `service` is empty for a bare native id.
    """

    service: str
    native: str

    def __str__(self) -> str:
        return f"{self.service}:{self.native}"

    @classmethod
    def parse(cls, text: str, services: Collection[str]) -> Handle:
        """Split at the first colon, if what stands before it is the name of a configured service."""
        head, colon, tail = text.strip().partition(":")
        if colon and head in services:
            return cls(head, tail)
        return cls("", text.strip())
