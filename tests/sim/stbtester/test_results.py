from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import datetime, timedelta
from xml.etree import ElementTree as Xml

import pytest

BROKEN = "tests/settings.py::test_that_subtitle_language_can_be_changed"
FLAKY_EPG = "tests/epg.py::test_that_epg_is_populated"


@pytest.fixture
def listed(lab):
    def get(filter="", **params):
        answer = lab.you.get("/results", params={"filter": filter, **params})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return get


@pytest.fixture
def everything(listed):
    """Every result, paged past the cap of 2,000 by date."""
    rows = listed()
    while len(page := listed(f"date:<{rows[-1]['start_time']}")):
        rows += page
    return rows


def test_one_answer_holds_the_newest_two_thousand(lab, listed):
    rows = listed()
    starts = [row["start_time"] for row in rows]
    assert len(rows) == 2000
    assert starts == sorted(starts, reverse=True)


def test_paging_by_date_reaches_every_result_once(everything):
    ids = [row["result_id"] for row in everything]
    assert len(ids) == len(set(ids))
    assert 5500 <= len(ids) <= 7500


def test_the_history_looks_like_a_real_lab(everything):
    now = datetime.fromisoformat(everything[0]["start_time"])
    results = Counter(row["result"] for row in everything)
    assert 0.85 <= results["pass"] / len(everything) <= 0.93
    no_video = Counter(row["job_uid"].split("/")[1] for row in everything if row["failure_reason"] == "No video")
    assert len(no_video) == 1
    assert no_video.total() > 100
    assert len({row["job_uid"].split("/")[1] for row in everything}) >= 9
    assert now - datetime.fromisoformat(everything[-1]["start_time"]) > timedelta(days=65)


def test_the_case_the_newer_revision_broke_passed_before_and_fails_ever_since(listed):
    shas = {row["test_pack_sha"]: Counter() for row in listed(f"testcase:{BROKEN} -result:error")}
    for row in listed(f"testcase:{BROKEN} -result:error"):
        shas[row["test_pack_sha"]][row["result"]] += 1
    newer, older = shas
    assert shas[newer]["pass"] == 0
    assert shas[older]["pass"] > 10 * shas[older]["fail"]


def test_the_flaky_case_both_passes_and_fails_on_one_revision(listed):
    rows = listed(f"testcase:{FLAKY_EPG}")
    outcomes = Counter((row["test_pack_sha"], row["result"]) for row in rows)
    for sha in {row["test_pack_sha"] for row in rows}:
        assert min(outcomes[sha, "pass"], outcomes[sha, "fail"]) >= 5


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("result:fail", lambda row: row["result"] == "fail"),
        ("-result:pass", lambda row: row["result"] != "pass"),
        ("testcase:tests/epg.py", lambda row: "tests/epg.py" in row["test_case"]),
        ('"no video"', lambda row: row["failure_reason"] == "No video"),
        (
            "populated empty",
            lambda row: "populated" in row["test_case"] and "EPG is empty" in (row["failure_reason"] or ""),
        ),
        ("tests/epg.py::test_that_epg_is_populated", lambda row: row["test_case"] == FLAKY_EPG),
        ("result:error -testcase:epg", lambda row: row["result"] == "error" and "epg" not in row["test_case"]),
    ],
)
def test_a_filter_selects_exactly_what_it_says(everything, listed, expression, holds):
    wanted = [row["result_id"] for row in everything if holds(row)][:2000]
    assert [row["result_id"] for row in listed(expression)] == wanted
    assert wanted


def test_filters_on_what_only_the_detail_shows(lab, listed):
    tagged = listed("tag:serial=STB4K-000001")
    assert tagged
    assert lab.you.get(f"/results{tagged[0]['result_id']}").json()["tags"]["serial"] == "STB4K-000001"
    assert len(listed("tag:serial")) >= len(tagged)
    assert lab.you.get(f"/results{listed('category:nightly')[0]['result_id']}").json()["job_category"] == "nightly"
    soak = listed('category:"soak test of release 2.4"')
    assert lab.you.get(f"/results{soak[0]['result_id']}").json()["job_category"] == "soak test of release 2.4"
    assert lab.you.get(f"/results{listed('user:colleague')[0]['result_id']}").json()["username"] == "colleague"
    node = lab.node("Rack 2, Node 1")
    assert {row["job_uid"].split("/")[1] for row in listed(f"node:{node}")} == {node}


def test_a_day_in_a_filter_is_a_day_in_the_time_zone_asked_for(listed):
    day = listed()[100]["start_time"][:10]
    utc = listed(f"date:{day}")
    assert {row["start_time"][:10] for row in utc} == {day}
    assert listed(f"date:>={day} date:<={day}") == utc
    assert all(row["start_time"][:10] > day for row in listed(f"date:>{day}"))
    kiritimati = listed(f"date:{day}", tz="Pacific/Kiritimati")
    assert {row["start_time"][:10] for row in kiritimati} - {day}
    assert listed(f"date:{day}T00:00:00+00:00") == listed(f"date:{day}T00:00:00Z", tz="Pacific/Kiritimati")


def test_an_exact_moment_selects_its_own_result(listed):
    row = listed()[7]
    assert row in listed(f"date:{row['start_time']}")
    assert row not in listed(f"date:<{row['start_time']}")
    assert row in listed(f"date:<={row['start_time']}")


