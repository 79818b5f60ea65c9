"""Files: announced, PUT, finalized, fetched; links that end after a minute."""

from __future__ import annotations

import pytest


def test_a_link_needs_no_token_and_ends_after_a_minute(fresh):
    url = fresh.v2.post("/attachments", json={"name": "a.txt"}).json()["upload_url"]
    assert url.startswith(fresh.world.base_url)
    fresh.world.clock.advance(59)
    assert fresh.anyone.put(url, content=b"one").status_code == 200
    fresh.world.clock.advance(3)
    late = fresh.anyone.put(url, content=b"two")
    assert late.status_code == 403
    assert "AccessDenied" in late.text


def test_a_download_link_ends_too(fresh):
    upload = fresh.upload(b"hello", "a.txt")
    url = fresh.v2.post(f"/attachments/{upload}/finalize").json()["url"]
    assert fresh.anyone.get(url).content == b"hello"
    fresh.world.clock.advance(62)
    assert fresh.anyone.get(url).status_code == 403


@pytest.mark.parametrize("spoil", [lambda url: url[:-1], lambda url: url.split("?")[0]])
def test_a_link_cannot_be_made_up(fresh, spoil):
    url = fresh.v2.post("/attachments", json={"name": "a.txt"}).json()["upload_url"]
    assert fresh.anyone.put(spoil(url), content=b"x").status_code == 403
    assert fresh.anyone.get(url).status_code == 403


def test_a_file_put_for_a_run_is_there_without_finalize(fresh):
    run_id = fresh.create()
    announced = fresh.v2.post(f"/runs/{run_id}/attachments", json={"name": "trace.csv"}).json()
    assert fresh.run(run_id)["attachments"] == []
    fresh.anyone.put(announced["upload_url"], content=b"f,g\n", headers={"Content-Type": "text/csv"})
    (file,) = fresh.run(run_id)["attachments"]
    assert (file["id"], file["name"], file["size"]) == (announced["id"], "trace.csv", 4)
    assert fresh.anyone.get(file["download_url"]).content == b"f,g\n"


def test_an_upload_that_never_came_cannot_be_finalized(fresh):
    upload = fresh.v2.post("/attachments", json={"name": "a.txt"}).json()["id"]
    assert fresh.v2.post(f"/attachments/{upload}/finalize").status_code == 404


def test_a_deleted_run_takes_its_files_along(fresh):
    run_id = fresh.create()
    announced = fresh.v2.post(f"/runs/{run_id}/attachments", json={"name": "a.txt"}).json()
    fresh.anyone.put(announced["upload_url"], content=b"x")
    url = fresh.run(run_id)["attachments"][0]["download_url"]
    fresh.v2.delete("/runs", params={"ids": run_id})
    assert fresh.anyone.get(url).status_code == 404
