"""Running Millpond: configuration, logs, metrics, health, and the process tree.

The only room that reads the machine's clock, random numbers and environment.
It puts the other rooms together and hands each what it needs; no other room
imports it, save the command line.
"""
