"""Deliveries: runs and reports that are written down before they are sent, and sent until the service has them once.

outbox      what tools use: send, list, release, discard, as far as a caller may
payload     what a delivery brings, how far it has come, and its next generation
messages    what a tool says of a delivery
delivery    one delivery: tries, pauses, and what each failure means; as a workflow of the engine (`durable/`)
store       deliveries in its database, the contents of their files, and which delivery a call was for

Only `store` imports DBOS and what it brings, at the first delivery.
"""
