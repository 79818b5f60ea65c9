"""The list of results in its three forms: JSON objects, CSV, and JUnit XML."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from testlab_sim.clock import iso
from testlab_sim.stbtester.jobs import Run
from testlab_sim.stbtester.logs import traceback_of

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def row(run: Run, base_url: str) -> dict[str, Any]:
    """One entry of `GET /api/v2/results`, and the first part of a result's detail."""
    result_id, failure = run.result_id, run.outcome.failure
    return {
        "result_id": result_id,
        "job_uid": run.job.uid,
        "result_url": f"{base_url}/api/v2/results{result_id}",
        "triage_url": f"{base_url}/app/#/result/{result_id}",
        "start_time": iso(run.start),
        "end_time": iso(run.end),
        "test_pack_sha": run.job.revision.sha,
        "test_case": run.test_case,
        "result": run.outcome.result,
        "failure_reason": failure.reason if failure else None,
    }


def detail(run: Run, base_url: str, artifacts: dict[str, Any]) -> dict[str, Any]:
    """`GET /api/v2/results/(result_id)/`."""
    job = run.job
    return {
        **row(run, base_url),
        "test_pack_branch": job.branch,
        "username": job.username,
        "job_category": job.category,
        "traceback": traceback_of(run),
        "artifacts": artifacts,
        "tags": dict(job.tags),
    }


def csv_text(runs: Sequence[Run], base_url: str) -> str:
    rows = [row(run, base_url) for run in runs]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    writer.writerows([r[name] for name in _COLUMNS] for r in rows)
    return out.getvalue()


_COLUMNS = (
    "result_id",
    "job_uid",
    "result_url",
    "triage_url",
    "start_time",
    "end_time",
    "test_case",
    "test_pack_sha",
    "result",
    "failure_reason",
)


def junit_xml(runs: Sequence[Run], include_tz: bool) -> bytes:
    """One `testsuite`, as in the portal the vendor's client is tested against (stbt_rig `PortalMock.RESULTS_XML`)."""
    from xml.etree import ElementTree as Xml

    counts = {result: sum(run.outcome.result == result for run in runs) for result in ("fail", "error")}
    seconds = sum(run.end - run.start for run in runs)
    suite = Xml.Element(
        "testsuite",
        disabled="0",
        errors=str(counts["error"]),
        failures=str(counts["fail"]),
        name="test",
        skipped="0",
        tests=str(len(runs)),
        time=f"{seconds:.6f}",
    )
    if runs:
        suite.set("timestamp", iso(min(run.start for run in runs), "+00:00" if include_tz else ""))
    for run in runs:
        file, _, function = run.test_case.partition("::")
        case = Xml.SubElement(suite, "testcase", classname=file, name=function, time=f"{run.end - run.start:.6f}")
        if run.outcome.failure is not None:
            kind = "failure" if run.outcome.result == "fail" else "error"
            mark = Xml.SubElement(case, kind, type=kind, message=_clean(run.outcome.failure.reason))
            mark.text = _clean(traceback_of(run) or "")
    return Xml.tostring(suite, encoding="utf-8", xml_declaration=True)


def _clean(text: str) -> str:
    """Without the control characters XML 1.0 cannot hold."""
    return _NOT_XML.sub("", text)
