"""A simulated test lab: Stb-tester, TofuPilot, StandCloud and a HardPy stand over real HTTP on loopback.

One seeded world stands behind the first three, so a run started in one place is seen in the others.
`testlab-mcp simlab` serves it; `testlab_sim.app.create_app` is the ASGI application for tests.
"""

SERVICES = {"stbtester": "portal", "tofupilot": "factory", "standcloud": "cloud"}
"""The kinds of the demo, and the name of each in its config."""
BESIDES = {"hardpy": "bench"}
"""The kinds that are simulated besides, and not part of the demo."""
