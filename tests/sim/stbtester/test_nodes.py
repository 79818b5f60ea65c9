from __future__ import annotations

import pytest

FIELDS = {
    "node_id", "node_url", "available", "not_available_reason", "online", "config", "device_type", "friendly_name",
    "external_ip_address", "local_ip_address", "geoip_city", "geoip_country", "licence_expiry", "last_used_by",
    "last_used_time", "job", "reservation",
}  # fmt: skip


def test_every_node_has_every_documented_field(lab):
    for node in lab.you.get("/nodes").json():
        assert set(node) == FIELDS
        assert lab.you.get(node["node_url"].removeprefix(lab.url + "/stbtester/api/v2")).json() == node


def test_at_least_three_nodes_are_free_and_two_of_them_are_alike(lab):
    free = [node for node in lab.you.get("/nodes").json() if node["available"]]
    types = [node["device_type"] for node in free]
    assert len(free) >= 3
    assert len(types) > len(set(types))
    assert {node["not_available_reason"] for node in free} == {None}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Rack 1, Node 3", "is running test job"),
        ("Rack 2, Node 2", "reserved by @you"),
        ("Rack 2, Node 3", "reserved by @colleague"),
        ("Rack 3, Node 1", "is offline"),
        ("Rack 3, Node 2", "licence expired on"),
        ("Rack 3, Node 3", "pending software update"),
    ],
)
def test_a_node_that_cannot_be_reserved_says_why(lab, name, reason):
    node = lab.you.get(f"/nodes/{lab.node(name)}").json()
    assert node["available"] is False
    assert reason in node["not_available_reason"]


def test_a_node_never_plugged_in_has_nulls_where_documented(lab):
    nodes = lab.you.get("/nodes").json()
    node = next(node for node in nodes if node["friendly_name"] is None)
    nulls = (
        "device_type",
        "external_ip_address",
        "local_ip_address",
        "geoip_city",
        "last_used_by",
        "job",
        "reservation",
    )
    assert {node[name] for name in nulls} == {None}
    assert (node["online"], node["config"]) == (False, {})


def test_a_reservation_shows_whose_it_is(lab):
    path = f"/nodes/{lab.node('Rack 2, Node 3')}"
    mine, theirs = lab.colleague.get(path).json()["reservation"], lab.you.get(path).json()["reservation"]
    assert "**DVR soak**" in theirs["message"]
    assert (mine["reserved_by_you"], theirs["reserved_by_you"]) == (True, False)


def test_the_busy_node_shows_its_job_and_stays_busy(lab):
    job = lab.you.get(f"/nodes/{lab.node('Rack 1, Node 3')}").json()["job"]
    assert (job["status"], job["end_time"]) == ("running", None)
    assert job["result_counts"]["total"] > job["result_counts"]["pass"]


def test_an_unknown_node_is_404_by_name(lab):
    answer = lab.you.get("/nodes/stb-tester-nope")
    assert answer.status_code == 404
    assert "stb-tester-nope" in answer.json()["message"]


def test_using_a_node_is_remembered(fresh_lab):
    node = fresh_lab.node("Rack 1, Node 1")
    fresh_lab.colleague.post(f"/nodes/{node}/press", json={"key": "KEY_HOME"})
    assert fresh_lab.you.get(f"/nodes/{node}").json()["last_used_by"] == "colleague"


def test_a_pressed_key_changes_what_an_idle_device_shows(fresh_lab):
    node = fresh_lab.node("Rack 1, Node 1")
    before = fresh_lab.you.get(f"/nodes/{node}/screenshot.png").content
    assert fresh_lab.you.post(f"/nodes/{node}/press", json={"key": "KEY_EPG"}).status_code == 200
    assert fresh_lab.you.get(f"/nodes/{node}/screenshot.png").content != before


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("Rack 1, Node 1", {"key": "KEY_NOPE"}, 400),
        ("Rack 1, Node 1", {}, 400),
        ("Rack 1, Node 1", {"key": "KEY_OK", "remote_control": "nope"}, 400),
        ("Rack 1, Node 1", {"key": "KEY_OK", "test_pack_revision": "nope"}, 404),
        ("Rack 2, Node 3", {"key": "KEY_OK"}, 409),
        ("Rack 3, Node 1", {"key": "KEY_OK"}, 503),
        ("Rack 2, Node 2", {"key": "KEY_OK", "remote_control": "roku", "test_pack_revision": "main"}, 200),
    ],
)
def test_press_answers_as_it_should(fresh_lab, name, body, status):
    assert fresh_lab.you.post(f"/nodes/{fresh_lab.node(name)}/press", json=body).status_code == status
