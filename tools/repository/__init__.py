"""The repository's own commands. Not part of the wheel."""
