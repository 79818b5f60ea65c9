from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

STEADY = "tests/menu.py::test_that_menu_appears_when_menu_key_is_pressed"
BROKEN = "tests/settings.py::test_that_subtitle_language_can_be_changed"
SLOW = "tests/soak.py::test_that_box_survives_ten_minutes_of_zapping"


def test_the_test_pack_has_thirty_test_cases_at_every_name_of_a_revision(lab):
    names = {
        revision: lab.you.get(f"/test_pack/{revision}/test_case_names").json()
        for revision in ("main", "master", "HEAD", "v2.3.0", "release/2.3", "feature/epg/redesign")
    }
    assert min(map(len, names.values())) >= 30
    assert names["main"] == names["master"] == names["HEAD"] != names["v2.3.0"] == names["release/2.3"]
    assert set(names["feature/epg/redesign"]) > set(names["main"]) > set(names["v2.3.0"])


def test_a_revision_can_be_named_by_its_sha_or_the_beginning_of_it(lab):
    sha = lab.you.get("/results").json()[0]["test_pack_sha"]
    full = lab.you.get(f"/test_pack/{sha}/test_case_names").json()
    assert lab.you.get(f"/test_pack/{sha[:8]}/test_case_names").json() == full


def test_an_unknown_revision_is_404(fresh_lab):
    answers = [
        fresh_lab.you.get("/test_pack/feature/nope/test_case_names"),
        fresh_lab.you.post(
            "/run_tests",
            json={
                "node_id": fresh_lab.node("Rack 1, Node 1"),
                "test_pack_revision": "feature/nope",
                "test_cases": [STEADY],
            },
        ),
    ]
    for answer in answers:
        assert answer.status_code == 404
        assert "not found in test-pack" in answer.json()["message"]


def test_a_job_runs_its_test_cases_and_leaves_results(fresh_lab, start):
    node = fresh_lab.node("Rack 1, Node 1")
    job = start(fresh_lab.you, node, test_cases=[STEADY, BROKEN], category="mine", tags={"model": "T-1000"})
    assert (job["status"], job["end_time"], job["result_counts"]["total"]) == ("running", None, 2)
    assert fresh_lab.you.get(f"/jobs{job['job_uid']}/await_completion").status_code == 200
    done = fresh_lab.you.get(f"/jobs{job['job_uid']}").json()
    assert done["status"] == "exited"
    assert done["result_counts"] == {"pass": 1, "fail": 1, "error": 0, "total": 2}
    assert done["job_url"] == f"{fresh_lab.url}/stbtester/api/v2/jobs{job['job_uid']}"
    assert fresh_lab.you.get(f"/nodes/{node}/job").json() == done
    results = fresh_lab.you.get("/results", params={"filter": f"job:{job['job_uid']}", "sort": "date:asc"}).json()
    assert [(r["test_case"], r["result"]) for r in results] == [(STEADY, "pass"), (BROKEN, "fail")]
    detail = fresh_lab.you.get(f"/results{results[1]['result_id']}").json()
    assert (detail["job_category"], detail["tags"], detail["username"]) == ("mine", {"model": "T-1000"}, "you")
    assert detail["test_pack_branch"] == "refs/heads/main"


def test_the_same_job_in_the_same_world_ends_the_same(serve, finish):
    from testlab_sim.app import create_world

    outcomes = []
    for _ in range(2):
        lab = serve(create_world(speed=4000))
        names = lab.you.get("/test_pack/main/test_case_names").json()
        quick = [name for name in names if "soak" not in name]
        job = finish(lab.you, lab.node("Rack 1, Node 1"), test_cases=quick)
        results = lab.you.get("/results", params={"filter": f"job:{job['job_uid']}", "sort": "date:asc"}).json()
        outcomes.append([(r["test_case"], r["result"], r["failure_reason"]) for r in results])
    assert outcomes[0] == outcomes[1]
    assert {result for _, result, _ in outcomes[0]} == {"pass", "fail"}


def test_a_test_case_that_is_not_in_the_revision_ends_in_error(fresh_lab, finish):
    job = finish(
        fresh_lab.you, fresh_lab.node("Rack 1, Node 1"), test_cases=["tests/menu.py::nope", "tests/nope.py::x"]
    )
    assert job["result_counts"]["error"] == 2


