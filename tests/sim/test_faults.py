from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import httpx2
import pytest

NODES = {"service": "stbtester", "path_prefix": "/api/v2/nodes", "method": "GET"}


@pytest.fixture
def fault(fresh_lab):
    def add(**fields):
        answer = fresh_lab.control.post("/faults", json={**NODES, **fields})
        assert answer.status_code == 201, answer.text

    return add


@pytest.mark.parametrize("retry_after", [7, "Wed, 21 Oct 2037 07:28:00 GMT"])
def test_a_status_is_answered_as_often_as_asked_with_its_retry_after(fresh_lab, fault, retry_after):
    fault(status=429, retry_after=retry_after, times=2)
    answers = [fresh_lab.you.get("/nodes") for _ in range(3)]
    assert [a.status_code for a in answers] == [429, 429, 200]
    assert [a.headers.get("retry-after") for a in answers] == [str(retry_after)] * 2 + [None]


def test_a_status_without_retry_after_sends_none_and_may_bring_its_own_body(fresh_lab, fault):
    fault(status=503, body={"error": {"message": "maintenance"}})
    fault(status=502, body="<h1>Bad gateway</h1>")
    json, text = fresh_lab.you.get("/nodes"), fresh_lab.you.get("/nodes")
    assert (json.status_code, json.json()) == (503, {"error": {"message": "maintenance"}})
    assert (text.status_code, text.text) == (502, "<h1>Bad gateway</h1>")
    assert "retry-after" not in json.headers


def test_a_fault_leaves_other_paths_methods_and_services_alone(fresh_lab, fault):
    fault(status=500, times=0)
    assert fresh_lab.you.get("/results", params={"filter": "result:fail"}).status_code == 200
    key = fresh_lab.you.post(f"/nodes/{fresh_lab.node('Rack 1, Node 1')}/press", json={"key": "KEY_OK"})
    assert key.status_code == 200
    assert fresh_lab.client("/tofupilot").get("/api/v2/nodes").status_code == 404
    assert [fresh_lab.you.get("/nodes").status_code for _ in range(3)] == [500] * 3
    assert fresh_lab.control.delete("/faults").status_code == 204
    assert fresh_lab.you.get("/nodes").status_code == 200


RESERVE = {"service": "stbtester", "path_prefix": "/api/v2/reservations", "method": "POST"}


@pytest.mark.parametrize(("action", "handled"), [("reset", False), ("reset-after", True)])
def test_a_reset_drops_the_connection_before_or_after_the_work_is_done(fresh_lab, action, handled):
    fresh_lab.control.post("/faults", json={**RESERVE, "action": action})
    node = fresh_lab.node("Rack 1, Node 1")
    with pytest.raises(httpx2.NetworkError):
        fresh_lab.you.post("/reservations", json={"node_ids": [node], "message": "lost?"})
    assert (fresh_lab.you.get(f"/nodes/{node}").json()["reservation"] is not None) is handled
    assert fresh_lab.control.get("/requests").json()["open"] == 0


def test_garbage_is_not_json(fresh_lab, fault):
    fault(action="garbage")
    answer = fresh_lab.you.get("/nodes")
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


def test_a_field_can_be_left_out(fresh_lab, fault):
    fault(action="missing-field", field="job_uid")
    nodes = fresh_lab.you.get("/nodes").json()
    jobs = [node["job"] for node in nodes if node["job"]]
    assert jobs
    assert all("job_uid" not in job and "status" in job for job in jobs)


def test_a_slow_answer_is_the_right_one_late(fresh_lab, fault):
    fault(action="slow", seconds=0.2)
    began = time.monotonic()
    assert len(fresh_lab.you.get("/nodes").json()) >= 8
    assert time.monotonic() - began >= 0.2


def test_a_held_request_is_answered_once_the_faults_are_cleared(fresh_lab, fault):
    fault(action="hold", times=0)
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(fresh_lab.you.get, "/nodes") for _ in range(2)]
        wait_until(lambda: open_requests(fresh_lab) == 2)
        assert not any(answer.done() for answer in held)
        fresh_lab.control.delete("/faults")
        assert [len(answer.result(5).json()) >= 8 for answer in held] == [True, True]


