"""Periodic tasks as rows: who runs when, exactly one runner among many processes.

May touch the store and nothing else. Promises: a task runs in one process at
a time, a process that dies lets go of it, and its last run, next run, lag and
error can be read. See docs/tasks.md.
"""

from millpond.tasks.lease import Lease, TaskLeaseLostError, current_lease, still_ours
from millpond.tasks.model import Task, TaskNotFoundError, TaskStatus
from millpond.tasks.rows import get_task, list_tasks, run_now
from millpond.tasks.scheduler import Ran, Scheduler

__all__ = [
    "Lease",
    "Ran",
    "Scheduler",
    "Task",
    "TaskLeaseLostError",
    "TaskNotFoundError",
    "TaskStatus",
    "current_lease",
    "get_task",
    "list_tasks",
    "run_now",
    "still_ours",
]
