"""labgrid's own client as a program: its drivers for power and consoles block, and go through its proxies."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NamedTuple

MAX_BYTES = 256 * 2**10
_STEP = 2**14
_OTHERS = ("LG_ENV", "LG_STATE", "LG_INITIAL_STATE", "STATE")
"""Settings of labgrid-client by which it would do more, or refuse to."""


class Ended(NamedTuple):
    """How a program ended; `output` and `errors` are the last of what it wrote, `cut` bytes of output before it."""

    code: int
    output: bytes
    errors: bytes
    cut: int = 0


class Tail:
    """The last bytes of a stream."""

    def __init__(self) -> None:
        self.data = b""
        self.cut = 0

    async def take(self, stream: asyncio.StreamReader | None) -> None:
        """Read to the end of the stream."""
        assert stream is not None, "it is a pipe"
        while chunk := await stream.read(_STEP):
            self.data += chunk
            self.cut += max(0, len(self.data) - MAX_BYTES)
            self.data = self.data[-MAX_BYTES:]


@asynccontextmanager
async def start(
    address: str, holder: str, *arguments: str, module: str = "labgrid.remote.client"
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A module that runs for `holder` on the coordinator at `address`; it is killed when the context ends."""
    host, _, user = holder.partition("/")
    settings = {"LG_COORDINATOR": address, "LG_HOSTNAME": host, "LG_USERNAME": user}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *arguments),  # -P: nothing is imported from where the server was started
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name not in _OTHERS} | settings,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.shield(process.wait())


async def run(address: str, holder: str, *arguments: str, seconds: float) -> Ended:
    """Run labgrid-client to its end. Raises TimeoutError."""
    output, errors = Tail(), Tail()
    async with start(address, holder, *arguments) as process, asyncio.timeout(seconds):
        await asyncio.gather(output.take(process.stdout), errors.take(process.stderr))
        return Ended(await process.wait(), output.data, errors.data, output.cut)