def test_a_run_in_progress_is_not_among_the_results(fresh_lab, start):
    job = start(fresh_lab.you, fresh_lab.node("Rack 1, Node 1"), test_cases=[SLOW])
    assert fresh_lab.you.get("/results", params={"filter": f"job:{job['job_uid']}"}).json() == []


def test_a_stopped_job_leaves_no_result_of_the_run_it_interrupted(fresh_lab, start):
    node = fresh_lab.node("Rack 1, Node 1")
    job = start(fresh_lab.you, node, test_cases=[SLOW])
    for method in ("PUT", "POST", "POST"):
        assert fresh_lab.you.request(method, f"/jobs{job['job_uid']}/stop").status_code == 200
    stopped = fresh_lab.you.get(f"/jobs{job['job_uid']}").json()
    assert (stopped["status"], stopped["result_counts"]) == ("exited", {"pass": 0, "fail": 0, "error": 0, "total": 1})
    assert fresh_lab.you.get("/results", params={"filter": f"job:{job['job_uid']}"}).json() == []
    assert fresh_lab.you.get(f"/nodes/{node}").json()["available"] is True


def test_a_job_can_be_stopped_by_its_node(fresh_lab, start):
    node = fresh_lab.node("Rack 1, Node 1")
    job = start(fresh_lab.you, node, test_cases=[SLOW])
    assert fresh_lab.colleague.post(f"/nodes/{node}/job/stop").status_code == 200
    assert fresh_lab.you.get(f"/jobs{job['job_uid']}").json()["status"] == "exited"


def test_stopping_a_job_that_takes_long_to_stop_answers_202_then_200(fresh_lab, start):
    job = start(fresh_lab.you, fresh_lab.node("Rack 1, Node 1"), test_cases=[SLOW])
    fresh_lab.control.post("/holds", json={"stop": 0.05, "stopping": 60})
    path = f"/jobs{job['job_uid']}"
    assert fresh_lab.you.put(f"{path}/stop").status_code == 202
    assert fresh_lab.you.get(path).json()["status"] == "running"
    fresh_lab.control.post("/clock", json={"advance_seconds": 60})
    assert fresh_lab.you.put(f"{path}/stop").status_code == 200


def test_a_soak_repeats_its_test_cases_until_stopped(fresh_lab, start):
    node = fresh_lab.node("Rack 1, Node 1")
    job = start(fresh_lab.you, node, soak="run forever")
    fresh_lab.control.post("/clock", json={"advance_seconds": 1})
    counts = fresh_lab.you.get(f"/jobs{job['job_uid']}").json()["result_counts"]
    assert counts["pass"] > 3
    assert counts["total"] == counts["pass"] + 1
    fresh_lab.you.put(f"/jobs{job['job_uid']}/stop")
    results = fresh_lab.you.get("/results", params={"filter": f"job:{job['job_uid']}"}).json()
    assert len({r["result_id"] for r in results}) == len(results) >= counts["pass"]


def test_shuffling_runs_the_same_test_cases_in_another_order(fresh_lab, finish):
    names = [n for n in fresh_lab.you.get("/test_pack/main/test_case_names").json() if "menu" in n or "settings" in n]
    job = finish(fresh_lab.you, fresh_lab.node("Rack 1, Node 1"), test_cases=names, shuffle=True)
    results = fresh_lab.you.get("/results", params={"filter": f"job:{job['job_uid']}", "sort": "date:asc"}).json()
    ran = [r["test_case"] for r in results]
    assert sorted(ran) == sorted(names)
    assert ran != names


def test_waiting_holds_and_then_answers_202(fresh_lab, start):
    job = start(fresh_lab.you, fresh_lab.node("Rack 1, Node 1"), test_cases=[SLOW])
    fresh_lab.control.post("/holds", json={"await_completion": 0.3})
    began = time.monotonic()
    answer = fresh_lab.you.get(f"/jobs{job['job_uid']}/await_completion")
    assert (answer.status_code, answer.json()["job_uid"]) == (202, job["job_uid"])
    assert time.monotonic() - began >= 0.3


