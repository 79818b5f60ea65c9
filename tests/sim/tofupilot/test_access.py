"""Who may call, and how a refusal is told."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "token sim-token-you"])
def test_v2_refuses_a_missing_or_wrong_token_in_its_own_error_shape(tofupilot, authorization):
    reply = tofupilot.v2.get("/runs", headers={"Authorization": authorization})
    assert reply.status_code == 401
    body = reply.json()
    assert body["code"] == "UNAUTHORIZED"
    assert body["message"]
    assert body["issues"] == [{"message": body["message"]}]


def test_v1_tells_errors_under_a_content_type_without_charset(tofupilot):
    reply = tofupilot.v1.get("/runs", params={"serial_number": "X"}, headers={"Authorization": "Bearer wrong"})
    assert reply.status_code == 401
    assert reply.headers["content-type"] == "application/json"
    assert list(reply.json()) == ["error"]
    assert reply.json()["error"]["message"]


def test_whoami_tells_a_user_from_a_station(tofupilot):
    user = tofupilot.v2.get("/whoami").json()
    assert (user["type"], user["station"], user["user"]["email"]) == ("user", None, "you@lab.example")
    headers = {"Authorization": "Bearer sim-station-eol-01"}
    station = tofupilot.v2.get("/whoami", headers=headers).json()
    assert (station["type"], station["station"]["name"], station["user"]) == ("station", "EOL-01", None)


def test_a_station_may_only_make_runs_of_its_procedures(fresh):
    headers = {"Authorization": "Bearer sim-station-eol-01"}
    reply = fresh.v2.post("/runs", json=fresh.body(), headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (403, "FORBIDDEN")
