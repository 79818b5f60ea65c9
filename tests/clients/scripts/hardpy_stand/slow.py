"""What lasts until it is stopped."""

from __future__ import annotations

from time import sleep


def test_wait() -> None:
    for _ in range(600):
        sleep(0.1)


def test_after() -> None:
    pass
