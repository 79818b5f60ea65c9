"""Which messages are one cause, and which are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testlab_tools.triage.causes import GroupBy, group_failures, normalise, normalise_but_quotes

if TYPE_CHECKING:
    from tests.tools.analysis.conftest import Bench


@pytest.mark.parametrize(
    ("message", "normal"),
    [
        ("Channel change took 2.64 s (limit 2.00 s)", "channel change took # (limit #)"),
        ("Channel change took 710 ms (limit 2.00 s)", "channel change took # (limit #)"),
        ("rail_5v 5.112 V is above 5.1 V", "rail_5v # is above #"),
        ("rail_3v3 3.19 V is below 3.2 V", "rail_3v3 # is below #"),
        ("wifi_rssi -61.682 dBm is below -60 dBm", "wifi_rssi # is below #"),
        ("eth_throughput 1.2e-3 Mbit/s is below 900 Mbit/s", None),
        ("firmware is 1.4.1, expected 1.4.2", "firmware is #, expected #"),
        ("audio_thd 0.0867 % is above 0.08 %", "audio_thd # is above #"),
        ("Landed at 00:14:07, wanted 00:14:00", "landed at <time>, wanted <time>"),
        ("Stalled since 2026-11-20T08:00:00.123Z", "stalled since <time>"),
        ("Stalled since 2026-11-20 08:00:00", "stalled since <time>"),
        ("Didn't find match for 'images/epg/now.png' within 10 seconds.", "didn't find match for <…> within #."),
        ('Read "cafe"', "read <…>"),
        ("Couldn't open it, can't say why", "couldn't open it, can't say why"),
        ("0 results", "# results"),
        ("Tile 7 is blank", "tile # is blank"),
        ("Phase tuner timed out after 264 s", "phase tuner timed out after #"),
        ("Run 0196434d-e8f7-7ce1-81f7-e16f20487494 lost", "run <id> lost"),
        ("Read back 0x1F3A at 0x00", "read back <id> at <id>"),
        ("Commit 9fceb02d0ae598e95dc970b74767f19372d61af8", "commit <id>"),
        ("Node stb-tester-00044b80f101 is gone", "node stb-tester-<id> is gone"),
        ("MAC 00:04:4b:80:f1:01 is not unique", "mac <id> is not unique"),
        ("Address 192.168.10.20 does not answer", "address # does not answer"),
        ("Unit STB4K-000412 is unknown", "unit <id> is unknown"),
        ("Wrong label: SN 7741-A", "wrong label: <id>"),
        ("No module in /usr/lib/python3/x.py", "no module in <place>"),
        (r"Cannot write C:\logs\run_7.txt", "cannot write <place>"),
        ("GET https://10.0.0.1:8080/x?y=1 failed", "get <place> failed"),
        ("DMM not responding on GPIB0::22", "dmm not responding on gpib0::22"),
        ("Scope lost: TCPIP0::sg-1::INSTR", "scope lost: tcpip0::sg-1::instr"),
        ("The box answered HTTP 503", "the box answered http 503"),
        ("flasher ended with exit code 3", "flasher ended with exit code 3"),
        ("[Errno 2] No such file", "[errno 2] no such file"),
        ("\x1b[31mEPG  is\n empty\x1b[0m", "epg is empty"),
        ("", ""),
    ],
)
def test_what_changes_from_run_to_run_is_taken_out(message: str, normal: str | None) -> None:
    if normal is not None:
        assert normalise(message) == normal
    assert normalise(normalise(message)) == normalise(message)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("rail_5v 5.2 V is above 5.1 V", "rail_3v3 5.2 V is above 5.1 V"),
        ("rail_5v 5.2 V is above 5.1 V", "rail_5v 4.8 V is below 4.9 V"),
        ("DMM not responding on GPIB0::22", "DMM not responding on GPIB0::23"),
        ("The box answered HTTP 503", "The box answered HTTP 404"),
        ("channel_12 is missing", "channel_13 is missing"),
        ("EPG is empty", "Synopsis is blank"),
        ("Error ERR-1042", "Error ERR-1043"),
    ],
)
def test_different_causes_stay_apart(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


def test_a_long_message_is_told_apart_by_its_beginning() -> None:
    assert normalise("a" * 5_000) == normalise("a" * 6_000)


def test_one_message_at_several_tests_and_cases_is_one_cause_in_each_service(bench: Bench) -> None:
    old, new = bench.failure(9, "took 2 s"), bench.failure(1, "took 3 s")
    case, test = bench.failure(5, "took 2 s", case="other"), bench.failure(4, "took 2 s", test="EOL")
    abroad = bench.failure(3, "took 2 s")
    (found,) = group_failures([{"factory": [old, case, test, new], "cloud": [abroad]}])
    assert [c.service for c in found] == ["factory", "cloud"]
    assert next(iter(found.values())) == [new, test, case, old]


def test_what_is_quoted_tells_tests_apart_but_not_the_runs_of_one(bench: Bench) -> None:
    now = [bench.failure(1, "No match for 'a.png'", test="A"), bench.failure(2, "No match for 'b.png'", test="B")]
    other = bench.failure(3, "No match for 'a.png'", test="C")
    (found,) = group_failures([{"factory": [*now, other]}])
    assert [len(same) for same in found.values()] == [2, 1]
    earlier = bench.failure(40, "No match for 'c.png'", test="A")
    found, before = group_failures([{"factory": [*now, other]}, {"factory": [earlier]}])
    assert [len(same) for same in found.values()] == [1, 1, 1]
    assert before.keys() <= found.keys()
    assert normalise_but_quotes("Took 3 s at 'x'") == "took # at 'x'"


def test_failures_are_grouped_by_step_reason_or_station_too(bench: Bench) -> None:
    made = [
        bench.failure(1, "took 'a'", test="A", station="S1"),
        bench.failure(2, "took 'b'", test="B", station="S1"),
        bench.failure(3, "gone", test="B", station="S2"),
    ]

    def sizes(group_by: GroupBy) -> list[int]:
        return [len(same) for same in group_failures([{"factory": made}], group_by)[0].values()]

    assert (sizes("cause"), sizes("case"), sizes("reason"), sizes("station")) == ([1, 1, 1], [3], [2, 1], [2, 1])
