"""Putting a pool's contracts on a chain, step by step, resumable and checked.

A plan says which contracts a kind of pool needs and with which arguments; each
step is an operation under a key of the deployment, so that a deployment that
was interrupted goes on where it stood. What is on the chain is held against
what was compiled. May touch the store, operations and nodes. Promises: no
contract is made twice, and what is reported as checked was read from the chain.
"""

from millpond.staking.deploy.model import Deployed, Deployment, Roles, Spec, Step
from millpond.staking.deploy.plan import plan
from millpond.staking.deploy.service import Deployer

__all__ = ["Deployed", "Deployer", "Deployment", "Roles", "Spec", "Step", "plan"]
