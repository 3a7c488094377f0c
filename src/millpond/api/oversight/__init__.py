"""What the operator oversees: risk, alerts, the trail, tasks and prices.

Every act is one transaction with its entry on the trail.
"""
