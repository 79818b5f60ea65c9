"""Figures over many runs, computed from the archive of history: each with how many runs it rests on and an interval."""
