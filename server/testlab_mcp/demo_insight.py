"""The part of the demo that asks all services at once: what fails, why one run did, and whether its unit may ship."""

from __future__ import annotations

from testlab_mcp.demo_tour import Agent, Answer, failures
from testlab_mcp.terminal import paint, table

SPAN = "7d"
LOG_LINES = 4


class InsightTour:
    """Morning triage, as an agent would do it."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def run(self) -> None:
        """Walk through it."""
        answer = await self._agent.ask("What fails this week, and whose fault is it?", "triage", since=SPAN, limit=10)
        print(causes(answer))
        groups = answer["groups"]
        chosen = next((g for g in groups if g["class"] == "product" and g.get("units")), groups[0])
        told = await self._agent.ask(
            "Tell all around one failure of the product", "explain_failure", run_id=chosen["run_id"]
        )
        print(explanation(told))
        if unit := told["run"].get("unit"):
            passport = await self._agent.ask("May that unit ship?", "get_unit", serial_number=unit)
            print(verdict(passport))


def causes(answer: Answer) -> str:
    """The groups of a triage, newest first."""
    rows = [
        (
            g["class"],
            g["failures"],
            f"{g.get('stations', 0)} st.",
            "new" if g.get("new") else "",
            g.get("case") or g["test"].rpartition("::")[2],
            g.get("reason", "")[:70],
        )
        for g in answer["groups"]
    ]
    heads = ("class", "failures", "at", "", "case", "reason")
    totals = answer["totals"]
    summed = f"{totals['failures']} failures of {totals['causes']} causes in {SPAN}, {totals.get('new', 0)} of them new"
    return f"{table(heads, rows, indent=3)}\n\n   {summed}"


def explanation(told: Answer) -> str:
    """A failed run with the end of its log, and what became of its unit and of others."""
    run = told["run"]
    lines = [failures({"runs": [run]}), ""]
    lines += [f"       {paint(line, 'dim')}" for line in run.get("log", "").splitlines()[-LOG_LINES:]]
    if elsewhere := told.get("elsewhere"):
        alike, of, stations = (elsewhere.get(name, 0) for name in ("alike", "failed", "stations"))
        lines += ["", f"     {alike} of {of} other failed runs of the test failed alike, at {stations} stations"]
    if past := run.get("history"):
        after = "passed later" if past.get("passed_later") else "has not passed since"
        lines.append(f"     attempt {past.get('attempt', 1)} of {past.get('attempts', 1)}; the unit {after}")
    return "\n".join(lines)


def verdict(passport: Answer) -> str:
    """Whether a unit may ship, why not, and how it went through the line."""
    ship = passport["ship"]
    rows = [
        (p["service"], p["test"], p.get("unit", ""), p["first"], p["last"], p["attempts"])
        for p in passport["procedures"]
    ]
    heads = ("service", "procedure", "sub-unit", "first", "last", "runs")
    reasons = [f"     {reason}" for reason in passport.get("reasons", [])]
    return "\n".join(
        [table(heads, rows, indent=3), "", f"   {paint(ship, 'pass' if ship == 'ship' else 'fail')}", *reasons]
    )
