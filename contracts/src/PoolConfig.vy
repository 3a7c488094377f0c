# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: Apache-2.0
"""
@title PoolConfig
@notice The register of pools: which contracts belong to a pool id and what its settings are,
        so that anybody can find and check them on chain.
"""

from modules import roles

initializes: roles
exports: (
    roles.owner,
    roles.pending_owner,
    roles.operator,
    roles.guardian,
    roles.transfer_ownership,
    roles.accept_ownership,
    roles.set_operator,
    roles.set_guardian,
)

struct Pool:
    kind: uint256  # 1 direct, 2 vault
    asset: address
    pool: address  # StakingPool or Vault
    distributor: address
    payout: address
    oracle: address
    risk: address
    active: bool

event PoolSet:
    key: indexed(bytes32)
    pool_id: String[64]
    pool: Pool

event PoolActivity:
    key: indexed(bytes32)
    active: bool
    by: indexed(address)

event SettingSet:
    key: indexed(bytes32)
    name: indexed(bytes32)
    setting: String[32]
    amount: uint256


DIRECT: constant(uint256) = 1
VAULT: constant(uint256) = 2
MAX_POOLS: constant(uint256) = 1000

pool_ids: public(DynArray[String[64], MAX_POOLS])
_pools: HashMap[bytes32, Pool]
_settings: HashMap[bytes32, HashMap[bytes32, uint256]]


@deploy
def __init__(owner: address, operator: address, guardian: address):
    roles.__init__(owner, operator, guardian, 0, 0)


@external
def set_pool(pool_id: String[64], pool: Pool):
    """
    @notice Enter a pool or change it; the owner alone may. There is room for 1000.
    """
    roles._only_owner()
    assert len(pool_id) != 0, "pool id"
    assert pool.kind == DIRECT or pool.kind == VAULT, "kind"
    assert pool.asset.is_contract and pool.pool.is_contract, "not a contract"
    key: bytes32 = keccak256(pool_id)
    if self._pools[key].kind == 0:
        self.pool_ids.append(pool_id)
    self._pools[key] = pool
    log PoolSet(key=key, pool_id=pool_id, pool=pool)


@external
def set_active(pool_id: String[64], active: bool):
    """
    @notice Show a pool as open or closed; the owner may, the guardian may only close.
    """
    assert msg.sender == roles.owner or (msg.sender == roles.guardian and not active), "not owner"
    key: bytes32 = self._key(pool_id)
    self._pools[key].active = active
    log PoolActivity(key=key, active=active, by=msg.sender)


@external
def set_setting(pool_id: String[64], setting: String[32], amount: uint256):
    """
    @notice Set a figure of a pool by name, such as "min_withdrawal"; the owner or operator may.
    """
    assert msg.sender == roles.owner or msg.sender == roles.operator, "not operator"
    key: bytes32 = self._key(pool_id)
    self._settings[key][keccak256(setting)] = amount
    log SettingSet(key=key, name=keccak256(setting), setting=setting, amount=amount)


@external
@view
def pool(pool_id: String[64]) -> Pool:
    """
    @notice The contracts of a pool.
    """
    return self._pools[self._key(pool_id)]


@external
@view
def setting(pool_id: String[64], setting: String[32]) -> uint256:
    """
    @notice A figure of a pool; 0 if it was never set.
    """
    return self._settings[self._key(pool_id)][keccak256(setting)]


@external
@view
def count() -> uint256:
    """
    @notice How many pools are entered.
    """
    return len(self.pool_ids)


@internal
@view
def _key(pool_id: String[64]) -> bytes32:
    key: bytes32 = keccak256(pool_id)
    assert self._pools[key].kind != 0, "no such pool"
    return key
