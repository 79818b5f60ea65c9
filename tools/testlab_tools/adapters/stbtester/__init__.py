"""Stb-tester: drives set-top boxes and TVs, and keeps what its test runs found."""
