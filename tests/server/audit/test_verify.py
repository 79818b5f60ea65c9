"""`testlab-mcp audit verify` names each line that was removed, altered, put in, exchanged or cut off."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from testlab_mcp.audit.chain import ChainPosition, FileSink, head_of, parts_of
from testlab_mcp.audit.verify import verify
from testlab_mcp.commands.main import main

BIG = 2**30
Lines = list[bytes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An audit of eight lines."""
    trail = FileSink(tmp_path / "audit.jsonl", BIG)
    for number in range(8):
        trail.append({"event": "outcome", "call": f"c{number}", "tool": "press_key", "outcome": "ok"})
    return trail.path


def changed(path: Path, change: Callable[[Lines], Lines]) -> None:
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def altered(line: bytes) -> bytes:
    return line.replace(b'"ok"', b'"no"')


def resealed(line: bytes) -> bytes:
    """Altered, and its own hash made to fit: the next line gives it away."""
    from testlab_mcp.audit.chain import decode_record

    whole = decode_record(line.rstrip(b"\n"))
    assert whole is not None
    body = json.dumps({**whole.record, "outcome": "no"}, separators=(",", ":")).encode()
    import hashlib

    return body[:-1] + f',"hash":"{hashlib.sha256(body).hexdigest()}"}}\n'.encode()


TAMPERED: dict[str, tuple[Callable[[Lines], Lines], int, str]] = {
    "altered": (lambda t: [*t[:3], altered(t[3]), *t[4:]], 4, "was altered"),
    "altered, its hash made to fit": (lambda t: [*t[:3], resealed(t[3]), *t[4:]], 5, "does not follow"),
    "spaces put in": (lambda t: [*t[:3], t[3].replace(b'":', b'": ', 1), *t[4:]], 4, "was altered"),
    "the first removed": (lambda t: t[1:], 1, "1 before it were removed"),
    "two removed": (lambda t: [*t[:2], *t[4:]], 3, "has number 5: 2 before it were removed"),
    "repeated": (lambda t: [*t[:4], t[3], *t[4:]], 5, "put in, or is out of order"),
    "reordered": (lambda t: [*t[:2], t[3], t[2], *t[4:]], 3, "1 before it were removed"),
    "text put in": (lambda t: [*t[:5], b"hello\n", *t[5:]], 6, "is not a line of an audit"),
    "an empty line put in": (lambda t: [*t[:5], b"\n", *t[5:]], 6, "is not a line of an audit"),
    "cut off within the last": (lambda t: [*t[:7], t[7][:40]], 8, "was cut off"),
    "its last line break cut off": (lambda t: [*t[:7], t[7][:-1]], 8, "was cut off"),
    "the last removed": (lambda t: t[:7], 7, "is the last, but 1 after it were removed"),
    "the last five removed": (lambda t: t[:3], 3, "is the last, but 5 after it were removed"),
    "bytes that are no text": (lambda t: [*t[:2], b"\xff\xfe\x00\n", *t[3:]], 3, "is not a line of an audit"),
    "nested without end": (lambda t: [*t[:2], b"[" * 100_000 + b"\n", *t[3:]], 3, "is not a line of an audit"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_line_that_was_tampered_with_is_named(how: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, line, what = TAMPERED[how]
    changed(path, change)
    assert main(["audit", "verify", str(path)]) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"audit.jsonl, line {line}: ")
    assert what in first


def test_a_whole_audit_is_told_so_with_its_last_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", str(path)]) == 0
    out = capsys.readouterr().out
    assert "8 lines, whole; the last is 8:" in out
    anchor = out.rsplit(" ", 1)[1].strip()
    assert main(["audit", "verify", str(path), "--anchor", anchor]) == 0
    assert main(["audit", "verify", str(path), "--anchor", "8:xyz"]) == 2


def test_every_byte_of_an_audit_counts(path: Path) -> None:
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert verify(path).findings, f"byte {at}"


def test_an_audit_written_anew_with_its_head_is_found_by_an_anchor_kept_elsewhere(path: Path) -> None:
    kept = verify(path).last
    path.unlink()
    head_of(path).unlink()
    trail = FileSink(path, BIG)
    for number in range(8):
        trail.append({"event": "outcome", "call": f"c{number}", "tool": "list_nodes"})
    assert verify(path).findings == []
    (finding,) = verify(path, kept).findings
    assert "of the anchor is not in it" in finding.what


def test_without_a_head_the_end_is_said_to_be_unproven(path: Path) -> None:
    head_of(path).unlink()
    assert verify(path).notes == ["There is no head file: lines cut off at the end would not be seen."]


def test_a_line_that_a_crash_cut_off_is_told_of_by_the_next_and_is_no_fault(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b'{"time":"2026-')
    FileSink(path, BIG).append({"event": "outcome", "call": "later"})
    verdict = verify(path)
    assert verdict.findings == []
    assert verdict.lines == 9
    assert verdict.notes == ["audit.jsonl, line 9: a crash cut it off, as the next one says."]
    changed(path, lambda t: [*t[:8], b'{"time":"2027-\n', t[9]])
    assert [(finding.line, finding.what) for finding in verify(path).findings] == [
        (9, "is not a line of an audit: altered or put in")
    ]
    changed(path, lambda t: [*t[:8], t[9]])
    assert "says that one was cut off before it" in verify(path).findings[0].what


def test_a_call_that_began_and_never_ended_is_noted(path: Path) -> None:
    trail = FileSink(path, BIG)
    trail.append({"event": "intent", "call": "a"})
    trail.append({"event": "intent", "call": "b"})
    trail.append({"event": "outcome", "call": "a"})
    assert verify(path).notes == ["Begun and without an outcome (under way, or the server died): line 10."]


def test_a_file_of_its_size_is_renamed_and_the_chain_goes_on(path: Path) -> None:
    trail = FileSink(path, max_bytes=600)
    for number in range(9):
        trail.append({"event": "outcome", "call": f"d{number}"})
    parts = parts_of(path)
    assert len(parts) > 2
    verdict = verify(path)
    assert (verdict.findings, verdict.lines, verdict.last.seq) == ([], 17, 17)
    parts[1].unlink()
    assert "before it were removed" in verify(path).findings[0].what


def test_lines_that_were_put_into_an_archive_are_made_up_for_by_an_anchor(path: Path) -> None:
    trail = FileSink(path, max_bytes=600)
    trail.append({"event": "outcome", "call": "d"})
    parts_of(path)[0].unlink()
    last = ChainPosition.parse(head_of(path).read_text())
    trail.append({"event": "outcome", "call": "e"})
    assert "9 before it were removed" in verify(path).findings[0].what
    assert verify(path, last).findings == []


def test_many_writers_at_once_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    trails = [FileSink(path, BIG) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda t=trail: [t.append({"event": "outcome", "call": "x"}) for _ in range(20)])
        for trail in trails
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = verify(path)
    assert (verdict.findings, verdict.lines) == ([], 80)


def test_there_is_no_audit_where_none_was_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", str(tmp_path / "none.jsonl")]) == 2
    assert "there is no audit at" in capsys.readouterr().err


def test_a_config_names_its_own_audit(tmp_path: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"[audit]\nfile = '{path}'\n", encoding="utf-8")
    assert main(["audit", "verify", "--config", str(config)]) == 0
    config.write_text("[audit]\nenabled = false\n", encoding="utf-8")
    assert main(["audit", "verify", "--config", str(config)]) == 2
    assert "keeps no audit file" in capsys.readouterr().err
