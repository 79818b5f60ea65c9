"""A simulated test lab: Stb-tester, TofuPilot and StandCloud over real HTTP on loopback.

One seeded world stands behind the three services, so a run started in one place is seen in the others.
`testlab-mcp simlab` serves it; `testlab_sim.app.create_app` is the ASGI application for tests.
"""

SERVICES = {"stbtester": "portal", "tofupilot": "factory", "standcloud": "cloud"}
"""The kinds that are simulated, and the name of each in the config of the demo."""
