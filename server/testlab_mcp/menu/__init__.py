"""What people pick from their client's menu: resources to attach, prompts to start from, completion of both.

offer         the tools that stand behind the menu, and whether they are exposed
resources     which resources there are, and reading them
contents      what is behind each kind of resource
files         a run's log and artifacts as contents
prompts       the prompts, and what they say
arguments     what a prompt's arguments may be
completion    values for what a template or a prompt leaves open
server        the SDK's server with all of it
"""