def test_a_held_change_is_made_with_all_that_was_sent(fresh_lab):
    fresh_lab.control.post("/faults", json={**RESERVE, "action": "hold"})
    node = fresh_lab.node("Rack 1, Node 1")
    with ThreadPoolExecutor(1) as pool:
        change = {"node_ids": [node], "message": "held"}
        held = pool.submit(fresh_lab.you.post, "/reservations", json=change)
        wait_until(lambda: open_requests(fresh_lab) == 1)
        fresh_lab.control.delete("/faults")
        assert held.result(5).status_code in (200, 201)
    assert fresh_lab.you.get(f"/nodes/{node}").json()["reservation"]["message"] == "held"


def test_a_held_request_ends_when_its_client_hangs_up(fresh_lab, fault):
    fault(action="hold")
    with pytest.raises(httpx2.ReadTimeout):
        fresh_lab.you.get("/nodes", timeout=0.1)
    wait_until(lambda: open_requests(fresh_lab) == 0)


@pytest.mark.parametrize("body", [{"action": "explode"}, {"colour": "red"}, []])
def test_a_fault_that_makes_no_sense_is_refused(fresh_lab, body):
    assert fresh_lab.control.post("/faults", json=body).status_code == 400


def test_requests_are_counted_by_service_method_and_path(fresh_lab):
    for _ in range(3):
        fresh_lab.you.get("/nodes")
    fresh_lab.you.post("/reservations", json={})
    counted = fresh_lab.control.get("/requests").json()
    rows = {(r["service"], r["method"], r["path"]): r["count"] for r in counted["requests"]}
    assert rows == {("stbtester", "GET", "/api/v2/nodes"): 3, ("stbtester", "POST", "/api/v2/reservations"): 1}
    assert (counted["count"], counted["open"]) == (4, 0)
    assert fresh_lab.control.delete("/requests").status_code == 204
    assert fresh_lab.control.get("/requests").json()["count"] == 0


def test_open_requests_and_their_peak_are_seen(fresh_lab):
    busy = poll_of_the_busy_node(fresh_lab)
    with ThreadPoolExecutor(3) as pool:
        polls = [pool.submit(fresh_lab.you.get, busy) for _ in range(3)]
        wait_until(lambda: open_requests(fresh_lab) == 3)
        fresh_lab.colleague.put(f"/nodes/{fresh_lab.node('Rack 1, Node 3')}/job/stop")
        assert [poll.result(5).status_code for poll in polls] == [200] * 3
    row = next(
        r for r in fresh_lab.control.get("/requests").json()["requests"] if r["path"].endswith("await_completion")
    )
    assert (row["open"], row["peak_open"]) == (0, 3)


def test_a_poll_whose_client_has_gone_is_no_longer_open(fresh_lab):
    busy = poll_of_the_busy_node(fresh_lab)
    with pytest.raises(httpx2.ReadTimeout):
        fresh_lab.you.get(busy, timeout=0.1)
    wait_until(lambda: open_requests(fresh_lab) == 0)


def test_a_hold_can_be_changed_while_somebody_waits_elsewhere(fresh_lab):
    assert fresh_lab.control.post("/holds", json={}).json()["await_completion"] == 55
    fresh_lab.control.post("/holds", json={"await_completion": 0.05})
    assert fresh_lab.you.get(poll_of_the_busy_node(fresh_lab)).status_code == 202
    assert fresh_lab.control.post("/holds", json={"patience": 1}).status_code == 400


def poll_of_the_busy_node(lab):
    job = lab.you.get(f"/nodes/{lab.node('Rack 1, Node 3')}/job").json()
    return f"/jobs{job['job_uid']}/await_completion"


def open_requests(lab):
    return lab.control.get("/requests").json()["open"]


