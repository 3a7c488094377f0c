"""Pools and addresses to test with."""

from __future__ import annotations

from typing import Any

from millpond.staking.pools import PoolKind, StakingPool, Token

CHAIN = 31337

TOKEN = Token("BTCD", "BTCD", 18, CHAIN, "0x1111111111111111111111111111111111111111")
SHARE = Token("vBTCD", "vBTCD", 24, CHAIN, "0x2222222222222222222222222222222222222222")
CONTRACT = "0x3333333333333333333333333333333333333333"
REWARDS = "0x4444444444444444444444444444444444444444"


def direct_pool(**terms: Any) -> StakingPool:
    """A direct pool on a development chain."""
    values: dict[str, Any] = {
        "pool_id": "btcd-main-pool",
        "kind": PoolKind.DIRECT,
        "chain_id": CHAIN,
        "token": TOKEN,
        "contract": CONTRACT,
        "rewards_contract": REWARDS,
        "confirmations": 3,
        "reward_per_minute": 10**18,
    }
    return StakingPool(**values | terms)


def vault_pool(**terms: Any) -> StakingPool:
    """A vault on a development chain."""
    values: dict[str, Any] = {
        "pool_id": "btcd-vault",
        "kind": PoolKind.VAULT,
        "share": SHARE,
        "contract": SHARE.address,
        "rewards_contract": "0x5555555555555555555555555555555555555555",
    }
    return direct_pool(**values | terms)
