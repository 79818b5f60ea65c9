"""Deliveries: a run is written down before it is sent, and goes on being sent until the service has it once.

outbox     what tools use: send, list, release
store      the deliveries, as DBOS keeps them
database   where they are kept, and the lock that one process at a time runs them under
runner     the process whose turn it is: sends what waits
courier    one delivery: tries, pauses, and what each failure means
progress   how far one has come

Only `store` and `runner` import DBOS, at the first run that is sent.
"""
