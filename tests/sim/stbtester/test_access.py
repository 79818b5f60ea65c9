from __future__ import annotations

import re

import pytest

DOCUMENTED = (
    "GET /api/v2/nodes/{node_id}/screenshot.png",
    "GET /api/v2/nodes/{node_id}/thumbnail.jpg",
    "GET /api/v2/test_pack/{test_pack_revision}/test_case_names",
    "POST /api/v2/run_tests",
    "GET /api/v2/jobs/{job_uid}",
    "GET /api/v2/nodes/{node_id}/job",
    "GET /api/v2/jobs/{job_uid}/await_completion",
    "PUT /api/v2/jobs/{job_uid}/stop",
    "POST /api/v2/jobs/{job_uid}/stop",
    "POST /api/v2/nodes/{node_id}/job/stop",
    "GET /api/v2/results",
    "GET /api/v2/results.csv",
    "GET /api/v2/results.xml",
    "GET /api/v2/results/{result_id}/",
    "GET /api/v2/results/{result_id}/stbt.log",
    "GET /api/v2/results/{result_id}/screenshot.png",
    "GET /api/v2/results/{result_id}/artifacts/",
    "GET /api/v2/results/{result_id}/artifacts/{filename}",
    "GET /api/v2/nodes",
    "GET /api/v2/nodes/{node_id}",
    "POST /api/v2/reservations",
    "POST /api/v2/reservations/{reservation_id}/extend",
    "DELETE /api/v2/reservations/{reservation_id}",
    "POST /api/v2/reservations/{reservation_id}/interrupt",
)


@pytest.mark.parametrize("operation", DOCUMENTED)
@pytest.mark.parametrize("authorization", [None, "token wrong", "Bearer sim-token-you", "sim-token-you"])
def test_every_operation_refuses_a_bad_token_with_403(lab, operation, authorization):
    method, template = operation.split()
    path = re.sub(r"\{job_uid\}", "node/0a21/1", re.sub(r"\{result_id\}", "node/0a21/1/stamp", template))
    path = re.sub(r"\{\w+\}", "x", path)
    headers = {"Authorization": authorization} if authorization else {}
    answer = lab.client("/stbtester").request(method, path, headers=headers)
    assert (answer.status_code, answer.json()) == (403, {"message": "Invalid access token"})


def test_the_two_people_are_told_apart_by_their_tokens(lab):
    assert lab.you.get("/user").json()["login"] == "you"
    assert lab.colleague.get("/user").json()["login"] == "colleague"


def test_an_unknown_path_is_404_in_json(lab):
    answer = lab.you.get("/no/such/thing")
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


def test_the_wrong_method_is_405(lab):
    assert lab.you.delete("/nodes").status_code == 405


def test_what_the_vendors_client_asks_for_besides_is_there(lab):
    portal = lab.client("/stbtester")
    portal.headers["Authorization"] = "token sim-token-you"
    assert portal.post("/github/post-receive").status_code == 200
    assert {"id": lab.node("Rack 1, Node 1")} in portal.get("/api/_private/workgroup").json()
