"""The unit passport: the runs of a unit over all services, what it lacks beside its peers, and whether to ship it."""
