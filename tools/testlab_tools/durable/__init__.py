"""The workflow engine: work that is written down before it is begun, and outlives its process.

database        where workflows are stored: a SQLite file, or a PostgreSQL database
leader_lock     lets one process at a time run them
engine          takes the lock when a workflow waits, and launches DBOS
workflows       DBOS: enqueue, list, read events, run
liveness        whether DBOS has lost a workflow
dbos_patches    what DBOS does otherwise than it should here

A kind of work registers a worker under a name, before the engine starts: `engine.register("count", open_worker)`. Then
`engine.workflows().enqueue("count", workflow_id, inputs)` and `engine.wake()` have it run here or by the leader.

Only `workflows` and `dbos_patches` import DBOS and what it brings, when the first workflow is enqueued, listed or run.
"""
