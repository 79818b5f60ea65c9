"""The simulated KindName."""
