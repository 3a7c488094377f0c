"""Staking pools for ERC-20 tokens: positions, rewards, withdrawals.

What the confirmed chain says is indexed into positions and booked in the
ledger; rewards are computed exactly, epoch by epoch; exits are paid once. May
touch the store, money, intents, risk, oracle, alerts, trail and EVM chains.
Promises: what is distributed was funded, a position is what the confirmed
chain says, and anybody can recompute an epoch from the chain's events.
"""
