"""Who may do what over HTTP: callers, how they authenticate, and the part of the lab that each may use.

Over stdio there is one caller, `LOCAL`, with the deployment's policy and the whole lab.
"""
