"""StandCloud: test runs of HardPy stands, for reading."""
