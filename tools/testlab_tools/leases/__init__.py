"""Reservations that this server has made: who made each, in which process, and when it is given back.

store       where they are written down: a folder of files, shared by the processes of this machine
postgres    the same in PostgreSQL, shared by the replicas of several machines
tracker     those of one caller's scope, ended when the server stops
keeper      one loop per process: gives back what dead processes and silent callers held, extends where a job runs
"""
