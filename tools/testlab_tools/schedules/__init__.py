"""Campaigns that are started again and again, at a time of day.

timetable   when: pure
store       the schedules, in a table beside the workflows
worker      starts what is due
answer      what is told of schedules
schedules   what tools use: begin, list, end
"""
