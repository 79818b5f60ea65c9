"""JSON from elsewhere: counted before it is built, and no error of it fills the memory."""

from __future__ import annotations

import gzip
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from httpx2 import Headers

from testlab_tools.bounded_json import MAX_ELEMENTS, TooManyElements, load_json
from testlab_tools.errors import BadReply
from testlab_tools.http import Reply
from testlab_tools.http.response import Wire, decode


class _Item(Wire):
    name: str


class _Page(Wire):
    items: list[_Item]


def reply(body: bytes) -> Reply:
    return Reply("factory", 200, Headers(), body)


@pytest.mark.parametrize(
    "value", [{"a": [1, 2.5, None, True, "é"]}, [], 'text, with [commas] {and} \\ " quotes', {"k" * 99: {"": [{}]}}]
)
def test_what_is_small_is_read_as_json_reads_it(value: object) -> None:
    for encoding in ("utf-8", "utf-16", "utf-32"):
        assert load_json(json.dumps(value, ensure_ascii=False).encode(encoding)) == value


def test_a_document_of_one_element_more_than_allowed_is_not_built() -> None:
    assert load_json("[1,2,3]", max_elements=3) == [1, 2, 3]
    with pytest.raises(TooManyElements):
        load_json("[1,2,3,4]", max_elements=3)
    with pytest.raises(TooManyElements):
        load_json('{"a":{"b":{"c":{}}}}', max_elements=3)


def test_what_stands_in_texts_is_no_element() -> None:
    log = ['{[,"quoted\\" and \\\\', ",[{" * 1000]
    assert load_json(json.dumps(log), max_elements=2) == log


def test_texts_without_number_are_refused_as_elements_are() -> None:
    with pytest.raises(TooManyElements):
        load_json("[" + '"",' * 100 + '""]', max_elements=3)
    with pytest.raises(TooManyElements, match="texts"):
        load_json("{" + '"" ' * 100 + ",,,,}", max_elements=3)


@pytest.mark.parametrize("value", ["[", "", "nope", "[1] 2", '"\\x"'])
def test_what_is_no_json_is_a_value_error(value: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        load_json(value)


def test_a_reply_of_too_many_values_is_told_in_our_own_words() -> None:
    with pytest.raises(BadReply, match=f"Service factory answered 200 with more than {MAX_ELEMENTS} values"):
        decode(reply(b"[" + b"[]," * MAX_ELEMENTS + b"[]]"), list[int])


@pytest.mark.parametrize("body", [b"[" + b"7," * 1000 + b"7]", b'{"items":[' + b"{}," * 1000 + b"{}]}"])
def test_the_first_wrong_element_ends_the_reading(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydantic import ValidationError

    from testlab_tools.http import response

    counts: list[int] = []

    class Counted:
        def __init__(self, shape: Any) -> None:
            self.adapter = plainly(shape)

        def validate_python(self, value: object) -> object:
            return self.count(self.adapter.validate_python, value)

        def validate_json(self, text: bytes) -> object:
            return self.count(self.adapter.validate_json, text)

        def count(self, validate: Callable[[Any], object], value: object) -> object:
            try:
                return validate(value)
            except ValidationError as error:
                counts.append(error.error_count())
                raise

    plainly = response._adapter
    monkeypatch.setattr(response, "_adapter", Counted)
    with pytest.raises(BadReply, match=r"Field (0|items\.0\.name) "):
        decode(reply(body), list[_Item] if body.startswith(b"[") else _Page)
    assert counts == [1, 1]


BODIES: dict[str, Callable[[], bytes]] = {
    "empty lists": lambda: b"[" + b"[]," * 5_000_000 + b"[]]",
    "empty objects": lambda: b"[" + b"{}," * 5_000_000 + b"{}]",
    "empty texts": lambda: b"[" + b'"",' * 5_000_000 + b'""]',
    "members": lambda: b"{" + b",".join(b'"%d":0' % n for n in range(1_000_000)) + b"}",
    "numbers": lambda: b"[" + b"1," * 8_000_000 + b"1]",
    "wrong items": lambda: b'{"items":[' + b"{}," * (MAX_ELEMENTS // 2 - 10) + b"{}]}",
    "right items": lambda: b'{"items":[' + b'{"name":"a"},' * (MAX_ELEMENTS // 2 - 10) + b'{"name":"a"}]}',
    "nested": lambda: b"[" * 100_000 + b"]" * 100_000,
}
PROGRAM = """
import gzip, re, sys
from httpx2 import Headers
from testlab_tools.errors import BadReply
from testlab_tools.http import Reply
from testlab_tools.http.response import Wire, decode
class Item(Wire):
    name: str
class Page(Wire):
    items: list[Item]
def highest():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1])
body = gzip.decompress(sys.stdin.buffer.read())
before = highest()
try:
    told = len(decode(Reply("factory", 200, Headers(), body), Page).items)
except BadReply as error:
    told = str(error)
print((highest() - before) // 1024, told)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a process's highest memory is read from /proc")
@pytest.mark.parametrize("shape", BODIES)
def test_no_body_takes_more_memory_than_its_budget(shape: str) -> None:
    """As its own process, which may have a gigabyte: what was built would end it."""

    def confine() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=gzip.compress(BODIES[shape](), 1),
        capture_output=True,
        check=True,
        preexec_fn=confine,
        timeout=60,
    )
    taken, _, told = done.stdout.decode().partition(" ")
    assert told
    assert int(taken) < 200, f"{taken} MiB: {told}"
