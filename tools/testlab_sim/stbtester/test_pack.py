"""The simulated test pack in git: its revisions, the names that lead to them, and its test cases: what each one looks
at, how long it takes and how it goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1

from testlab_sim.stbtester.service import Refusal


@dataclass(frozen=True, slots=True)
class Failure:
    """How a test case goes wrong: the exception it ends with and the line of the script that raised it."""

    exception: str
    message: str
    line: str

    @property
    def result(self) -> str:
        """Stb-tester's own rule: `AssertionError` and `stbt.UITestFailure` are failures, anything else an error."""
        return "fail" if self.exception in _FAILURES else "error"


_FAILURES = ("AssertionError", "stbt_core.MatchTimeout", "stbt_core.MotionTimeout", "stbt_core.PreconditionError")


def asserts(message: str, line: str) -> Failure:
    return Failure("AssertionError", message, line)


def no_match(image: str) -> Failure:
    message = f"Didn't find match for 'images/{image}.png' within 10 seconds."
    return Failure("stbt_core.MatchTimeout", message, f'stbt.wait_for_match("images/{image}.png")')


NO_VIDEO = Failure("stbt_core.NoVideo", "No video", "frame = stbt.get_frame()")
NO_MOTION = Failure(
    "stbt_core.MotionTimeout", "Didn't find motion within 10 seconds.", "stbt.wait_for_motion(timeout_secs=10)"
)


@dataclass(frozen=True, slots=True)
class TestCase:
    """`seconds` is the nominal length; `flaky` the share of runs that end in `failure`.

    `since` is the first revision holding it; from revision `broken_since` on it always ends in `failure`.
    """

    name: str
    screen: str
    seconds: float
    failure: Failure = NO_VIDEO
    flaky: float = 0.0
    since: int = 0
    broken_since: int = 99

    @property
    def file(self) -> str:
        return self.name.partition("::")[0]


def _case(
    file: str, what: str, screen: str, seconds: float, failure: Failure = NO_VIDEO, flaky: float = 0.0, since: int = 0
) -> TestCase:
    return TestCase(f"tests/{file}.py::test_that_{what}", screen, seconds, failure, flaky, since)


FLAKY_EPG = "tests/epg.py::test_that_epg_is_populated"
BROKEN = "tests/settings.py::test_that_subtitle_language_can_be_changed"
SLOW = "tests/soak.py::test_that_box_survives_ten_minutes_of_zapping"
OVERNIGHT = "tests/soak.py::test_that_box_survives_a_night_of_live_tv"
_SLOW_ZAP = asserts("Channel change took 2.64 s (limit 2.00 s)", "assert duration < 2.0, describe(duration)")
_SEEK = "assert abs(landed - wanted) <= 2, timecodes(landed, wanted)"
_WRONG_SEEK = asserts("Landed at 00:14:07, wanted 00:14:00", _SEEK)

