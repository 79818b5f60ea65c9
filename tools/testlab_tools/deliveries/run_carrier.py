"""Brings a run to its service, then the files to keep with it."""

from __future__ import annotations

from testlab_tools.capabilities import AttachmentSink, RunSink, Service
from testlab_tools.deliveries.parcel import RunParcel, runs
from testlab_tools.deliveries.progress import PASSING_OR_OPERATOR, UNSURE, Contents, Progress, Tell
from testlab_tools.errors import LabError, Unsupported
from testlab_tools.handles import Handle
from testlab_tools.models import CreatedRun


async def carry_run(service: Service, parcel: RunParcel, contents: Contents, now: Progress, tell: Tell) -> None:
    """One try, from where the last got to, noting in `now` how far it came; nothing is left to do when it returns.

    Raises:
        LabError: the run, or the first of its files, did not get there; those files after it were tried all the same
            when the service refused it for good.
    """
    if not isinstance(service, RunSink):
        raise Unsupported(f"Service {service.name} takes no runs", "", "")
    if now.created is None:
        now.created = await _recorded(service, parcel, now, tell)
    else:
        now.attempts += 1
    if len(now.sent) < len(parcel.files):
        await _attach(service, parcel, contents, now, tell)


async def _recorded(sink: RunSink, parcel: RunParcel, now: Progress, tell: Tell) -> CreatedRun:
    """The run as it is there: recorded now, or in an earlier try."""
    run = runs().validate_python(parcel.run)
    if now.unsure and (found := await sink.find_created(run)) is not None:
        if parcel.earlier is None:
            return found
        now.sent = list(parcel.sent)
        return parcel.earlier
    now.attempts += 1
    await tell(now.model_copy(update={"state": "sending", "next_try_at": None}))
    try:
        return await sink.create_run(run)
    except UNSURE:
        now.unsure = True
        raise


async def _attach(sink: RunSink, parcel: RunParcel, contents: Contents, now: Progress, tell: Tell) -> None:
    """Send what it has not got yet. A file that was under way at a crash is sent again: the run then has it twice."""
    assert now.created is not None
    if not isinstance(sink, AttachmentSink):
        raise Unsupported(f"Service {sink.name} keeps no files with runs", "", "")
    run_id = Handle.parse(now.created.run_id, [sink.name]).native
    refused: LabError | None = None
    for number, file in enumerate(parcel.files):
        if number in now.sent:
            continue
        await tell(now.model_copy(update={"state": "sending", "next_try_at": None}))
        try:
            await sink.attach(run_id, file.name, await contents(number))
        except PASSING_OR_OPERATOR:
            raise
        except LabError as error:
            refused = refused or error
        else:
            now.sent.append(number)
    if refused is not None:
        raise refused
