"""What a prompt's arguments may be. They become part of its text, so each is one line of visible characters, quoted."""

from __future__ import annotations

import json
from collections.abc import Mapping

from mcp_types import PromptArgument

from testlab_tools.capabilities import JobRunner, RunArchive
from testlab_tools.errors import BadInput
from testlab_tools.lab import Lab
from testlab_tools.times import parse_time
from testlab_tools.untrusted import plain

MOST_CHARS = 200


def checked(prompt: str, takes: tuple[PromptArgument, ...], given: Mapping[str, str]) -> dict[str, str]:
    """The arguments a prompt takes, "" for those left out.

    Raises:
        BadInput: one is missing, not known, or not one line of visible text; never repeats it.
    """
    names = [argument.name for argument in takes]
    if any(name not in names for name in given):
        raise BadInput(f"{prompt} has no argument of that name", "", f"It takes: {', '.join(names)}.")
    values = {argument.name: given.get(argument.name, "").strip() for argument in takes}
    for argument in takes:
        value = values[argument.name]
        if argument.required and not value:
            raise BadInput(f"{prompt}: {argument.name} is missing", "", f"It is: {argument.description}.")
        if len(value) > MOST_CHARS or not value.isprintable() or plain(value) != value:
            raise BadInput(
                f"{prompt}: {argument.name} must be one line of visible text",
                "",
                f"Give at most {MOST_CHARS} characters, without line breaks or control characters.",
            )
    return values


def time(value: str, argument: str) -> str:
    """A time or a span back from now, quoted. Raises BadInput when it is none."""
    parse_time(value, argument)
    return quoted(value)


def run_that_can_be_repeated(value: str, lab: Lab) -> str:
    """A run's handle, quoted; nobody is asked whether there is such a run.

    Raises:
        BadInput: it has the shape of no configured service's run ids.
        Unsupported: its service cannot run tests.
    """
    archive, native = lab.owner(value, RunArchive, lambda archive, run: archive.owns_run(run))
    if not archive.owns_run(native):
        raise BadInput("run_id has not the shape of that service's run ids", "", "list_runs shows the runs there are.")
    lab.offering(JobRunner, archive.name)
    return quoted(value)


def quoted(value: str) -> str:
    """As in JSON, so that a value ends where its quotes do."""
    return json.dumps(value, ensure_ascii=False)
