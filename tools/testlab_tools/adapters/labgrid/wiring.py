"""Power and serial console of labgrid's places, by labgrid's own drivers."""

from __future__ import annotations

import asyncio

from testlab_tools.adapters.labgrid.console_reader import LISTENING, NO_CONSOLE, SEVERAL
from testlab_tools.adapters.labgrid.program import Ended, Tail, run, start
from testlab_tools.adapters.labgrid.reservations import Acquisitions
from testlab_tools.capabilities import ConsoleOutput, PowerAction, PowerControl, PowerState, SerialConsole
from testlab_tools.errors import AnswerLost, Conflict, LabError, ServiceDown, Unsupported

POWER_S = 25.0
START_S = 15.0
READER = "testlab_tools.adapters.labgrid.console_reader"
_NO_DRIVER = b"no compatible resource"
"""How labgrid-client says that nothing of a place switches its power."""


class Wiring(Acquisitions, PowerControl, SerialConsole):
    """Switches power and reads consoles of places that are acquired here, or that their holder lets us use."""

    address: str

    def __init__(self, name: str, address: str, holder: str, timeout: float) -> None:
        super().__init__(name, address, holder, timeout)
        self._cycling: set[asyncio.Task[Ended | None]] = set()

    async def switch_power(self, node_id: str, action: PowerAction) -> PowerState:
        await self._require_use(node_id)
        if action != "get":
            self._check_switched(node_id, await self._run_power(node_id, action))
        seen = await self._run_power(node_id, "get")
        if seen is None or seen.code:
            if action == "get":
                raise self._no_power(node_id, seen)
            return "not told"
        last = seen.output.strip().rpartition(b" ")[2]
        return "on" if last == b"on" else "off" if last == b"off" else "not told"

    async def read_console(self, node_id: str, seconds: float, power_cycle: bool) -> ConsoleOutput:
        await self._require_use(node_id)
        output, errors = Tail(), Tail()
        async with start(self.address, self.holder, node_id, module=READER) as process:
            if not await _listens(process):
                raise self._no_console(node_id, process.returncode)
            reading = asyncio.gather(output.take(process.stdout), errors.take(process.stderr))
            try:
                if power_cycle:
                    self._check_switched(node_id, await self._cycle(node_id))
                closed, _ = await asyncio.wait({reading}, timeout=seconds)
            finally:
                reading.cancel()
        return ConsoleOutput(output.data, output.cut, bool(closed))

    async def _cycle(self, place: str) -> Ended | None:
        """Off and on again, to its end: a caller who goes away meanwhile would leave the device off."""
        task = asyncio.create_task(self._run_power(place, "cycle"))
        self._cycling.add(task)
        task.add_done_callback(self._cycling.discard)
        return await asyncio.shield(task)

    async def _run_power(self, place: str, action: PowerAction) -> Ended | None:
        """None where it did not end in time."""
        try:
            return await run(self.address, self.holder, "-p", place, "power", action, seconds=POWER_S)
        except TimeoutError:
            return None

    def _check_switched(self, node_id: str, ended: Ended | None) -> None:
        """Raise what it means that labgrid-client failed at switching."""
        if ended is None or ended.code:
            error = self._no_power(node_id, ended)
            if isinstance(error, ServiceDown):
                what = f"The device of {self.handle(node_id)!r} may or may not have been switched"
                look = 'set_power(action="get") shows its state.'
                raise AnswerLost(self.name, what, error.what, look).saying(error.service_says)
            raise error

    def _no_power(self, node_id: str, ended: Ended | None) -> LabError:
        if ended is None:
            return ServiceDown(self.name, f"labgrid-client did not end within {POWER_S:g} s", "", _LATER)
        if _NO_DRIVER in ended.errors + ended.output:
            what = f"Nothing that is wired to {self.handle(node_id)!r} switches its power"
            return Unsupported(what, "", "list_nodes(detail=true) shows its resources.")
        said = ended.errors.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return ServiceDown(self.name, f"labgrid-client ended with exit code {ended.code}", "", _LATER).saying(said)

    def _no_console(self, node_id: str, code: int | None) -> LabError:
        if code == NO_CONSOLE:
            what = f"Node {self.handle(node_id)!r} has no serial console"
            return Unsupported(what, "", "list_nodes(detail=true) shows its resources.")
        if code == SEVERAL:
            what = f"Node {self.handle(node_id)!r} has several serial consoles"
            return Unsupported(what, "Which of them is the device's is not known", "labgrid-client shows each by name.")
        why = "Somebody else may listen to it, or its exporter cannot be reached"
        return Conflict(f"The console of {self.handle(node_id)!r} could not be opened", why, _LATER)

    async def _require_use(self, node_id: str) -> None:
        """labgrid's own client asks for the same: the place is ours, or its holder allows us."""
        place = await self.read_place(node_id)
        if self.holder not in (place.acquired, *place.allowed):
            await self.refuse_taken([node_id])
            raise Conflict(f"Node {self.handle(node_id)!r} is not reserved", "", "reserve_nodes takes it first.")


async def _listens(process: asyncio.subprocess.Process) -> bool:
    """Whether it says so, whatever else it says before; otherwise it has ended."""
    assert process.stderr is not None, "it is a pipe"
    try:
        async with asyncio.timeout(START_S):
            while line := await process.stderr.readline():
                if line == LISTENING:
                    return True
            await process.wait()
    except TimeoutError:
        pass
    return False


_LATER = "Call again later."
