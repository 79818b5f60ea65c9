"""A campaign's results as JUnit XML for CI, or as one page for people: plain HTML, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from testlab_tools.campaigns.answer import RERUN_WORDS
from testlab_tools.campaigns.conclusions import conclude_bisection, conclude_soak, describe_bisection, describe_rate
from testlab_tools.campaigns.orders import CampaignOrder
from testlab_tools.campaigns.records import Campaign
from testlab_tools.times import iso
from testlab_tools.triage.causes import normalise
from testlab_tools.untrusted import sanitize

if TYPE_CHECKING:
    from testlab_tools.campaigns.reading import Details, NodeShare, Tally, Told

CANDIDATES = 20
CHUNK = 500
"""Results that are written at a time."""
NOT_RUN = 50
"""Tests that are named of those that were not run."""
_JUNIT = {"fail": "failure", "error": "error", "skip": "skipped"}
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}td,th{text-align:left;padding:.25rem .6rem;
border-bottom:1px solid #d8dee4;vertical-align:top;overflow-wrap:anywhere}code{font-size:.9em}
.fail,.error{color:#b42318}.pass{color:#1a7f37}.flaky{background:#fff3c4;padding:0 .3rem;border-radius:3px}
@media(prefers-color-scheme:dark){body{background:#14171a;color:#e6e8ea}td,th{border-color:#343a40}
.fail,.error{color:#ff8a7a}.pass{color:#6fcf85}.flaky{background:#5c4a00}}
"""


def write_junit(campaign: Campaign, results: Iterable[Told], not_run: Sequence[tuple[str, int]] = ()) -> Iterator[str]:
    """A case for each item that has a result, in the order of counting; what was not run is skipped in one more, which
    names the first tests of it."""
    told = campaign.by_outcome
    left = 0 if campaign.order.is_open else campaign.items - campaign.counted
    counts = {
        "tests": campaign.counted + bool(left),
        "failures": told["fail"],
        "errors": told["error"],
        "skipped": told["skip"] + bool(left),
    }
    attributes = " ".join(f'{name}="{count}"' for name, count in counts.items())
    yield f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites {attributes}>\n'
    yield f"<testsuite name={quoteattr(f'campaign {campaign.campaign_id}')} {attributes}>\n"
    for result in results:
        yield _junit_case(result, campaign.order.bisected)
    if left:
        named = ", ".join(f"{name} ({count})" for name, count in not_run)
        skipped = f"<skipped message={_attribute(f'{left} runs were not made: {named}')}/>"
        yield f'<testcase classname="campaign" name="not run">{skipped}</testcase>\n'
    yield "</testsuite>\n</testsuites>\n"


def _junit_case(told: Told, bisected: str) -> str:
    properties = {"run_id": told.run_id, "node": told.node, "rerun": RERUN_WORDS.get(told.rerun, "")}
    listed = "".join(
        f"<property name={_attribute(name)} value={_attribute(value)}/>" for name, value in properties.items() if value
    )
    name = f"{bisected} at {told.test}" if bisected else told.test
    names = f"classname={_attribute(told.node)} name={_attribute(name)}"
    head = f'<testcase {names} time="{told.duration_s:g}">'
    end = f"<{_JUNIT[told.outcome]} message={_attribute(told.reason)}/>" if told.outcome in _JUNIT else ""
    return f"{head}<properties>{listed}</properties>{end}</testcase>\n"


def _attribute(text: str) -> str:
    return quoteattr(sanitize(text).replace("\n", " "))


