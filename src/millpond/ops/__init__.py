"""Running Millpond: configuration, logs, metrics, health, and the process tree.

The only room that reads the machine's clock, random numbers and environment.
It puts the other rooms together and hands each what it needs; no other room
imports it, save the command line and the embedded chain's own entry point.
Promises: all faults of a configuration are named at once, no secret is shown,
and ending the supervisor in any way ends every part. See docs/operating.md.
"""
