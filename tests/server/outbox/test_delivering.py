"""A run that is given reaches its service once: through an outage, a restart, a lost answer, a refusal."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.server.outbox.conftest import Plant, Window


def test_a_run_given_while_the_service_is_down_is_queued_and_arrives_once_when_it_is_up(
    plant: Plant, open_window: Callable[[str], Window], sqlite: str, until: Callable[..., Any]
) -> None:
    window = open_window(plant.config(sqlite))
    plant.trouble(action="reset")
    begun = time.monotonic()
    answer = window.call("create_run", **plant.run("SN-DOWN"))
    assert time.monotonic() - begun < 20
    assert "run_id" not in answer
    assert "cannot be reached" in answer["note"]
    listed = window.call("list_deliveries")
    assert (listed["waiting"], listed["parked"], listed["delivered"]) == (1, 0, 0)
    (waiting,) = listed["deliveries"]
    assert waiting["delivery_id"] == answer["queued"]
    assert waiting["state"] in ("queued", "sending")
    plant.calm()
    delivered = until(lambda: window.call("list_deliveries", state="delivered")["deliveries"])
    assert delivered[0]["delivery_id"] == answer["queued"]
    assert delivered[0]["run_id"].startswith("factory:")
    assert plant.serials() == ["SN-DOWN"]


def test_what_waits_says_the_status_it_was_answered_with_and_when_it_is_tried_again(
    plant: Plant, open_window: Callable[[str], Window], sqlite: str, until: Callable[..., Any]
) -> None:
    window = open_window(plant.config(sqlite, "v1"))
    plant.trouble(status=503, method="POST", path_prefix="/api/v1/runs")
    window.call("create_run", **plant.run("SN-503"))

    def told() -> dict[str, Any]:
        (waiting,) = window.call("list_deliveries", state="waiting")["deliveries"]
        assert waiting["reason"].endswith(": do not record it anew.")
        sending = "It is being sent now" in waiting["reason"]
        due = "as soon as its turn comes" in waiting["reason"]
        assert sending or due or ("at next_try_at" in waiting["reason"] and waiting["next_try_at"])
        assert "Record it again" not in waiting["reason"]
        return waiting if "503" in waiting["reason"] else {}

    waiting = until(told)
    assert "answered 503, and the run is not there" in waiting["reason"]
    assert "did not answer" not in waiting["reason"]


def test_a_run_given_while_the_service_is_up_is_answered_with_its_id(
    plant: Plant, open_window: Callable[[str], Window], sqlite: str
) -> None:
    window = open_window(plant.config(sqlite))
    answer = window.call("create_run", **plant.run("SN-UP"))
    assert answer["run_id"].startswith("factory:")
    assert "queued" not in answer
    assert plant.serials() == ["SN-UP"]


def test_a_lost_answer_does_not_make_a_second_run(
    plant: Plant, open_window: Callable[[str], Window], sqlite: str
) -> None:
    for version in ("v2", "v1"):
        window = open_window(plant.config(sqlite, version))
        plant.trouble(action="reset-after", method="POST", times=1)
        answer = window.call("create_run", **plant.run(f"SN-{version}"))
        assert answer["run_id"].startswith("factory:")
        window.close()
    assert plant.serials() == ["SN-v1", "SN-v2"]


def test_a_delivery_goes_on_after_a_restart(
    plant: Plant, open_window: Callable[[str], Window], sqlite: str, until: Callable[..., Any]
) -> None:
    plant.trouble(action="status", status=503)
    first = open_window(plant.config(sqlite))
    first.call("create_run", **plant.run("SN-AGAIN"))
    first.kill()
    plant.calm()
    open_window(plant.config(sqlite))
    until(plant.serials)
    assert plant.serials() == ["SN-AGAIN"]


def test_a_refused_run_is_parked_with_its_reason_and_can_be_corrected_and_released(
    plant: Plant, open_window: Callable[[str], Window], sqlite: str
) -> None:
    window = open_window(plant.config(sqlite))
    plant.trouble(action="status", status=422, method="POST", times=1)
    refused = window.answer(window.ask("create_run", **plant.run("SN-WRONG")))
    assert refused["result"]["isError"]
    (parked,) = window.call("list_deliveries", state="parked")["deliveries"]
    assert parked["delivery_id"] in refused["result"]["content"][0]["text"]
    assert "HTTP 422" in parked["reason"]
    assert plant.serials() == []
    released = window.call("release_delivery", delivery_id=parked["delivery_id"], serial_number="SN-RIGHT")
    assert (released["state"], released["unit"]) == ("delivered", "SN-RIGHT")
    assert plant.serials() == ["SN-RIGHT"]
    listed = window.call("list_deliveries")
    assert (listed["waiting"], listed["parked"], listed["delivered"]) == (0, 0, 1)


def test_what_still_waits_or_has_arrived_cannot_be_released(
    plant: Plant, open_window: Callable[[str], Window], sqlite: str
) -> None:
    window = open_window(plant.config(sqlite))
    window.call("create_run", **plant.run("SN-1"))
    (delivered,) = window.call("list_deliveries")["deliveries"]
    refused = window.answer(window.ask("release_delivery", delivery_id=delivered["delivery_id"]))
    assert "not parked" in refused["result"]["content"][0]["text"]
    assert plant.serials() == ["SN-1"]


def test_a_wrong_token_waits_until_the_config_has_the_right_one(
    plant: Plant, open_window: Callable[[str], Window], sqlite: str, until: Callable[..., Any]
) -> None:
    window = open_window(plant.config(sqlite, token="wrong"))
    assert "does not accept the token" in window.call("create_run", **plant.run("SN-KEY"))["note"]
    window.close()
    window = open_window(plant.config(sqlite))
    until(plant.serials)
    assert plant.serials() == ["SN-KEY"]


def test_deliveries_of_a_service_taken_out_of_the_config_wait_and_say_so(
    plant: Plant, open_window: Callable[[str], Window], sqlite: str, until: Callable[..., Any]
) -> None:
    plant.trouble(action="reset")
    window = open_window(plant.config(sqlite, answer_within=5))
    window.call("create_run", **plant.run("SN-RENAMED"))
    window.close()
    plant.calm()
    window = open_window(plant.config(sqlite).replace("services.factory", "services.plant"))
    waiting = until(
        lambda: [
            d for d in window.call("list_deliveries")["deliveries"] if "No service factory is configured" in d["reason"]
        ]
    )
    assert waiting[0]["state"] == "queued"
    window.close()
    open_window(plant.config(sqlite))
    until(plant.serials)
    assert plant.serials() == ["SN-RENAMED"]


def test_no_secret_is_written_to_the_database_and_nobody_else_can_read_it(
    plant: Plant, open_window: Callable[[str], Window], sqlite: str, tmp_path: Path
) -> None:
    window = open_window(plant.config(sqlite))
    window.call("create_run", **plant.run("SN-SECRET"))
    window.close()
    path = tmp_path / "deliveries.sqlite"
    assert path.stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(path)) as connection:
        dump = "\n".join(connection.iterdump())
    assert "SN-SECRET" in dump
    assert plant.token not in dump
    assert json.dumps(plant.token) not in dump
