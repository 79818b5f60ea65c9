"""The production line behind TofuPilot and StandCloud: about four months of one seeded history.

`history.History.seeded(seed, now)` builds it; `effects` documents what is planted in it, with its true parameters.
"""
