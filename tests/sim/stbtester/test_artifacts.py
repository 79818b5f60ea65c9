from __future__ import annotations

import hashlib
import io
from urllib.parse import quote

import pytest
from PIL import Image


@pytest.fixture
def failed(lab):
    return lab.you.get("/results", params={"filter": "result:fail testcase:live_tv"}).json()[0]["result_id"]


def test_every_artifact_has_the_size_and_md5_its_entry_states(lab, failed):
    listing = lab.you.get(f"/results{failed}/artifacts/").json()
    assert listing == lab.you.get(f"/results{failed}").json()["artifacts"]
    assert {"combined.log", "screenshot.png", "stderr.log", "stdout.log", "thumbnail.jpg", "video.mp4"} < set(listing)
    assert any("/" in name and " " in name for name in listing)
    for name, entry in listing.items():
        content = lab.you.get(f"/results{failed}/artifacts/{quote(name)}").content
        assert entry == {"size": len(content), "md5": hashlib.md5(content).hexdigest()}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("video.mp4", "video/mp4"), ("thumbnail.jpg", "image/jpeg"), ("combined.log", "text/plain; charset=utf-8")],
)
def test_the_content_type_follows_the_name(lab, failed, name, kind):
    assert lab.you.get(f"/results{failed}/artifacts/{name}").headers["content-type"] == kind


def test_a_missing_artifact_is_404_with_its_own_words(lab, failed):
    answer = lab.you.get(f"/results{failed}/artifacts/nope.log")
    assert (answer.status_code, "doesn't have the file" in answer.json()["message"]) == (404, True)


def test_the_combined_log_is_the_log(lab, failed):
    assert (
        lab.you.get(f"/results{failed}/artifacts/combined.log").text == lab.you.get(f"/results{failed}/stbt.log").text
    )


def test_the_saved_screenshot_is_the_artifact(lab, failed):
    saved = lab.you.get(f"/results{failed}/screenshot.png")
    assert saved.headers["content-type"] == "image/png"
    assert saved.content == lab.you.get(f"/results{failed}/artifacts/screenshot.png").content
    assert Image.open(io.BytesIO(saved.content)).size == (1280, 720)


def test_a_result_can_be_given_a_large_file_and_a_long_log(fresh_lab):
    result_id = fresh_lab.you.get("/results").json()[0]["result_id"]
    for name in ("capture/full video.ts", "stbt.log"):
        body = {"result_id": result_id, "name": name, "bytes": 3_000_000}
        assert fresh_lab.control.post("/files", json=body).status_code == 204
    listing = fresh_lab.you.get(f"/results{result_id}/artifacts/").json()
    content = fresh_lab.you.get(f"/results{result_id}/artifacts/capture/full video.ts").content
    assert listing["capture/full video.ts"] == {"size": 3_000_000, "md5": hashlib.md5(content).hexdigest()}
    log = fresh_lab.you.get(f"/results{result_id}/stbt.log", params={"tz": "Asia/Kolkata"}).text
    assert len(log) >= 3_000_000
    assert all("+05:30 frame " in line for line in log.splitlines())
