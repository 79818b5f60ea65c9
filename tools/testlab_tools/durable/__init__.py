"""The workflow engine: work that is written down before it is begun, and outlives its process.

database    where workflows are stored, in SQLite or PostgreSQL; and the lock of the process that runs them
engine      takes the lock when a workflow waits, launches DBOS, and notices when DBOS has lost a workflow
workflows   DBOS: enqueue, list, read events, run
sessions    sessions with PostgreSQL that notice when the server has gone
threads     asking a database from calls, without keeping the process from ending
calls       what earlier calls began, so that a call repeated after a lost answer begins nothing twice

A kind of work registers a worker under a name, before the engine starts: `engine.register("count", open_worker)`. Then
`engine.workflows().enqueue("count", workflow_id, inputs)` and `engine.wake()` have it run here or by the leader.

Only `workflows` imports DBOS and what it brings, when the first workflow is enqueued, listed or run.
"""
