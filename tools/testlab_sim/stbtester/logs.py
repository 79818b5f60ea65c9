"""What a run leaves in words: its traceback and its timestamped log."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from testlab_sim.seeded_random import chance
from testlab_sim.stbtester.jobs import Run
from testlab_sim.stbtester.service import Refusal

_OPENING_KEY = {
    "home": "KEY_HOME",
    "settings": "KEY_MENU",
    "epg": "KEY_EPG",
    "live": "KEY_CHANNELUP",
    "player": "KEY_PLAY",
    "search": "KEY_SEARCH",
    "standby": "KEY_POWER",
}


def zone(name: str) -> tzinfo:
    """A time zone of the Olson database; 400 if there is none of that name."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise Refusal(400, f"Invalid tz {name!r}") from None


def traceback_of(run: Run) -> str | None:
    """Python's traceback of the exception that ended the run; None if it passed."""
    failure = run.outcome.failure
    if failure is None:
        return None
    file, _, function = run.test_case.partition("::")
    frames = ['  File "/usr/lib/python3/dist-packages/_stbt/stbt_run.py", line 88, in main\n    test_function.call()']
    if run.test_case in run.job.revision.cases:
        line = 12 + int(chance(file, function) * 160)
        frames.append(f'  File "/var/lib/stbt/test-pack/{file}", line {line}, in {function}\n    {failure.line}')
    else:
        frames.append(f'  File "/usr/lib/python3/dist-packages/_stbt/imports.py", line 41, in load\n    {failure.line}')
    raised = f"{failure.exception}: {failure.message}"
    return "\n".join(["Traceback (most recent call last):", *frames, raised])


def log_of(run: Run, timezone: tzinfo) -> str:
    """The lines of `stbt.log`: an ISO 8601 time in `timezone`, a space, the message."""
    stamped: list[str] = []
    for moment, message in log_lines(run):
        stamp = datetime.fromtimestamp(moment, timezone).isoformat(timespec="microseconds")
        stamped.append(f"{stamp} {message}\n")
    return "".join(stamped)


def log_lines(run: Run) -> list[tuple[float, str]]:
    """(seconds since the epoch, message), spread over the run in order."""
    opening, steps, closing = _opening(run), _steps(run), _closing(run)
    span = max(run.end - run.start, 0.01)
    timed = [(run.start + 0.0004 * span * i, text) for i, text in enumerate(opening)]
    begin, finish = run.start + 0.02 * span, run.end - 0.01 * span
    for i, text in enumerate(steps):
        wobble = 0.4 * chance(run.result_id, i)
        timed.append((begin + (finish - begin) * (i + wobble) / len(steps), text))
    timed += [(finish + 0.0002 * span * i, text) for i, text in enumerate(closing)]
    return timed


def _opening(run: Run) -> list[str]:
    file, _, function = run.test_case.partition("::")
    return [
        "stbt-run: Arguments:",
        f"control: lirc::{run.job.remote_control or 'stb4k'}",
        f"args: ['{function}']",
        "verbose: 1",
        "source_pipeline: v4l2src device=/dev/stbt-hdmi0 ! video/x-raw,framerate=25/1,width=1280,height=720",
        f"script: /var/lib/stbt/test-pack/{file}",
        "sink_pipeline: fakesink sync=false",
        "save_video: video.mp4",
        f"stbt-run: test_pack_sha: {run.job.revision.sha}",
        "stbt-run: Saving video to 'video.mp4'",
    ]


def _steps(run: Run) -> list[str]:
    case = run.job.revision.cases.get(run.test_case)
    if case is None:
        return ["stbt-run: Loading test script"]
    lines = ["Pressed KEY_HOME", "wait_for_match: Waiting for images/home/logo.png"]
    key = _OPENING_KEY.get(case.screen, "KEY_OK")
    for step in range(max(2, min(400, int(case.seconds / 3)))):
        score = 0.97 + 0.03 * chance(run.result_id, "score", step)
        y = int(chance(run.result_id, "y", step) * 600)
        lines.append(f"Pressed {key if step % 3 == 0 else 'KEY_DOWN' if step % 3 == 1 else 'KEY_OK'}")
        lines.append(
            f"wait_for_match: Match found: MatchResult(match=True, region=Region(x=82, y={y}, width=212, height=54), "
            f"first_pass_result={score:.6f}, image='images/{case.screen}/step-{step + 1}.png')"
        )
    return lines


def _closing(run: Run) -> list[str]:
    if run.outcome.failure is None:
        return [f"stbt-run: {run.test_case}: PASS"]
    verdict = run.outcome.result.upper()
    return [
        *(traceback_of(run) or "").splitlines(),
        f"stbt-run: {run.test_case}: {verdict}: {run.outcome.failure.message}",
    ]