def wait_until(condition, seconds=5.0):
    """Ask again and again, at most for `seconds`; there is no event to wait on across HTTP."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.005)


def test_a_fault_of_a_lane_strikes_requests_of_that_lane_alone(fresh_lab, fault):
    fault(status=500, lane="a", times=0)
    root = str(fresh_lab.control.base_url).partition("/_sim")[0]
    headers = {"Authorization": fresh_lab.you.headers["authorization"]}

    def answer(lane):
        return httpx2.get(f"{root}{lane}/stbtester/api/v2/nodes", headers=headers, trust_env=False).status_code

    assert [answer(""), answer("/_lane/a"), answer("/_lane/b")] == [200, 500, 200]
    fresh_lab.control.delete("/faults", params={"lane": "b"})
    assert answer("/_lane/a") == 500
    fresh_lab.control.delete("/faults", params={"lane": "a"})
    assert answer("/_lane/a") == 200


def test_half_an_answer_is_sent_and_the_connection_closed(fresh_lab, fault):
    fault(action="truncated")
    with pytest.raises(httpx2.RemoteProtocolError):
        fresh_lab.you.get("/nodes")


def test_a_body_comes_a_byte_at_a_time(fresh_lab, fault):
    fault(action="slow-body", seconds=0.02)
    with fresh_lab.you.stream("GET", "/nodes") as answer:
        chunks = answer.iter_raw()
        assert [len(next(chunks)) for _ in range(3)] == [1, 1, 1]
    wait_until(lambda: open_requests(fresh_lab) == 0)


def test_a_body_is_as_large_as_asked_packed_or_not(fresh_lab, fault):
    fault(action="huge", bytes=10**6)
    fault(action="bomb", bytes=10**6)
    plain, packed = fresh_lab.you.get("/nodes"), fresh_lab.you.get("/nodes")
    assert len(plain.json()) > 10
    assert len(plain.content) >= 10**6
    assert int(packed.headers["content-length"]) < 10_000
    assert len(packed.content) == 10**6


@pytest.mark.parametrize(("action", "handled"), [("status", False), ("status-after", True)])
def test_a_status_is_answered_before_or_after_the_work_is_done(fresh_lab, action, handled):
    page = {"status": 502, "body": "<html>", "media_type": "text/html"}
    fresh_lab.control.post("/faults", json={**RESERVE, "action": action, **page})
    node = fresh_lab.node("Rack 1, Node 1")
    answer = fresh_lab.you.post("/reservations", json={"node_ids": [node], "message": "done?"})
    assert (answer.status_code, answer.text) == (502, "<html>")
    assert answer.headers["content-type"].startswith("text/html")
    assert (fresh_lab.you.get(f"/nodes/{node}").json()["reservation"] is not None) is handled
    (row,) = [r for r in fresh_lab.control.get("/requests").json()["requests"] if r["method"] == "POST"]
    assert (row["count"], row["handled"]) == (1, int(handled))


@pytest.mark.parametrize("body", ["", [], {}])
def test_a_status_may_come_with_nothing(fresh_lab, fault, body):
    fault(status=404, body=body)
    assert fresh_lab.you.get("/nodes").text == (body if isinstance(body, str) else f"{body}")


def test_several_fields_can_be_left_out_and_what_is_no_json_stays(fresh_lab, fault):
    fault(action="missing-field", field="job reservation", times=0)
    (node, *_) = fresh_lab.you.get("/nodes").json()
    assert "node_id" in node
    assert not {"job", "reservation"} & node.keys()
    assert fresh_lab.you.get(f"/nodes/{node['node_id']}/screenshot.png").content.startswith(b"\x89PNG")


def test_the_clock_a_service_tells_can_be_another_or_none(fresh_lab, fault):
    fault(action="clock", seconds=86_400)
    fault(action="no-clock")
    ahead, silent, right = (fresh_lab.you.get("/nodes") for _ in range(3))
    one, other = (parsedate_to_datetime(answer.headers["date"]) for answer in (ahead, right))
    assert 80_000 < (one - other).total_seconds() <= 86_400
    assert "date" not in silent.headers


def test_a_fault_that_spreads_strikes_everything_once_it_has_struck(fresh_lab):
    fresh_lab.control.post("/faults", json={**RESERVE, "status": 500, "times": 3, "spreads": True})
    assert fresh_lab.you.get("/nodes").status_code == 200
    assert fresh_lab.you.post("/reservations", json={}).status_code == 500
    assert [fresh_lab.you.get("/nodes").status_code for _ in range(3)] == [500, 500, 200]
