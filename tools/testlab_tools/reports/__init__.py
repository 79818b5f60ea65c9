"""Reports that test frameworks write to disk, read as runs to record."""
