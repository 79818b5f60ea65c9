"""History of runs, kept beside the services, so that a question over many runs does not ask them for each.

schema      the three tables: runs, failures, measurements
store       what a store of history does, whatever keeps it
"""
