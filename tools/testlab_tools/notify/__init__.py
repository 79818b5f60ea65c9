"""Messages to receivers outside: each ended watch and campaign, as a signed webhook or in Slack's or Teams' shape.

event       what has happened, as receivers get it
receivers   a receiver of the config, its secrets, and what is wrong with them
bodies      the message in each receiver's shape: pure functions
sending     one request: signed, to an address that was judged
store       the messages, in a table beside the workflows
worker      tries until a message has arrived, or is parked
notifier    what others use: notify, list
"""
