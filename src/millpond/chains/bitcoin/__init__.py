"""Daemons of the Bitcoin family: questions, templates, blocks, wallets, addresses.

May touch sockets, and the coin table and amounts; nothing of pools. Promises:
every answer is typed and every amount exact to the unit; a lost answer is
*unknown*, never a guess; what a daemon signs is read before it is believed;
an address of another network never passes. See docs/chains.md.
"""
