"""What a person should see: one row a condition, raised, repeated, cleared.

Any room raises an alert in its own transaction; raising again what is already
raised counts instead of adding. May touch the store and nothing else.
Promises: an alert is there if and only if what raised it committed; of one
kind and subject at most one is open.
"""

from millpond.alerts.model import Alert, AlertNotFoundError, Severity
from millpond.alerts.service import Alerts, plain

__all__ = ["Alert", "AlertNotFoundError", "Alerts", "Severity", "plain"]
