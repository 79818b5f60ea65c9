"""No server: the HTTP library alone, as the base of every figure.

`python raw_get.py URL` reads an order a line, `{"paths": […], "calls": 200, "at_once": 1}`, and answers with a line:
`times` of all calls and `seconds` of the whole, both in seconds, and `cpu_seconds`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from typing import Any

import httpx2


async def fetch(client: httpx2.AsyncClient, order: dict[str, Any]) -> dict[str, Any]:
    paths, left, times = itertools.cycle(order["paths"]), iter(range(order["calls"])), list[float]()

    async def work() -> None:
        for _ in left:
            begun = time.perf_counter()
            (await client.get(next(paths))).raise_for_status()
            times.append(time.perf_counter() - begun)

    begun, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(order["at_once"])))
    return {"times": times, "seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - cpu}


async def main() -> None:
    loop = asyncio.get_running_loop()
    async with httpx2.AsyncClient(base_url=sys.argv[1]) as client:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(await fetch(client, json.loads(line))), flush=True)


asyncio.run(main())
