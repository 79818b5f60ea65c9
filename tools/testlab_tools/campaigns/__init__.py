"""Campaigns: many tests on several nodes, for hours, whoever goes away meanwhile.

campaigns   what tools use: start, read, list, cancel
orders      a campaign as it was ordered, and what an order may not be
worker      campaigns as workflows of the engine
runner      one campaign from its beginning to its end
requests    the nodes it asks the queue for           holding     the nodes it has: extended, dropped, given back
sharing     which tests a free node runs next         batch_run   one batch: written down, started, followed
batch_job   its job at the service                    collecting  which run of the job is which item
counting    what a run means for its item             stop_rule   the hook for soaks
store       campaigns in the database, as `tables` and `records` have them; `reading` is for tools and reports
"""
