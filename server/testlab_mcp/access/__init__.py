"""Who may do what over HTTP: callers and how they prove who they are, their share of the lab, and its bounds.

Over stdio there is one caller, `LOCAL`, with the deployment's policy and the whole lab.
"""
