"""How far the evidence of a failed run goes: what the reader must know of it."""

from __future__ import annotations

from testlab_tools.explain.collect import Evidence


def conclude(evidence: Evidence) -> list[str]:
    """Sentences about what contradicts itself, was not read whole, or is not what it seems."""
    notes: list[str] = []
    if evidence.contradicts:
        notes.append("The run is said not to have passed, though none of its cases failed.")
    if (log := evidence.log) is not None:
        if not log.whole:
            notes.append(f"The log was read for {log.seconds:.0f} s, up to line {log.lines}.")
        if log.lines and not log.excerpt.found:
            notes.append("The log does not repeat the reason: these are its last lines.")
    if evidence.screen:
        notes.append(evidence.screen.facts)
    return notes
