"""A line for nodes, for services that have one of their own and for those that have none.

tickets     what is asked for, and how far it has come
granting    who gets which nodes now: a pure function
outlook     how long a ticket will wait, from how long nodes were held before: a pure function
fitness     which nodes are passed over, and why
store       the tickets, in tables beside the workflows
granter     one loop per service: lists nodes, grants, gives back
queue       what others use: submit, read, follow, cancel, list
"""