CASES = (
    _case("menu", "menu_appears_when_menu_key_is_pressed", "settings", 6),
    _case("menu", "close_button_closes_menu", "home", 8),
    _case("menu", "home_key_returns_to_home", "home", 9),
    _case("menu", "menu_wraps_around", "settings", 12),
    TestCase(FLAKY_EPG, "epg", 18, asserts("EPG is empty", 'assert epg_is_populated(), "EPG is empty"'), 0.35),
    _case("epg", "epg_opens_from_live_tv", "epg", 14, no_match("epg/header"), 0.03),
    _case("epg", "epg_shows_the_current_programme", "epg", 16, no_match("epg/now-marker"), 0.04),
    _case("epg", "epg_scrolls_seven_days", "epg", 44, no_match("epg/next-week"), 0.08),
    _case("epg", "reminder_can_be_set", "epg", 25, no_match("epg/reminder"), 0.05),
    _case("epg", "synopsis_is_not_empty", "epg", 15, asserts("Synopsis is blank", "assert text"), 0.04),
    _case("live_tv", "pause_button_pauses_live_tv", "live", 20, NO_MOTION, 0.03),
    _case("live_tv", "info_bar_appears", "live", 10, no_match("live/info-bar"), 0.02),
    _case("live_tv", "channel_change_is_under_two_seconds", "live", 30, _SLOW_ZAP, 0.13),
    _case("live_tv", "channel_up_and_down_work", "live", 22, NO_MOTION, 0.03),
    _case("live_tv", "number_keys_tune", "live", 24, no_match("live/channel-12"), 0.04),
    _case("live_tv", "audio_is_present", "live", 17, asserts("No audio for 5 s", "assert audio"), 0.03),
    _case("live_tv", "subtitles_appear", "live", 26, no_match("live/subtitles"), 0.05),
    _case("settings", "settings_open", "settings", 9, no_match("settings/title"), 0.01),
    TestCase(BROKEN, "settings", 28, no_match("settings/subtitles-french"), 0.02, broken_since=1),
    _case("settings", "resolution_can_be_changed", "settings", 38, NO_MOTION, 0.05),
    _case("settings", "parental_pin_is_asked_for", "settings", 21, no_match("settings/pin"), 0.03),
    _case("settings", "network_status_is_shown", "settings", 13, no_match("settings/online"), 0.04),
    _case("settings", "software_version_is_shown", "settings", 8),
    _case("player", "vod_starts_within_five_seconds", "player", 24, NO_MOTION, 0.06),
    _case("player", "seek_lands_within_two_seconds", "player", 36, _WRONG_SEEK, 0.15),
    _case("player", "resume_starts_where_it_stopped", "player", 40, no_match("player/resume"), 0.05),
    _case("player", "progress_bar_moves", "player", 18, NO_MOTION, 0.02),
    _case("player", "credits_offer_the_next_episode", "player", 33, no_match("player/next"), 0.06),
    _case("dvr", "recording_can_be_scheduled", "epg", 27, no_match("dvr/red-dot"), 0.05),
    _case("dvr", "recording_plays_back", "player", 46, NO_MOTION, 0.06),
    _case("dvr", "recording_can_be_deleted", "home", 19, no_match("dvr/empty"), 0.03),
    _case("search", "search_finds_a_programme", "search", 23, asserts("0 results", "assert results"), 0.04),
    _case("search", "keyboard_types_accents", "search", 31, asserts("Read 'cafe'", "assert typed"), 0.07),
    _case("apps", "every_app_tile_has_a_name", "home", 35, asserts("Tile 7 is blank", "assert name"), 0.03),
    _case("apps", "video_app_launches", "home", 29, no_match("apps/splash"), 0.05),
    _case("power", "box_wakes_from_standby", "standby", 34, NO_MOTION, 0.05),
    _case("power", "box_boots_within_ninety_seconds", "standby", 95, NO_MOTION, 0.05),
    TestCase(SLOW, "live", 600, NO_MOTION, 0.02),
    TestCase(OVERNIGHT, "live", 8 * 3600, NO_MOTION),
    _case("search", "voice_search_shows_what_was_heard", "search", 20, no_match("search/heard"), 0.08, 1),
    _case("epg", "catch_up_marks_past_programmes", "epg", 22, no_match("epg/catch-up"), 0.05, 1),
    _case("epg", "redesigned_grid_shows_pictures", "epg", 24, no_match("epg/picture"), 0.2, 2),
    _case("epg", "redesigned_grid_keeps_its_place", "epg", 26, no_match("epg/cursor"), 0.1, 2),
)


@dataclass(frozen=True)
class Revision:
    """A commit of the test pack. `age` counts commits that matter here: 0 is the oldest."""

    label: str
    age: int

    @cached_property
    def sha(self) -> str:
        return sha1(f"testlab test pack {self.label}".encode(), usedforsecurity=False).hexdigest()

    @cached_property
    def cases(self) -> dict[str, TestCase]:
        return {c.name: c for c in CASES if c.since <= self.age}


RELEASED = Revision("released", 0)
CURRENT = Revision("current", 1)
REDESIGN = Revision("redesign", 2)
REVISIONS = (RELEASED, CURRENT, REDESIGN)

_REFS = {
    "refs/heads/main": CURRENT,
    "refs/heads/master": CURRENT,
    "refs/heads/release/2.3": RELEASED,
    "refs/heads/feature/epg/redesign": REDESIGN,
    "refs/tags/v2.3.0": RELEASED,
}


def resolve(name: str) -> tuple[Revision, str | None]:
    """The revision that a branch, tag or commit sha names, and the full ref (None for a sha); 404 if it names none."""
    if name == "HEAD":
        return CURRENT, "refs/heads/main"
    for ref in (name, f"refs/heads/{name}", f"refs/tags/{name}"):
        if ref in _REFS:
            return _REFS[ref], ref
    for revision in REVISIONS:
        if len(name) >= 7 and revision.sha.startswith(name.lower()):
            return revision, None
    raise Refusal(404, f"Commit sha or branch {name!r} not found in test-pack")
