"""History of runs, kept beside the services, so that a question over many runs does not ask them for each.

schema          the three tables: runs, failures, measurements
store           what a store of history does, whatever keeps it
parquet         histories as Parquet files that DuckDB reads; the manifest (`manifest`) names what belongs to one
parquet_writer  writes them, file by file of each commit (`parquet_files`)
engine          DuckDB in this process
postgres        histories in PostgreSQL (`postgres_tables`)

Only functions that store or compute import DuckDB and numpy.
"""
