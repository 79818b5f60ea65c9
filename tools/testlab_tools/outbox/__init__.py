"""Deliveries: runs and reports that are written down before they are sent, and sent until the service has them once.

outbox       what tools use: send, list, release, discard
scoped       what a caller may see and send of it
payload      what a delivery brings, how far it has come, and its next generation
messages     what a tool says of a delivery
delivery     one delivery: tries, pauses, and what each failure means
worker       deliveries as workflows of the engine (`durable/`)
store        deliveries in its database
blob_store   the contents of files, beside them
calls        which delivery a call was for

Only `store`, `blob_store` and `calls` import DBOS or what it brings, at the first delivery.
"""
