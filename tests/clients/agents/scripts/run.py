"""What a client's model gets to see of our server: `run.py MODULE ASKED ANSWER [RECIPE]`.

ASKED is JSON: `targets`, the server's command for stdio and its URL for HTTP; `calls`, tool and arguments by a name of
ours. MODULE connects with `connected(target, on_progress)`, which gives the tools' names and a function that calls one
and returns `text` and whether the model gets an `image`. It may have an `extra(stdio, http)` of its own. RECIPE is a
program of the documentation, run in the same process, which has imported the client already.
"""

from __future__ import annotations

import asyncio
import io
import json
import runpy
import sys
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any


async def look(client: Any, target: Any, calls: dict[str, Any]) -> dict[str, Any]:
    progress: list[str] = []
    async with client.connected(target, progress.append) as (tools, call):
        answers = {name: await call(tool, arguments) for name, (tool, arguments) in calls.items()}
    return {"tools": sorted(tools), "progress": progress, **answers}


async def look_everywhere(client: Any, asked: dict[str, Any]) -> dict[str, Any]:
    seen = {name: await look(client, target, asked["calls"]) for name, target in asked["targets"].items()}
    for name, target in asked["besides"].items():  # another command, for the picture alone
        seen[name] = await look(client, target, {"picture": asked["calls"]["picture"]})
    if hasattr(client, "extra"):
        seen["extra"] = await client.extra(**asked["targets"])
    return seen


def run(module: str, asked: str, answer: str, recipe: str = "") -> None:
    seen = asyncio.run(look_everywhere(import_module(module), json.loads(asked)))
    if recipe:
        with redirect_stdout(io.StringIO()) as printed:
            runpy.run_path(recipe, run_name="__main__")
        seen["recipe"] = printed.getvalue()
    Path(answer).write_text(json.dumps(seen), encoding="utf-8")


run(*sys.argv[1:])
