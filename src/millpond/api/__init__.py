"""The HTTP API and WebSocket: what the pools know, as JSON.

May read every room below it; writes only payout requests, payout settings,
sessions and idempotency records. Promises: every error is problem+json with a
stable code and no trace, every list has a cursor and a bound, every client has
a bounded queue and a rate, and one poller reads the database for all watchers.
"""
