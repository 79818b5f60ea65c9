"""Watches: something is looked at until it has happened, or its time is over, whoever goes away meanwhile.

subjects    what is watched, and the watch of it
judging     whether it has happened, from what was read: pure functions
condition   the yield of the last units, from the archive
store       the watches, in a table beside the workflows
worker      one poll of each thing, however many watch it
watches     what tools use: begin, read, follow
answer      what is told of a watch
announcing  what receivers are told of its end
"""
