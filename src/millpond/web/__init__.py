"""The pages: server-rendered, live, and without a request to anybody else.

May use the API's core (its poller, read models and limits) and nothing below
it directly. Promises: every page reads well without scripts, no script or
style is inline, nothing is fetched from another site, and the first page, live,
costs the database nothing.
"""
