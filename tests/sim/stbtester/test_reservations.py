from __future__ import annotations

import pytest


@pytest.fixture
def reserve():
    def make(client, *node_ids, **fields):
        return client.post("/reservations", json={"node_ids": list(node_ids), "message": "Mine for now", **fields})

    return make


def free_nodes(lab):
    return [lab.node("Rack 1, Node 1"), lab.node("Rack 1, Node 2")]


def test_reserving_two_nodes_gives_two_reservations(fresh_lab, reserve):
    nodes = free_nodes(fresh_lab)
    made = reserve(fresh_lab.you, *nodes, duration_secs=3600).json()["reservations"]
    assert [r["node_id"] for r in made] == nodes
    assert len({r["reservation_id"] for r in made}) == 2
    assert all(r["reserved_by_you"] and r["username"] == "you" and r["expires"] for r in made)
    assert fresh_lab.colleague.get(f"/nodes/{nodes[0]}").json()["reservation"]["reserved_by_you"] is False


def test_a_reservation_without_duration_never_expires(fresh_lab, reserve):
    node = free_nodes(fresh_lab)[0]
    assert reserve(fresh_lab.you, node, duration_secs=None).json()["reservations"][0]["expires"] is None
    fresh_lab.control.post("/clock", json={"advance_seconds": 10**7})
    assert fresh_lab.you.get(f"/nodes/{node}").json()["reservation"] is not None


@pytest.mark.parametrize("taken", ["Rack 1, Node 3", "Rack 2, Node 2", "Rack 2, Node 3", "Rack 3, Node 1"])
def test_reserving_is_all_or_none(fresh_lab, reserve, taken):
    free = free_nodes(fresh_lab)[0]
    answer = reserve(fresh_lab.you, free, fresh_lab.node(taken))
    assert answer.status_code == 409
    assert fresh_lab.node(taken) in answer.json()["message"]
    assert fresh_lab.you.get(f"/nodes/{free}").json()["available"] is True


@pytest.mark.parametrize(
    "body",
    [
        {"message": "no nodes"},
        {"node_ids": [], "message": "no nodes"},
        {"node_ids": "stb-tester-1", "message": "not a list"},
        {"node_ids": ["NODE"]},
        {"node_ids": ["NODE"], "message": " "},
        {"node_ids": ["NODE", "NODE"], "message": "twice"},
        {"node_ids": ["NODE"], "message": "m", "duration_secs": 0},
        {"node_ids": ["NODE"], "message": "m", "duration_secs": "60"},
        {"node_ids": ["NODE"], "message": "m", "duration_secs": True},
    ],
)
def test_a_bad_reservation_request_is_400(fresh_lab, body):
    names = body.get("node_ids")
    if isinstance(names, list):
        body = {**body, "node_ids": [free_nodes(fresh_lab)[0] for _ in names]}
    assert fresh_lab.you.post("/reservations", json=body).status_code == 400


def test_a_body_that_is_not_json_is_400(fresh_lab):
    assert fresh_lab.you.post("/reservations", content=b"{").status_code == 400
    assert fresh_lab.you.post("/reservations", json=[1]).status_code == 400


def test_reserving_an_unknown_node_is_404_and_reserves_nothing(fresh_lab, reserve):
    free = free_nodes(fresh_lab)[0]
    assert reserve(fresh_lab.you, free, "nope").status_code == 404
    assert fresh_lab.you.get(f"/nodes/{free}").json()["reservation"] is None


def test_extending_adds_to_the_current_expiry(fresh_lab, reserve):
    node = free_nodes(fresh_lab)[0]
    made = reserve(fresh_lab.you, node, duration_secs=60).json()["reservations"][0]
    assert (
        fresh_lab.you.post(f"/reservations/{made['reservation_id']}/extend", json={"duration_secs": 3600}).status_code
        == 204
    )
    fresh_lab.control.post("/clock", json={"advance_seconds": 3600})
    assert fresh_lab.you.get(f"/nodes/{node}").json()["reservation"] is not None
    fresh_lab.control.post("/clock", json={"advance_seconds": 61})
    assert fresh_lab.you.get(f"/nodes/{node}").json()["available"] is True


def test_an_expired_reservation_cannot_be_extended_but_can_be_ended_and_interrupted(fresh_lab, reserve):
    made = reserve(fresh_lab.you, free_nodes(fresh_lab)[0], duration_secs=1).json()["reservations"][0]
    fresh_lab.control.post("/clock", json={"advance_seconds": 2})
    path = f"/reservations/{made['reservation_id']}"
    refused = fresh_lab.you.post(f"{path}/extend", json={"duration_secs": 60})
    assert (refused.status_code, "already ended" in refused.json()["message"]) == (400, True)
    assert fresh_lab.you.delete(path).status_code == 204
    assert fresh_lab.colleague.post(f"{path}/interrupt", json={"message": "sorry"}).status_code == 204


def test_only_its_owner_extends_or_ends_a_reservation(fresh_lab, reserve):
    node = free_nodes(fresh_lab)[0]
    made = reserve(fresh_lab.you, node).json()["reservations"][0]
    path = f"/reservations/{made['reservation_id']}"
    for answer in (
        fresh_lab.colleague.post(f"{path}/extend", json={"duration_secs": 60}),
        fresh_lab.colleague.delete(path),
    ):
        assert answer.status_code == 403
        assert "not created by you" in answer.json()["message"]
    assert fresh_lab.you.get(f"/nodes/{node}").json()["reservation"] is not None


def test_ending_twice_is_fine(fresh_lab, reserve):
    made = reserve(fresh_lab.you, free_nodes(fresh_lab)[0]).json()["reservations"][0]
    path = f"/reservations/{made['reservation_id']}"
    assert [fresh_lab.you.delete(path).status_code for _ in range(2)] == [204, 204]


def test_anybody_interrupts_with_a_message(fresh_lab, reserve):
    node = free_nodes(fresh_lab)[0]
    made = reserve(fresh_lab.you, node).json()["reservations"][0]
    path = f"/reservations/{made['reservation_id']}/interrupt"
    assert fresh_lab.colleague.post(path, json={}).status_code == 400
    assert fresh_lab.colleague.post(path, json={"message": "Needed for a release"}).status_code == 204
    assert fresh_lab.you.get(f"/nodes/{node}").json()["available"] is True


@pytest.mark.parametrize(("reservation_id", "status"), [("9999", 404), ("abc", 400), ("-1", 400)])
def test_a_reservation_that_does_not_exist(fresh_lab, reservation_id, status):
    path = f"/reservations/{reservation_id}"
    answers = [
        fresh_lab.you.delete(path),
        fresh_lab.you.post(f"{path}/extend", json={"duration_secs": 60}),
        fresh_lab.you.post(f"{path}/interrupt", json={"message": "m"}),
    ]
    assert [answer.status_code for answer in answers] == [status] * 3


@pytest.mark.parametrize("body", [{}, {"duration_secs": None}, {"duration_secs": -5}, {"duration_secs": 1.5}])
def test_extending_needs_a_duration(fresh_lab, reserve, body):
    made = reserve(fresh_lab.you, free_nodes(fresh_lab)[0], duration_secs=60).json()["reservations"][0]
    assert fresh_lab.you.post(f"/reservations/{made['reservation_id']}/extend", json=body).status_code == 400