def write_page(details: Details, results: Iterable[Told], not_run: Sequence[tuple[str, int]] = ()) -> Iterator[str]:
    """Counts, what a soak or bisection has come to, nodes, failures by cause with their reruns, every test, or revision
    of a bisection, with its results, and the first tests that were `not_run`."""
    campaign = details.campaign
    order = campaign.order
    kind = "Revision" if order.bisected else "Test"
    title = f"Campaign {campaign.campaign_id}: {campaign.state}"
    yield f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>\n'
    yield f"<h1>{_text(title)}</h1>\n<p>{_text(order.message)}</p>\n"
    yield f"<p>{_text(campaign.why)}</p>\n" if campaign.why else ""
    rows = [
        ("Test pack revision", _text(order.test_pack_revision)),
        ("From", f"{_when(campaign.started_at)} to {_when(campaign.ended_at)}"),
        ("Runs", _count_runs(campaign)),
        *((name, f'<span class="{name}">{count}</span>') for name, count in campaign.by_outcome.items() if count),
        ("Run again after an infrastructure error", str(campaign.retried)),
    ]
    yield _table(("", ""), rows)
    if details.tallies:
        yield from _write_conclusion(order, details.tallies)
    shares = [_node_row(share) for share in details.nodes]
    yield "<h2>Nodes</h2>\n" + _table(("Node", "Runs by outcome", "State"), shares)
    every: dict[str, list[Told]] = {}
    failures: dict[str, list[Told]] = {}
    for told in results:
        every.setdefault(told.test, []).append(told)
        if told.outcome in ("fail", "error"):
            failures.setdefault(normalise(told.reason) or told.test, []).append(told)
    yield "<h2>What failed</h2>\n" if failures else "<h2>Nothing failed</h2>\n"
    for cause in sorted(failures.values(), key=len, reverse=True):
        yield f"<h3>{len(cause)} × {_text(_first_line(cause[0].reason) or cause[0].test)}</h3>\n"
        yield _table((kind, "Node", "Run", "Reason", "Rerun"), [_failure_row(told) for told in cause])
    yield "<p>explain_failure says why a run failed; get_artifact has its pictures and logs, by its run.</p>\n"
    yield f"<h2>Every {kind.lower()}</h2>\n"
    yield _table(
        (kind, "Passed", "Did not", "Mean time"), [_test_row(name, told) for name, told in sorted(every.items())]
    )
    if not_run:
        yield f"<h2>Not run{f': the first {NOT_RUN} tests' if len(not_run) == NOT_RUN else ''}</h2>\n"
        yield _table(("Test", "Runs not made"), [(_text(name), str(count)) for name, count in not_run])
    yield "</body></html>\n"


def _count_runs(campaign: Campaign) -> str:
    if campaign.order.bisected:
        return f"{campaign.counted}; {campaign.tests} revisions"
    of = "" if campaign.order.is_open else f" of {campaign.items}"
    return f"{campaign.counted}{of}; {campaign.tests} tests"


def _write_conclusion(order: CampaignOrder, tallies: Sequence[Tally]) -> Iterator[str]:
    """What a soak or a bisection has come to."""
    yield "<h2>Conclusion</h2>\n"
    if not order.bisected:
        rates = conclude_soak(order, tallies)
        rows = [(_text(rate.test), _text(describe_rate(order, rate)), str(rate.errors)) for rate in rates]
        yield _table(("Test", "Failure rate", "Infrastructure errors"), rows)
        return
    found = conclude_bisection(order, tallies)
    named = {"Test": found.test, "First bad revision": found.first_bad, "Last good revision": found.last_good}
    named |= {f"Candidate {number}": name for number, name in enumerate(found.candidates[:CANDIDATES], 1)}
    told = [(name, _text(value)) for name, value in named.items() if value]
    yield _table(("", ""), [("Conclusion", _text(describe_bisection(found))), *told])


def _node_row(share: NodeShare) -> tuple[str, ...]:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in share.outcomes.items())
    why = f": {share.node.why}" if share.node.state == "dropped" else ""
    return _text(share.node.node), counts or "none", _text(f"{share.node.state}{why}")


def _failure_row(told: Told) -> tuple[str, ...]:
    rerun = RERUN_WORDS.get(told.rerun, "")
    marked = f'<span class="{rerun}">{rerun}</span> <code>{_text(told.rerun_id)}</code>' if rerun else ""
    kind = f'<span class="{told.outcome}">{told.outcome}</span> '
    run = f"<code>{_text(told.run_id)}</code>"
    return _text(told.test), _text(told.node), run, kind + _text(told.reason), marked


def _test_row(name: str, results: Sequence[Told]) -> tuple[str, ...]:
    passed = sum(told.outcome == "pass" for told in results)
    mean = sum(told.duration_s for told in results) / len(results)
    return _text(name), str(passed), str(len(results) - passed), f"{mean:.1f} s"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{name}</th>" for name in head) if any(head) else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>\n" for row in rows)
    return f"<table>{f'<tr>{top}</tr>' if top else ''}\n{body}</table>\n"


def _text(text: str) -> str:
    """A text in the page, whoever wrote it."""
    return escape(sanitize(text))


def _first_line(reason: str) -> str:
    return sanitize(reason).strip().partition("\n")[0][:200]


def _when(seconds: float | None) -> str:
    return "not yet" if seconds is None else iso(datetime.fromtimestamp(seconds, UTC))
