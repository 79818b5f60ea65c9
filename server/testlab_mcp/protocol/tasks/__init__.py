"""Tasks: a long call is answered at once with an id, and its result is asked for later, of any replica.

Source: the extension io.modelcontextprotocol/tasks (SEP-2663), protocol 2026-07-28. A client that does not declare it,
and every client of an older protocol, gets the bounded call.

extension   the three methods, and which calls become tasks; all that a server without tasks imports
long_calls  the tools whose calls can become tasks, and how each goes on
execution   starts, follows, runs again, asks, cancels
wire        a task as the protocol has it
record      a task as it is stored
store       the table of tasks, beside the workflows
"""
