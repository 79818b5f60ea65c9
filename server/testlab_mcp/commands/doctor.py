"""`testlab-mcp doctor`: checks the config, and of every service whether it answers, its token and its clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from testlab_mcp.access.policy import exposed_tools
from testlab_mcp.commands.console import paint, table
from testlab_mcp.commands.serve import policy_of
from testlab_mcp.config.loading import find_config, load_config
from testlab_mcp.logs import set_up_logging
from testlab_tools.capabilities import Health, NodeInventory, Service
from testlab_tools.durable.engine import Engine
from testlab_tools.durable.standstill import find_standstill
from testlab_tools.errors import AuthError, ConfigError, LabError, ServiceDown
from testlab_tools.fanout import ask_all
from testlab_tools.models.nodes import Reservation
from testlab_tools.tools import all_tools
from testlab_tools.untrusted import shorten

SKEW_SECONDS = 60
"""A clock further off than this puts runs into the wrong window of a question about time."""


class Finding(NamedTuple):
    """What was found for one service, as the table shows it."""

    service: str
    kind: str
    reached: str
    auth: str
    clock: str
    account: str
    remedy: str = ""
    held: Sequence[Reservation] = ()
    notes: Sequence[str] = ()


def doctor(config_file: str, as_json: bool = False) -> int:
    """Print a table and the remedies, or both as JSON. Returns 0 when all is well, else 1. Raises ConfigError."""
    set_up_logging()
    path = find_config(config_file)
    config = load_config(path)
    lab = config.lab()
    services = list(lab.services.values())
    tools = exposed_tools(all_tools(), services, policy_of(config))
    turned_on = f"{len(services)} services, access {config.server.access}, {len(tools)} tools"
    if not as_json:
        print(f"{paint('config', 'bold')}  {path}: {turned_on}")
    findings = asyncio.run(examine([service for service in services if service.name not in config.callers_own]))
    for name in config.callers_own:
        findings.append(Finding(name, lab.services[name].kind, "not asked", "each caller's own", "-", "-"))
    held = asyncio.run(lab.archive.summarize()) if lab.archive is not None else ""
    wrong = [problem for receiver in config.receivers().values() if (problem := receiver.find_problem())]
    standstill, stands_still = examine_work(lab.work.engine) if lab.work is not None else ("", False)
    if as_json:
        facts: dict[str, Any] = {
            "config": str(path),
            "access": config.server.access,
            "tools": [tool.name for tool in tools],
        }
        facts |= {"archive": held} if held else {}
        facts |= {"notify": wrong} if wrong else {}
        facts |= {"durable": standstill} if standstill else {}
        facts |= {"services": [to_json(finding) for finding in findings]}
        print(json.dumps(facts, ensure_ascii=False, indent=2))
        return 0 if services and not (wrong or stands_still or any(finding.remedy for finding in findings)) else 1
    well = show_findings(findings)
    if held:
        print(f"\n{paint('archive', 'bold')}  {held}")
    for problem in wrong:
        print(f"\n{paint('notify', 'bold')}  {problem}")
    if standstill:
        print(f"\n{paint('durable', 'bold')}  {standstill}")
    if not services:
        print("\nNo [services.…] table: nothing is configured. config.example.toml shows them all.")
    return 0 if well and services and not wrong and not stands_still else 1


def examine_work(engine: Engine) -> tuple[str, bool]:
    """Why stored work may not be run, and whether that is a fault: not where none waits. A server that may run it gives
    the lock back when it has none."""
    standstill = find_standstill(engine)
    if standstill and engine.has_waiting() is False:
        return f"{standstill} Nothing stored waits, so this is no fault.", False
    return standstill, bool(standstill)


def to_json(finding: Finding) -> dict[str, Any]:
    """A finding with its reservations as handles; what is not known is left out."""
    held = [held.model_dump(mode="json", exclude_defaults=True) for held in finding.held]
    known = {name: value for name, value in finding._asdict().items() if value not in ("", "-", ()) and name != "held"}
    return known | ({"held": held} if held else {})


def show_findings(findings: Sequence[Finding]) -> bool:
    """Print a table, and the remedies below it. Returns whether there are none."""
    head = ("service", "kind", "reached", "token", "clock", "account")
    print(table(head, [finding[:6] for finding in findings]))
    for finding in findings:
        for number, note in enumerate(finding.notes):
            print(f"{'' if number else chr(10)}{paint(finding.service, 'bold')}: {note}")
    for held in (reservation for finding in findings for reservation in finding.held):
        what = f"{held.node_id} {held.until} (reservation {held.reservation_id})"
        print(f"\n{paint('you hold', 'bold')} {what}: {held.message}")
    unwell = [finding for finding in findings if finding.remedy]
    for finding in unwell:
        print(f"\n{paint(finding.service, 'bold')}: {finding.remedy}")
    return not unwell


async def examine(services: Sequence[Service]) -> list[Finding]:
    """Ask every service at once, each once."""
    try:
        answers = await ask_all(services, _probe)
        return [_finding(service, answers.of(service.name)) for service in services]
    finally:
        for service in services:
            await service.aclose()


async def _probe(service: Service) -> tuple[Health, Sequence[Reservation]]:
    health = await service.probe()
    return health, await _held(service) if isinstance(service, NodeInventory) else ()


def _finding(service: Service, answer: tuple[Health, Sequence[Reservation]] | LabError) -> Finding:
    match answer:
        case ConfigError():
            return Finding(service.name, service.kind, "not asked", "missing", "-", "", str(answer))
        case AuthError():
            return Finding(service.name, service.kind, "yes", "refused", "-", "", str(answer))
        case ServiceDown():
            return Finding(service.name, service.kind, "no", "-", "-", "", str(answer))
        case LabError():
            return Finding(service.name, service.kind, "yes", "?", "-", "", str(answer))
        case (health, held):
            pass
    skew = health.clock_skew_s
    clock = "not said" if skew is None else "ok" if abs(skew) <= SKEW_SECONDS else f"{skew:+.0f} s"
    remedy = "" if clock in ("ok", "not said") else "Its clock and this machine's differ: check time synchronisation."
    account = shorten(health.account, 80) or "not said"
    return Finding(service.name, service.kind, "yes", "ok", clock, account, remedy, held, health.notes)


async def _held(inventory: NodeInventory) -> Sequence[Reservation]:
    """The reservations of the token's user, whoever made them: a forgotten one blocks a colleague."""
    try:
        nodes = await inventory.list_nodes()
    except LabError:
        return ()
    return [node.reservation for node in nodes if node.reservation and node.reservation.yours]