def test_results_are_listed_from_either_end(listed):
    job = listed("category:nightly")[0]["job_uid"]
    up, down = (listed(f"job:{job}", sort=f"date:{way}") for way in ("asc", "desc"))
    assert up == down[::-1]
    assert [row["start_time"] for row in up] == sorted(row["start_time"] for row in up)


@pytest.mark.parametrize(
    "params",
    [
        {"filter": "colour:red"},
        {"filter": "result:"},
        {"filter": "date:yesterday"},
        {"filter": "date:2026-13-40"},
        {"filter": "date:>"},
        {"filter": 'testcase:"unclosed'},
        {"filter": "-"},
        {"sort": "date"},
        {"sort": "size:asc"},
        {"sort": "date:up"},
        {"tz": "Mars/Olympus"},
        {"tz": "../etc/passwd"},
        {"tz": ""},
    ],
)
@pytest.mark.parametrize("form", ["", ".csv", ".xml"])
def test_a_bad_parameter_is_400_and_says_which(lab, params, form):
    answer = lab.you.get(f"/results{form}", params=params)
    assert answer.status_code == 400
    assert next(iter(params)) in answer.json()["message"]


def test_csv_has_the_rows_of_the_json(lab, listed):
    job = listed("result:fail")[0]["job_uid"]
    answer = lab.you.get("/results.csv", params={"filter": f"job:{job}"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows == [{**row, "failure_reason": row["failure_reason"] or ""} for row in listed(f"job:{job}")]


@pytest.mark.parametrize(("include_tz", "offset"), [("true", "+00:00"), ("false", "")])
def test_junit_xml_has_the_counts_and_the_tracebacks(lab, listed, include_tz, offset):
    job = listed("result:error")[0]["job_uid"]
    answer = lab.you.get("/results.xml", params={"filter": f"job:{job}", "include_tz": include_tz})
    suite = Xml.fromstring(answer.text)
    rows = listed(f"job:{job}")
    results = Counter(row["result"] for row in rows)
    assert suite.tag == "testsuite"
    assert [suite.get(name) for name in ("tests", "failures", "errors")] == [
        str(len(rows)), str(results["fail"]), str(results["error"])
    ]  # fmt: skip
    assert suite.get("timestamp", "").endswith(rows[-1]["start_time"][-15:-6] + offset)
    error = suite.find("testcase/error")
    assert error is not None
    assert (error.get("message"), error.text and error.text.startswith("Traceback")) == ("No video", True)


def test_the_detail_is_the_row_and_more(lab, listed):
    row = listed("result:fail")[0]
    for path in (f"/results{row['result_id']}", f"/results{row['result_id']}/", f"/results/{row['result_id']}"):
        detail = lab.you.get(path).json()
        assert row.items() <= detail.items()
        assert detail["traceback"].startswith("Traceback (most recent call last):")
        assert detail["traceback"].endswith(row["failure_reason"])
        assert set(detail) - set(row) == {
            "test_pack_branch", "username", "job_category", "traceback", "artifacts", "tags",
        }  # fmt: skip
    passed = listed("result:pass")[0]
    assert passed["failure_reason"] is None
    assert lab.you.get(f"/results{passed['result_id']}").json()["traceback"] is None


def test_every_line_of_the_log_has_its_time_in_the_zone_asked_for(lab, listed):
    row = listed("result:fail")[0]
    answers = {
        tz: lab.you.get(f"/results{row['result_id']}/stbt.log", params={"tz": tz}) for tz in ("UTC", "Asia/Kolkata")
    }
    assert answers["UTC"].headers["content-type"] == "text/plain; charset=utf-8"
    split = {tz: [line.split(" ", 1) for line in answer.text.splitlines()] for tz, answer in answers.items()}
    assert all(stamp.endswith("+05:30") for stamp, _ in split["Asia/Kolkata"])
    times = [datetime.fromisoformat(stamp) for stamp, _ in split["UTC"]]
    assert times == sorted(times) == [datetime.fromisoformat(stamp) for stamp, _ in split["Asia/Kolkata"]]
    assert datetime.fromisoformat(row["start_time"]) <= times[0]
    assert times[-1] <= datetime.fromisoformat(row["end_time"])
    assert any(row["failure_reason"] in words for _, words in split["UTC"])
    assert lab.you.get(f"/results{row['result_id']}/stbt.log", params={"tz": "nope"}).status_code == 400


@pytest.mark.parametrize("rest", ["", "/", "/stbt.log", "/screenshot.png", "/artifacts/", "/artifacts/stdout.log"])
def test_a_deleted_result_is_gone_and_an_unknown_one_not_found(lab, listed, rest):
    portal = lab.world.portal
    deleted = [run for job in portal.jobs.values() for run in job.runs(lab.world.clock.now()) if run.deleted]
    assert deleted
    assert lab.you.get(f"/results{deleted[0].result_id}{rest}").status_code == 410
    assert deleted[0].result_id not in {row["result_id"] for row in listed(f"job:{deleted[0].job.uid}")}
    unknown = lab.you.get(f"/results/node/0a21/1/2026-01-01_00.00.00{rest}")
    assert (unknown.status_code, "Unknown result_id" in unknown.json()["message"]) == (404, True)
