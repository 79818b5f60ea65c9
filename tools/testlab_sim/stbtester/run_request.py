"""`run_tests`: the checks a job request must pass, in the portal's order, and the job it becomes."""

from __future__ import annotations

import re
from typing import Any, cast

from testlab_sim.stbtester.jobs import Job
from testlab_sim.stbtester.nodes import Node
from testlab_sim.stbtester.portal import Portal
from testlab_sim.stbtester.refusal import Refusal
from testlab_sim.stbtester.test_pack import REMOTE_CONTROLS, resolve
from testlab_sim.stbtester.wire import names_field, text_field
from testlab_sim.world import Person

_CATEGORY = re.compile(r"(?![.-])[^/:$\x00-\x1f\x7f-\x9f]+")
_SNAPSHOT_CATEGORY = re.compile(r"refs/snapshots/[\w@.-]+")
"""stbt_rig 33.1.0 sends its snapshot branch as the category, against the rule that there be no slash."""
_TEST_CASE = re.compile(r"[^:\s][^:]*::\w+")
_TAG_NAME = re.compile(r"(?![/\-._])[^:=$<>\x00-\x1f\x7f-\x9f]{1,499}")


def start_job(fields: dict[str, Any], who: Person, portal: Portal) -> Job:
    """Start the job a `run_tests` body asks for, or raise the documented refusal."""
    node_id, revision_name = text_field(fields, "node_id"), text_field(fields, "test_pack_revision")
    test_cases, category, tags = _read_test_cases(fields), _read_category(fields), _read_tags(fields)
    remote_control = _read_remote_control(fields)
    forever = _read_choice(fields, "soak", ("run once", "run forever"), "run once") == "run forever"
    shuffle = bool(_read_choice(fields, "shuffle", (False, True), False))
    node = portal.nodes.get(node_id)
    if node is None:
        raise Refusal(404, f"Unknown node_id {node_id!r}")
    found = resolve(revision_name)
    if found is None:
        raise Refusal(404, f"Commit sha or branch {revision_name!r} not found in test-pack")
    _require_free_node(node, who, portal)
    now = portal.clock.now()
    node.used(who.login, now)
    return portal.start(
        Job(
            uid=portal.next_uid(node),
            node_id=node_id,
            username=who.login,
            revision=found[0],
            branch=found[1],
            test_cases=test_cases,
            start=now,
            pace=portal.clock.real(1.0),
            seed=portal.seed,
            category=category,
            tags=tags,
            remote_control=remote_control,
            forever=forever,
            shuffle=shuffle,
            picture_until=node.picture_until,
        )
    )


def _require_free_node(node: Node, who: Person, portal: Portal) -> None:
    """Whether this user may start a job on this node now."""
    if not node.licensed:
        raise Refusal(403, f"Node {node.node_id} licence expired on {node.licence_expiry}")
    if not node.online:
        raise Refusal(503, f"Node {node.node_id} is offline")
    if held := portal.held_by_other(node.node_id, who.login):
        raise Refusal(409, f"Node {node.node_id} reserved by @{held.username}")
    if job := portal.busy(node.node_id):
        raise Refusal(409, f"Node {node.node_id} is running test job {job.uid} started by @{job.username}")
    if node.updating:
        raise Refusal(409, f"Node {node.node_id} has a pending software update")


def _read_test_cases(fields: dict[str, Any]) -> list[str]:
    names = names_field(fields, "test_cases")
    if wrong := [name for name in names if not _TEST_CASE.fullmatch(name)]:
        raise Refusal(400, f'"test_cases": {wrong[0]!r} is not of the form (filename)::(function_name)')
    return names


def _read_category(fields: dict[str, Any]) -> str:
    value = fields.get("category")
    if value is None:
        return "default"
    if not isinstance(value, str) or not (_CATEGORY.fullmatch(value) or _SNAPSHOT_CATEGORY.fullmatch(value)):
        raise Refusal(400, '"category" must not be empty, begin with . or -, or contain / : $ or control characters')
    return value


def _read_remote_control(fields: dict[str, Any]) -> str:
    value = fields.get("remote_control")
    if value is None:
        return REMOTE_CONTROLS[0]
    if value not in REMOTE_CONTROLS:
        raise Refusal(400, f'"remote_control" must be one of {", ".join(REMOTE_CONTROLS)}')
    return cast("str", value)


def _read_choice(fields: dict[str, Any], name: str, allowed: tuple[object, ...], default: object) -> object:
    value = fields.get(name)
    if value is None:
        return default
    if not any(type(value) is type(choice) and value == choice for choice in allowed):
        raise Refusal(400, f'"{name}" must be one of {", ".join(map(repr, allowed))}')
    return value


def _read_tags(fields: dict[str, Any]) -> dict[str, str]:
    value = fields.get("tags")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refusal(400, '"tags" must be an object of name:value pairs')
    tags = cast("dict[str, object]", value)
    for name, text in tags.items():
        if not _TAG_NAME.fullmatch(name):
            raise Refusal(400, f"Invalid tag name {name!r}")
        if not isinstance(text, str) or len(text) >= 500:
            raise Refusal(400, f"Value of tag {name!r} must be a string shorter than 500 characters")
    return cast("dict[str, str]", tags)
