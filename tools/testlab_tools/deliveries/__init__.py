"""Deliveries: written down before they are sent, and sent until the service has them once.

outbox          what tools use: send, list, release
parcel          what a delivery brings: a run with its files, or a report
rounds          a delivery given again, or corrected and released
answers         what a tool says of a delivery
store           the deliveries, as DBOS keeps them
shelf           the contents of files, beside them
database        where they are kept, and the lock that one process at a time runs them under
runner          the process whose turn it is: sends what waits
courier         one delivery: tries, pauses, and what each failure means
run_carrier     one try with a run and its files
report_carrier  one try with a report
progress        how far one has come
clock           what time it is

Only `store`, `shelf` and `runner` import DBOS and what it brings, at the first delivery.
"""
