"""The simulated lab's front page."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_SERVICES = (
    ("Stb-tester portal", "Nodes, jobs, results, reservations and screenshots of a device lab.", "stbtester"),
    ("TofuPilot", "Production runs, units, parts and procedures.", "tofupilot"),
    ("StandCloud", "Test runs of HardPy stands.", "standcloud"),
)


async def index(request: Request) -> Response:
    """One card per service, linking to its operations."""
    cards = "".join(
        f'<section><h2>{name}</h2><p>{text}</p><p><code>/{prefix}</code></p><p><a href="/{prefix}/docs">Operations</a>'
        f' <a href="/{prefix}/openapi.json">OpenAPI</a></p></section>'
        for name, text, prefix in _SERVICES
    )
    return HTMLResponse(_PAGE.replace("CARDS", cards))


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Simulated test lab</title>
<meta name="viewport" content="width=device-width">
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:4rem auto;padding:0 1.5rem;
color:#1b2733;background:#f6f8fa}
h1{font-size:1.9rem;margin:0}h2{font-size:1.15rem;margin:0 0 .3rem}p{margin:.4rem 0}
main{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));margin-top:2rem}
section{background:#fff;border:1px solid #dde3ea;border-radius:8px;padding:1.2rem 1.4rem}
a{color:#0a63c9;margin-right:1rem}code{background:#eef2f6;padding:.1rem .35rem;border-radius:3px}
</style>
<h1>Simulated test lab</h1>
<p>Three services over one seeded world. Nothing here is real, and nothing leaves this machine.</p>
<main>CARDS</main></html>"""
