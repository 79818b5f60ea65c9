from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops

from testlab_sim.stbtester.nodes import KEYS
from testlab_sim.stbtester.screens import Screen, png
from testlab_sim.stbtester.test_pack import CASES

KINDS = ("home", "epg", "live", "settings", "player", "standby", "no_signal")


def picture(content):
    return Image.open(io.BytesIO(content)).convert("RGB")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trouble", ["", "empty", "frozen", "missing"])
def test_every_screen_is_drawn_whole_in_every_state(kind, trouble):
    image = picture(png(Screen(kind, "20:41", "Saturday 21 November", 9, 6, 99, trouble)))
    assert image.size == (1280, 720)
    colours = image.getcolors(1 << 16)
    assert colours is not None
    assert len(colours) > 20


def test_no_two_screens_look_alike():
    images = [png(Screen(kind, "20:41", "Saturday 21 November")) for kind in KINDS]
    assert len(set(images)) == len(KINDS)


def test_every_test_case_has_a_screen_that_can_be_drawn():
    assert {case.screen for case in CASES} <= {*KINDS, "search"}


def test_the_guide_shows_every_half_hour_of_the_day():
    shown = {png(Screen("epg", f"{hour:02d}:{minute}", "Sunday")) for hour in (0, 12, 23) for minute in ("00", "59")}
    assert len(shown) == 6


def test_a_node_shows_what_it_runs(fresh_lab, start):
    node = fresh_lab.node("Rack 1, Node 1")
    idle = fresh_lab.you.get(f"/nodes/{node}/screenshot.png")
    assert idle.headers["content-type"] == "image/png"
    start(fresh_lab.you, node, test_cases=["tests/soak.py::test_that_box_survives_ten_minutes_of_zapping"])
    fresh_lab.control.post("/clock", json={"advance_seconds": 0.5})
    running = fresh_lab.you.get(f"/nodes/{node}/screenshot.png")
    difference = ImageChops.difference(picture(idle.content), picture(running.content)).getbbox()
    assert difference is not None
    fresh_lab.you.post(f"/nodes/{node}/job/stop")
    assert fresh_lab.you.get(f"/nodes/{node}/screenshot.png").content != running.content


def test_a_thumbnail_is_a_small_jpeg(lab):
    answer = lab.you.get(f"/nodes/{lab.node('Rack 1, Node 2')}/thumbnail.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    image = Image.open(io.BytesIO(answer.content))
    assert (image.format, image.size) == ("JPEG", (320, 180))


@pytest.mark.parametrize("file", ["screenshot.png", "thumbnail.jpg"])
def test_an_offline_node_shows_nothing_and_an_unknown_one_is_not_found(lab, file):
    assert lab.you.get(f"/nodes/{lab.node('Rack 3, Node 1')}/{file}").status_code == 503
    assert lab.you.get(f"/nodes/nope/{file}").status_code == 404


def test_a_failing_run_saves_what_was_wrong_on_screen(lab):
    lost = lab.you.get("/results", params={"filter": '"no video"'}).json()[0]
    node = lab.node("Rack 1, Node 4")
    saved = picture(lab.you.get(f"/results{lost['result_id']}/screenshot.png").content)
    now = picture(lab.you.get(f"/nodes/{node}/screenshot.png").content)
    assert ImageChops.difference(saved, now).getbbox() is None


@pytest.mark.parametrize("key", sorted(KEYS))
def test_after_any_key_the_device_still_shows_something(fresh_lab, key):
    node = fresh_lab.node("Rack 1, Node 1")
    assert fresh_lab.you.post(f"/nodes/{node}/press", json={"key": key}).status_code == 200
    assert fresh_lab.you.get(f"/nodes/{node}/thumbnail.jpg").status_code == 200
