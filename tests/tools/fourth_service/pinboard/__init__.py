"""Pinboard: results of hand tests, pinned up by people."""