def test_waiting_ends_as_soon_as_somebody_stops_the_job(fresh_lab, start):
    node = fresh_lab.node("Rack 1, Node 1")
    job = start(fresh_lab.you, node, soak="run forever")
    path = f"/api/v2/jobs{job['job_uid']}/await_completion"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fresh_lab.you.get, f"/jobs{job['job_uid']}/await_completion")
        while not any(r["path"] == path and r["open"] for r in fresh_lab.control.get("/requests").json()["requests"]):
            assert not waiting.done()
        fresh_lab.colleague.put(f"/jobs{job['job_uid']}/stop")
        assert waiting.result(5).status_code == 200


def test_unknown_jobs_and_nodes_are_404(lab):
    for path in ("/jobs/a/b/1", "/jobs/a/b/1/await_completion", "/nodes/x/job"):
        assert lab.you.get(path).status_code == 404
    assert lab.you.put("/jobs/a/b/1/stop").status_code == 404
    assert lab.you.post("/nodes/x/job/stop").status_code == 404


def test_a_node_that_never_ran_a_job_has_none_to_show(lab):
    never = next(n["node_id"] for n in lab.you.get("/nodes").json() if n["job"] is None)
    answer = lab.you.get(f"/nodes/{never}/job")
    assert (answer.status_code, "never run" in answer.json()["message"]) == (404, True)


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("Rack 1, Node 3", 409, "is running test job"),
        ("Rack 2, Node 3", 409, "reserved by @colleague"),
        ("Rack 3, Node 1", 503, "is offline"),
        ("Rack 3, Node 2", 403, "licence expired"),
        ("Rack 3, Node 3", 409, "pending software update"),
    ],
)
def test_a_node_that_cannot_run_tests_says_why(fresh_lab, name, status, words):
    body = {"node_id": fresh_lab.node(name), "test_pack_revision": "main", "test_cases": [STEADY]}
    answer = fresh_lab.you.post("/run_tests", json=body)
    assert answer.status_code == status
    assert words in answer.json()["message"]


def test_your_own_reservation_does_not_keep_you_from_running_tests(fresh_lab, start):
    start(fresh_lab.you, fresh_lab.node("Rack 2, Node 2"))


def test_a_job_on_a_node_reserved_by_another_cannot_be_stopped(fresh_lab, start):
    node = fresh_lab.node("Rack 2, Node 3")
    job = start(fresh_lab.colleague, node, test_cases=[SLOW])
    answer = fresh_lab.you.put(f"/jobs{job['job_uid']}/stop")
    assert (answer.status_code, "reserved by @colleague" in answer.json()["message"]) == (403, True)


@pytest.mark.parametrize(
    "fields",
    [
        {"node_id": None},
        {"test_pack_revision": ""},
        {"test_cases": []},
        {"test_cases": "tests/menu.py::x"},
        {"test_cases": ["tests/menu.py"]},
        {"remote_control": "nope"},
        {"category": ""},
        {"category": "a/b"},
        {"category": "a:b"},
        {"category": ".hidden"},
        {"category": "-dash"},
        {"category": "cost$"},
        {"category": "two\nlines"},
        {"soak": "forever"},
        {"soak": True},
        {"shuffle": "yes"},
        {"shuffle": 1},
        {"tags": ["a"]},
        {"tags": {"a:b": "c"}},
        {"tags": {"_a": "c"}},
        {"tags": {"a": 1}},
        {"tags": {"a": "x" * 500}},
    ],
)
def test_a_bad_job_request_is_400_and_starts_nothing(fresh_lab, fields):
    node = fresh_lab.node("Rack 1, Node 1")
    body = {"node_id": node, "test_pack_revision": "main", "test_cases": [STEADY], **fields}
    answer = fresh_lab.you.post("/run_tests", json=body)
    assert answer.status_code == 400
    assert next(iter(fields)).rstrip("s") in answer.json()["message"].lower()
    assert fresh_lab.you.get(f"/nodes/{node}").json()["available"] is True


def test_the_category_the_vendors_client_sends_is_taken(fresh_lab, start):
    start(fresh_lab.you, fresh_lab.node("Rack 1, Node 1"), category="refs/snapshots/you")


def test_a_node_with_a_loose_cable_sees_no_video(fresh_lab, finish):
    job = finish(fresh_lab.you, fresh_lab.node("Rack 1, Node 4"), test_cases=[STEADY] * 12)
    assert job["result_counts"]["error"] > 6
