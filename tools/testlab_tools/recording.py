"""The one way a finished run goes to a service, whichever tool was given it."""

from __future__ import annotations

from testlab_tools.capabilities import RunSink
from testlab_tools.http.trace import sent_ref
from testlab_tools.models import CreatedRun
from testlab_tools.questions import NewRun
from testlab_tools.registry import Call


async def record(call: Call, sink: RunSink, run: NewRun) -> CreatedRun:
    """Have the service take the run: written down first, unless the config has switched deliveries off."""
    sent_ref(run.ref)
    outbox = call.lab.outbox
    return await (sink.create_run(run) if outbox is None else outbox.send(sink, run))
