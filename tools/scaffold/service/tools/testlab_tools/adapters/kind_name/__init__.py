"""KindName: what it is, in a line."""
