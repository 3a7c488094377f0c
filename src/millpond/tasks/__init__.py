"""Periodic tasks as rows: who runs when, exactly one runner among many processes.

May touch the store and nothing else. Promises: a task runs in one process at
a time, a process that dies lets go of it, and its last run, next run, lag and
error can be read.
"""
