"""A folder of reports as an archive of runs, without a server."""
