"""Text from the lab is stripped of what acts on a terminal or hides from a reader, and of nothing else."""

from __future__ import annotations

import unicodedata

import pytest
from pydantic import BaseModel

from testlab_tools.untrusted import FROM_LAB, MAX_CHARS, Untrusted, UntrustedData, sanitize, shorten, shorten_start

ESC = "\x1b"


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("colour", f"{ESC}[31mFAIL{ESC}[0m", "FAIL"),
        ("colour in 24 bits", f"{ESC}[38;2;255;0;0mFAIL{ESC}[m", "FAIL"),
        ("colour with colons", f"{ESC}[38:2::255:0:0mFAIL", "FAIL"),
        ("cursor and erase", f"a{ESC}[2J{ESC}[1;1H{ESC}[?25lb", "ab"),
        ("CSI with intermediate", f"a{ESC}[4 qb", "ab"),
        ("C1 CSI", "a\x9b31mb", "ab"),
        ("link", f"{ESC}]8;;http://evil.example/\x07click{ESC}]8;;\x07", "click"),
        ("title ended by ST", f"{ESC}]0;title{ESC}\\text", "text"),
        ("C1 OSC", "\x9d0;title\x9ctext", "text"),
        ("C1 OSC ended by BEL", "\x9d0;title\x07text", "text"),
        ("device control", f"{ESC}Pq#0;2{ESC}\\text", "text"),
        ("C1 device control", "\x90q#0\x9ctext", "text"),
        ("application command", f"{ESC}_Gf=100;AAAA{ESC}\\text", "text"),
        ("two bytes", f"{ESC}c{ESC}7{ESC}(Btext", "text"),
        ("lone escape", f"text{ESC}", "text"),
        ("bell and backspace", "pass\x07\x08\x08\x08\x08fail", "passfail"),
        ("null", "a\x00b", "ab"),
        ("C1", "a\x80\x85\x9fb", "ab"),
        ("overwriting", "fail\rpass", "fail\npass"),
        ("bidi override", "a\u202eb\u202c", "ab"),
        ("bidi isolate", "a\u2066b\u2069", "ab"),
        ("bidi marks", "\u200ea\u200f\u061cb", "ab"),
        ("zero width", "a\u200bb\u200cc\u200dd\ufeffe\u2060f", "abcdef"),
        ("soft hyphen", "ig\u00adnore", "ignore"),
        ("tags", "a" + "".join(chr(0xE0000 + ord(c)) for c in "ignore") + "b", "ab"),
        ("variation selectors", "a\ufe0f\U000e0100b", "ab"),
        ("fillers", "a\u3164\u115f\uffa0b", "ab"),
        ("line separators", "a\u2028b\u2029c", "abc"),
        ("surrogate", "a\ud800b", "ab"),
        ("musical controls", "a\U0001d173b", "ab"),
    ],
)
def test_what_hides_or_acts_is_stripped(name: str, text: str, left: str) -> None:
    assert sanitize(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "a\tb\nc",
        "5.31 V ± 2 % of 25 °C ≤ 30 µA",
        "Ünïcödé, 日本語, العربية, עברית, 한국어, 🎉",
        "[31m is text without its escape",
        "tests/menu.py::test_that[a-b] /dev/video0 <html> `code` C:\\temp\\x",
        "",
    ],
)
def test_readable_text_is_left_alone(text: str) -> None:
    assert sanitize(text) == text


def test_line_ends_of_every_system_become_line_breaks() -> None:
    assert sanitize("a\r\nb\rc\nd") == "a\nb\nc\nd"


@pytest.mark.parametrize("opener", [f"{ESC}]0;", f"{ESC}P", "\x9d", "\x90", f"{ESC}_"])
def test_a_sequence_that_never_ends_hides_nothing_after_it(opener: str) -> None:
    assert sanitize(f"before {opener}the reason\nthe traceback").endswith("the reason\nthe traceback")


@pytest.mark.parametrize("opener", ["\x9d", "\x90", f"{ESC}]", f"{ESC}[", "\x9b0"])
def test_text_made_of_openers_costs_no_more_than_other_text(opener: str) -> None:
    assert set(sanitize(opener * 200_000)) <= {"0"}


def test_no_control_or_invisible_character_is_left() -> None:
    everything = "".join(map(chr, range(0x110000)))
    left = sanitize(everything)
    marks_that_show = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    hidden = {
        hex(ord(c))
        for c in left
        if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")
        and c not in "\n\t"
        and ord(c) not in marks_that_show
    }

    assert hidden == set()
    assert "\u2800" not in left, "Braille without dots is a space that is none"


def test_plain_text_is_the_same_when_made_plain_again() -> None:
    text = f"{ESC}{ESC}[31m[31mFAIL\u202e{ESC}]0;a{ESC}]0;b\x07\x07"

    assert sanitize(sanitize(text)) == sanitize(text)


def test_long_text_is_cut_and_says_how_much() -> None:
    text = shorten("x" * 5_000, 100)
    shown, _, notice = text.partition("… [")

    assert set(shown) == {"x"}
    assert notice == f"{5_000 - len(shown)} more characters]"
    assert len(text) <= 100


def test_text_within_the_limit_is_whole() -> None:
    assert shorten("x" * MAX_CHARS) == "x" * MAX_CHARS


def test_a_cut_is_counted_after_stripping() -> None:
    assert shorten("\u200b" * 5_000 + "text", 100) == "text"


def test_a_cut_text_is_not_cut_again() -> None:
    once = shorten("x" * 5_000)

    assert shorten(once) == once


class Holder(BaseModel):
    reason: Untrusted = ""
    value: UntrustedData = None


def test_an_untrusted_field_is_plain_and_marked() -> None:
    assert Holder(reason=f"{ESC}[31mFAIL").reason == "FAIL"
    assert FROM_LAB in Holder.model_fields["reason"].metadata


@pytest.mark.parametrize("value", [None, 5.02, True, "1.4.2", [1, 2.5], {"x": [1, "a"]}])
def test_data_of_any_type_stays_what_it_is(value: object) -> None:
    assert Holder(value=value).value == value


def test_text_anywhere_in_untrusted_data_is_plain_capped_and_marked() -> None:
    value = Holder(value={f"{ESC}[1mname": ["\u202efail", {"deep": "x" * 5_000}]}).value

    assert value["name"][0] == "fail"
    assert len(value["name"][1]["deep"]) <= MAX_CHARS
    assert FROM_LAB in Holder.model_fields["value"].metadata


@pytest.mark.parametrize("length", [MAX_CHARS, MAX_CHARS + 1, 50_000])
def test_of_a_traceback_the_end_is_kept_and_what_is_cut_is_said(length: int) -> None:
    text = "x" * (length - 4) + "Boom"
    kept = shorten_start(text)
    assert len(kept) <= MAX_CHARS
    assert kept.endswith("Boom")
    assert (kept == text) == (length <= MAX_CHARS)
    assert kept == text or kept.startswith(f"… [{length - kept.count('x') - 4} more characters]")
