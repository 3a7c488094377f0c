"""The bugs that `tools/mutants.py` plants in the contracts.

Two kinds. *Named* ones are written by hand: incidents and the mistakes that one
would make. *Systematic* ones come from operators that are applied wherever they
fit: a comparison flipped, an assertion or an update dropped, one more or one
less, and so on; a sample of them, chosen by hash, is run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """One bug: `before` stands at `start` in the text of `file` and becomes `after`."""

    name: str
    file: str  # below contracts/src
    start: int
    before: str
    after: str
    line: int

    def apply(self, text: str) -> str:
        """The text of the file with the bug."""
        assert text[self.start :].startswith(self.before), self.name
        return text[: self.start] + self.after + text[self.start + len(self.before) :]


# name: (file, text that stands there once, what stands there instead)
NAMED: dict[str, tuple[str, str, str]] = {
    # StakingPool
    "pool credits what was asked, not what arrived": (
        "StakingPool.vy",
        "balance: uint256 = self.balance_of[user] + arrived",
        "balance: uint256 = self.balance_of[user] + amount",
    ),
    "pool totals what was asked, not what arrived": (
        "StakingPool.vy",
        "self.total_staked += arrived",
        "self.total_staked += amount",
    ),
    "pool has no reentrancy lock": (
        "StakingPool.vy",
        "# pragma nonreentrancy on",
        "# pragma nonreentrancy off",
    ),
    "pool credits the payer instead of the user": (
        "StakingPool.vy",
        "self._deposit(user, amount)",
        "self._deposit(msg.sender, amount)",
    ),
    "pool keeps the total after a withdrawal": (
        "StakingPool.vy",
        "    self.total_staked -= amount\n",
        "",
    ),
    "pool keeps the balance after a withdrawal": (
        "StakingPool.vy",
        "    self.balance_of[msg.sender] = balance - amount\n",
        "",
    ),
    "pool pays a batch twice": ("StakingPool.vy", "    self.batch_done[batch_id] = True\n", ""),
    "pool lets anybody pay batches": ("StakingPool.vy", "    roles._only_operator()\n", ""),
    "pool's batch pays the operator": (
        "StakingPool.vy",
        "tokens._try_push(asset, user, amount)",
        "tokens._try_push(asset, msg.sender, amount)",
    ),
    "pool takes the stake of a user whose payment failed": (
        "StakingPool.vy",
        "        self.balance_of[user] = balance\n        log",
        "        log",
    ),
    "pool counts a failed payment as paid": (
        "StakingPool.vy",
        "if not tokens._try_push(asset, user, amount):",
        "if not tokens._try_push(asset, user, amount) and amount == 0:",
    ),
    "pool's batch reverts for one who is short": (
        "StakingPool.vy",
        "if amount == 0 or balance < amount:",
        "if amount == 0:",
    ),
    "pool's owner rescues principal": (
        "StakingPool.vy",
        "        amount -= self.total_staked\n    tokens._push(token, to, amount)\n"
        '    assert staticcall IERC20(asset).balanceOf(self) >= self.total_staked, "principal"\n',
        "        amount -= 0\n    tokens._push(token, to, amount)\n",
    ),
    "pool's owner rescues through a second address of the token": (
        "StakingPool.vy",
        '    assert staticcall IERC20(asset).balanceOf(self) >= self.total_staked, "principal"\n',
        "",
    ),
    "pool withdraws though paused": (
        "StakingPool.vy",
        "roles._not_paused(WITHDRAW)",
        "roles._not_paused(PAY)",
    ),
    "pool's exits are not told to the roles": (
        "StakingPool.vy",
        "DEPOSIT | WITHDRAW | PAY, WITHDRAW)",
        "DEPOSIT | WITHDRAW | PAY, 0)",
    ),
    "pool tells the old balance of a deposit": (
        "StakingPool.vy",
        "log Deposited(user=user, amount=arrived, balance=balance)",
        "log Deposited(user=user, amount=arrived, balance=balance - arrived)",
    ),
    # tokens
    "a lying token counts as paid": (
        "modules/tokens.vy",
        "return success and (len(answer) == 0 or convert(answer, uint256) == 1)",
        "return success",
    ),
    "a token without return value counts as failed": (
        "modules/tokens.vy",
        "(len(answer) == 0 or convert(answer, uint256) == 1)",
        "(len(answer) != 0 and convert(answer, uint256) == 1)",
    ),
    "one bad payee reverts the batch": (
        "modules/tokens.vy",
        "    return success and (len(answer)",
        "    assert success\n    return success and (len(answer)",
    ),
    "a payee may burn all gas": ("modules/tokens.vy", "gas=PAYMENT_GAS,", "gas=msg.gas,"),
    "little gas makes payments fail": (
        "modules/tokens.vy",
        '    assert msg.gas >= PAYMENT_RESERVE, "gas"\n',
        "",
    ),
    "a token that takes more is not noticed": (
        "modules/tokens.vy",
        "    assert staticcall IERC20(token).balanceOf(self) + amount >= before, "
        '"token took more"\n',
        "",
    ),
    "a token that moves nothing in is not noticed": (
        "modules/tokens.vy",
        '    assert arrived != 0, "nothing arrived"\n',
        "",
    ),
    "what was here before counts as arrived": (
        "modules/tokens.vy",
        "staticcall IERC20(token).balanceOf(self) - before",
        "staticcall IERC20(token).balanceOf(self) - before * 0",
    ),
    "a permit used by somebody else stops the deposit": (
        "modules/tokens.vy",
        'method_id=method_id("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"),\n'
        "        ),\n        revert_on_failure=False,\n    )\n",
        'method_id=method_id("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"),\n'
        "        ),\n        revert_on_failure=False,\n    )\n    assert success\n",
    ),
    # BatchPayout
    "payout has no reentrancy lock": (
        "BatchPayout.vy",
        "# pragma nonreentrancy on",
        "# pragma nonreentrancy off",
    ),
    "payout pays a batch twice": ("BatchPayout.vy", "    self.batch_done[batch_id] = True\n", ""),
    "payout promises more than it has": (
        "BatchPayout.vy",
        '    assert total <= available, "funds"\n',
        "    total = min(total, available)\n",
    ),
    "payout keeps nothing for a failed payee": (
        "BatchPayout.vy",
        "    self.claimable[payee] += amount\n",
        "",
    ),
    "payout forgets what it owed a payee before": (
        "BatchPayout.vy",
        "self.claimable[payee] += amount",
        "self.claimable[payee] = amount",
    ),
    "payout's claim pays again and again": (
        "BatchPayout.vy",
        "    self.claimable[msg.sender] = 0\n    self.owed -= amount\n",
        "",
    ),
    "payout's owner takes what is owed": (
        "BatchPayout.vy",
        "held: uint256 = self.available + self.owed",
        "held: uint256 = self.available",
    ),
    "payout defunds more than is free": (
        "BatchPayout.vy",
        '    assert amount <= self.available, "funds"\n    self.available -= amount\n',
        "    self.available -= min(amount, self.available)\n",
    ),
    # RewardDistributor
    "a leaf is hashed once": (
        "RewardDistributor.vy",
        "keccak256(keccak256(abi_encode(account, cumulative)))",
        "keccak256(abi_encode(account, cumulative))",
    ),
    "pairs of a proof are not sorted": (
        "RewardDistributor.vy",
        "convert(node, uint256) < convert(sibling, uint256)",
        "True",
    ),
    "a claim pays the whole again": (
        "RewardDistributor.vy",
        "amount: uint256 = cumulative - before",
        "amount: uint256 = cumulative",
    ),
    "a claim is not remembered": (
        "RewardDistributor.vy",
        "    self.claimed[account] = cumulative\n",
        "",
    ),
    "a claim pays the caller": (
        "RewardDistributor.vy",
        "tokens._push(token, account, amount)",
        "tokens._push(token, msg.sender, amount)",
    ),
    "claims beyond what was distributed": (
        "RewardDistributor.vy",
        '    assert amount <= self.distributed - self._held_back() - self.claimed_total, "distributed"\n',
        "",
    ),
    "claims from what a waiting root distributes": (
        "RewardDistributor.vy",
        "self.distributed - self._held_back() - self.claimed_total",
        "self.distributed - self.claimed_total",
    ),
    "an epoch distributes what was not funded": (
        "RewardDistributor.vy",
        '    assert total <= self.funded - self.distributed, "funds"\n',
        "",
    ),
    "an epoch is posted twice": (
        "RewardDistributor.vy",
        '    assert epoch == self.last_epoch + 1, "epoch"\n',
        "",
    ),
    "a root counts before its delay is over": (
        "RewardDistributor.vy",
        "return self._next_root if block.timestamp >= self._next_at else self._root",
        "return self._next_root",
    ),
    "a revoked epoch stays distributed": (
        "RewardDistributor.vy",
        "    self.distributed -= self._next_total\n",
        "",
    ),
    "a root is revoked after its delay": (
        "RewardDistributor.vy",
        '    assert block.timestamp < self._next_at, "too late"\n',
        "",
    ),
    "what was distributed is taken back": (
        "RewardDistributor.vy",
        '    assert amount <= self.funded - self.distributed, "funds"\n',
        "",
    ),
    "distributor has no reentrancy lock": (
        "RewardDistributor.vy",
        "# pragma nonreentrancy on",
        "# pragma nonreentrancy off",
    ),
    # Vault
    "a donation raises the rate": (
        "Vault.vy",
        "    return (roles._word >> ASSETS_SHIFT) & ASSETS_MASK\n",
        "    return max(\n        (roles._word >> ASSETS_SHIFT) & ASSETS_MASK,\n"
        "        staticcall IERC20(asset).balanceOf(self)\n"
        "        - self.queued_assets - self.unclaimed_assets,\n    )\n",
    ),
    "no virtual shares": (
        "Vault.vy",
        "VIRTUAL_SHARES: constant(uint256) = 10**6",
        "VIRTUAL_SHARES: constant(uint256) = 1",
    ),
    "no virtual assets": (
        "Vault.vy",
        "VIRTUAL_ASSETS: constant(uint256) = 1\n",
        "VIRTUAL_ASSETS: constant(uint256) = 10**6\n",
    ),
    "a deposit rounds up": (
        "Vault.vy",
        "shares: uint256 = assets * (supply + VIRTUAL_SHARES) // (total + VIRTUAL_ASSETS)",
        "shares: uint256 = assets * (supply + VIRTUAL_SHARES) // (total + VIRTUAL_ASSETS) + 1",
    ),
    "a mint rounds down": (
        "Vault.vy",
        "self._up(shares * (total + VIRTUAL_ASSETS), supply + VIRTUAL_SHARES)",
        "shares * (total + VIRTUAL_ASSETS) // (supply + VIRTUAL_SHARES)",
    ),
    "a withdrawal rounds shares down": (
        "Vault.vy",
        "    shares: uint256 = self._shares_up(assets)\n    self._leave",
        "    shares: uint256 = self._shares(assets)\n    self._leave",
    ),
    "a redemption rounds up": (
        "Vault.vy",
        "    assets: uint256 = self._assets(shares)\n    self._leave",
        "    assets: uint256 = self._assets_up(shares)\n    self._leave",
    ),
    "a preview of mint rounds down": (
        "Vault.vy",
        "    return self._assets_up(shares)\n\n\n@external\n@view\ndef previewWithdraw",
        "    return self._assets(shares)\n\n\n@external\n@view\ndef previewWithdraw",
    ),
    "shares of others without allowance": (
        "Vault.vy",
        "        erc20._spend(owner, msg.sender, shares)\n",
        "        pass\n",
    ),
    "a fee token is credited in full": (
        "Vault.vy",
        'assert tokens._pull(asset, msg.sender, assets) >= assets, "fee token"',
        "assert tokens._pull(asset, msg.sender, assets) != 0",
    ),
    "a loan of a moment uses up the day": (
        "Vault.vy",
        "        self._entered += assets\n",
        "",
    ),
    "what one transaction brought lets it take as often as it likes": (
        "Vault.vy",
        "        self._entered -= back\n",
        "",
    ),
    "the queue reserves nothing": ("Vault.vy", "    self.queued_assets += assets\n", ""),
    "the queue pays what is not there": (
        "Vault.vy",
        "        if paid + kept + assets > liquid:\n            break\n",
        "",
    ),
    "the queue counts set aside requests as paid": (
        "Vault.vy",
        "            self.requests[id].state = CLAIMABLE\n",
        "            self.requests[id].state = PAID\n",
    ),
    "a request set aside is claimed twice": (
        "Vault.vy",
        "    self.requests[id].state = PAID\n    self.unclaimed_assets",
        "    self.unclaimed_assets",
    ),
    "anybody names the receiver of a claim": (
        "Vault.vy",
        '        assert msg.sender == request.owner, "not request owner"\n',
        "",
    ),
    "anybody processes the queue at once": (
        "Vault.vy",
        "OVERDUE: constant(uint256) = 7 * 86400",
        "OVERDUE: constant(uint256) = 0",
    ),
    "exits take what the queue waits for": (
        "Vault.vy",
        'assert assets <= self._liquid(self._total_assets()), "illiquid"\n    self._burn',
        'assert assets <= self._liquid(self._total_assets() + self.queued_assets), "illiquid"\n'
        "    self._burn",
    ),
    "deployment takes what the queue waits for": (
        "Vault.vy",
        'assert amount <= self._liquid(self._total_assets()), "illiquid"',
        'assert amount <= self._liquid(self._total_assets() + self.queued_assets), "illiquid"',
    ),
    "losses that nobody had": (
        "Vault.vy",
        '        assert amount - missing <= self.deployed_assets, "no such loss"\n'
        "        self.deployed_assets -= amount - missing\n",
        "        self.deployed_assets -= min(amount - missing, self.deployed_assets)\n",
    ),
    "losses touch the deployed assets twice": (
        "Vault.vy",
        "self.deployed_assets -= amount - missing",
        "self.deployed_assets -= amount",
    ),
    "withdrawals are not counted by the risk engine": (
        "Vault.vy",
        "            extcall IRiskEngine(risk).record_withdrawal(owner, assets - back)\n",
        "            pass\n",
    ),
    "withdrawals count for the receiver": (
        "Vault.vy",
        "record_withdrawal(owner, assets - back)",
        "record_withdrawal(receiver, assets - back)",
    ),
    "deposits ignore the risk engine": (
        "Vault.vy",
        'assert staticcall IRiskEngine(risk).check_deposit(total, held, assets), "risk"',
        "pass",
    ),
    "maxDeposit forgets the pause": (
        "Vault.vy",
        "    if roles._paused(DEPOSIT):\n        return 0\n",
        "",
    ),
    "maxWithdraw forgets liquidity": (
        "Vault.vy",
        "    return min(\n        self._liquid(self._total_assets()),\n"
        "        staticcall IRiskEngine(risk).withdraw_room(self, owner),\n    )\n",
        "    return staticcall IRiskEngine(risk).withdraw_room(self, owner)\n",
    ),
    "vault has no reentrancy lock": (
        "Vault.vy",
        "# pragma nonreentrancy on",
        "# pragma nonreentrancy off",
    ),
    "vault books the totals of others' pauses": (
        "Vault.vy",
        "roles._word = (roles._word & FLAG_MASK) | assets",
        "roles._word = assets",
    ),
    "Withdraw tells receiver and owner the wrong way": (
        "Vault.vy",
        "receiver=receiver, owner=owner, assets=assets, shares=shares)\n\n\n@internal\ndef _burn",
        "receiver=owner, owner=receiver, assets=assets, shares=shares)\n\n\n@internal\ndef _burn",
    ),
    "the risk engine's limits are set by anybody": (
        "Vault.vy",
        '    assert msg.sender == risk, "not risk engine"\n',
        "",
    ),
    # ERC-20
    "a transfer to oneself makes tokens": (
        "modules/erc20.vy",
        "    self.balanceOf[sender] -= amount\n    self.balanceOf[receiver] += amount\n",
        "    after: uint256 = self.balanceOf[receiver] + amount\n"
        "    self.balanceOf[sender] -= amount\n    self.balanceOf[receiver] = after\n",
    ),
    "a permit is used again": (
        "modules/erc20.vy",
        "    self.nonces[owner] = nonce + 1\n",
        "",
    ),
    "a permit does not run out": (
        "modules/erc20.vy",
        '    assert block.timestamp <= deadline, "expired"\n',
        "",
    ),
    "the mirror of a signature is taken": (
        "modules/erc20.vy",
        '    assert convert(s, uint256) <= HALF_ORDER, "signature"\n',
        "",
    ),
    "a permit of nobody is taken": (
        "modules/erc20.vy",
        "assert signer != empty(address) and signer == owner",
        "assert signer == owner",
    ),
    "an endless allowance is used up": (
        "modules/erc20.vy",
        "if allowed != max_value(uint256):",
        "if True:",
    ),
    "a domain without the chain": ("modules/erc20.vy", "chain.id, self", "chain.id * 0, self"),
    # Roles
    "the guardian unpauses": (
        "modules/roles.vy",
        '    self._only_owner()\n    assert flags != 0 and flags & ~FLAGS == 0, "flags"\n'
        "    for i: uint256 in range(16):\n        bit: uint256 = 1 << i\n"
        "        if flags & bit != 0:\n            self._until[bit] = 0",
        "    assert msg.sender == self.guardian or msg.sender == self.owner\n"
        '    assert flags != 0 and flags & ~FLAGS == 0, "flags"\n'
        "    for i: uint256 in range(16):\n        bit: uint256 = 1 << i\n"
        "        if flags & bit != 0:\n            self._until[bit] = 0",
    ),
    "the guardian shuts exits for good": (
        "modules/roles.vy",
        '            assert end <= self._shut_at[bit] + GUARDIAN_LIMIT, "too long"\n',
        "            pass\n",
    ),
    "a pause is shortened by another": (
        "modules/roles.vy",
        "        if end > self._until[bit]:\n",
        "        if True:\n",
    ),
    "the guardian shuts exits week after week": (
        "modules/roles.vy",
        "if block.timestamp >= self._shut_at[bit] + 2 * GUARDIAN_LIMIT:",
        "if block.timestamp >= self._shut_at[bit] + GUARDIAN_LIMIT:",
    ),
    "the guardian's week begins anew with each pause": (
        "modules/roles.vy",
        "if block.timestamp >= self._shut_at[bit] + 2 * GUARDIAN_LIMIT:",
        "if True:",
    ),
    "a pause never ends": (
        "modules/roles.vy",
        "return self._word & flag != 0 and block.timestamp < self._until[flag]",
        "return self._word & flag != 0",
    ),
    "anybody takes the ownership": (
        "modules/roles.vy",
        '    assert msg.sender == self.pending_owner, "not pending owner"\n',
        "",
    ),
    "an offer of ownership stays": (
        "modules/roles.vy",
        "    self.pending_owner = empty(address)\n",
        "",
    ),
    # RiskEngine
    "the rolling day is an hour short": (
        "RiskEngine.vy",
        "BUCKETS: constant(uint256) = 25",
        "BUCKETS: constant(uint256) = 24",
    ),
    "a bucket that ran out is not emptied": (
        "RiskEngine.vy",
        "            self._buckets[vault][user][bucket] = 0\n",
        "",
    ),
    "tightening loosens": (
        "RiskEngine.vy",
        '    assert old == 0 or new <= old, "looser"\n',
        "",
    ),
    "a user's withdrawals count for all": (
        "RiskEngine.vy",
        "used: uint256 = self._add(msg.sender, user, amount)",
        "used: uint256 = self._add(msg.sender, msg.sender, amount)",
    ),
    "the vault does not hear of its limits": (
        "RiskEngine.vy",
        "        extcall LimitedVault(vault).set_limited(caps != 0)\n",
        "        pass\n",
    ),
    # OracleAdapter
    "a price out of bounds is clamped": (
        "OracleAdapter.vy",
        '    assert self.min_answer <= answer and answer <= self.max_answer, "bounds"\n',
        "",
    ),
    "a stale price is told": (
        "OracleAdapter.vy",
        '    assert block.timestamp <= answer.updated_at + self.heartbeat, "stale"\n',
        "",
    ),
    "a price is scaled the wrong way": (
        "OracleAdapter.vy",
        "10 ** convert(18 - decimals, uint256)",
        "10 ** convert(decimals, uint256)",
    ),
    "a price may jump": (
        "OracleAdapter.vy",
        "        assert moved * BPS <= before.answer * convert(self.max_deviation_bps, int256), "
        '"deviation"\n',
        "",
    ),
    "a price from the future is taken": (
        "OracleAdapter.vy",
        '    assert observed_at <= block.timestamp, "future"\n    assert',
        "    assert observed_at > block.timestamp or",
    ),
    "an older price replaces a newer one": (
        "OracleAdapter.vy",
        '        assert observed_at > before.updated_at, "old"\n',
        "",
    ),
    "the round says when it was written, not when it was true": (
        "OracleAdapter.vy",
        "updated_at=observed_at\n",
        "updated_at=block.timestamp\n",
    ),
    # PoolConfig, BTCD
    "the guardian opens a pool": (
        "PoolConfig.vy",
        "(msg.sender == roles.guardian and not active)",
        "msg.sender == roles.guardian",
    ),
    "a pool changed is listed twice": (
        "PoolConfig.vy",
        "    if self._pools[key].kind == 0:\n",
        "    if True:\n",
    ),
    "anybody mints": ("BTCD.vy", '    assert msg.sender == self.owner, "not owner"\n', ""),
    "minting leaves the supply": ("BTCD.vy", "    self.totalSupply += amount\n", ""),
}

# Why a bug that no test catches does no harm, by a text that its name or place contains.
HARMLESS: dict[str, str] = {
    "self._next_at = 0": "equivalent: no block has a time below 1, so nothing can be revoked",
}

# Operators: name, what is looked for, what it becomes. `{0}` is the whole match.
_OPERATORS: list[tuple[str, str, str]] = [
    ("less or equal to less", r"(?<= )<=(?= )", "<"),
    ("more or equal to more", r"(?<= )>=(?= )", ">"),
    ("less to less or equal", r"(?<= )<(?= )", "<="),
    ("more to more or equal", r"(?<= )>(?= )", ">="),
    ("equal to unequal", r"(?<= )==(?= )", "!="),
    ("unequal to equal", r"(?<= )!=(?= )", "=="),
    ("and to or", r"(?<= )and(?= )", "or"),
    ("or to and", r"(?<= )or(?= )", "and"),
    ("not dropped", r"\bnot (?=self|tokens|roles|active)", ""),
    ("plus to minus", r"(?<= )\+(?= )", "-"),
    ("minus to plus", r"(?<= )-(?= )", "+"),
    ("add to subtract", r"(?<= )\+=(?= )", "-="),
    ("subtract to add", r"(?<= )-=(?= )", "+="),
    ("min to max", r"\bmin\(", "max("),
    ("one more", r"(?<= )\+ 1\b", "+ 2"),
    ("one for nothing", r"(?<= )= 0$", "= 1"),
    ("true to false", r"\bTrue$", "False"),
    ("update dropped", r"^ +self\.[^\n]*(?<!\()$", "{0}pass"),
    ("assertion dropped", r"^ +assert [^\n]*\"$", "{0}pass"),
    ("check dropped", r"^ +roles\._(?:only|not)_\w+\([A-Z]*\)$", "{0}pass"),
    ("event dropped", r"^ +log [^\n]*\)$", "{0}pass"),
    ("event tells one more", r"(?<=[ (])(?:amount|assets|shares|total|balance)=\w+(?=[,)])", "{1}"),
    ("caller taken for self", r"\bmsg\.sender(?= == )", "self"),
]
_LINE = ("update dropped", "assertion dropped", "check dropped", "event dropped")


def named(sources: dict[str, str]) -> Iterator[Mutant]:
    """The bugs by hand; each place must be found exactly once."""
    for name, (file, before, after) in NAMED.items():
        text = sources[file]
        if text.count(before) != 1:
            raise LookupError(f"{name}: its place is there {text.count(before)} times")
        start = text.index(before)
        yield Mutant(name, file, start, before, after, text.count("\n", 0, start) + 1)


def systematic(sources: dict[str, str]) -> Iterator[Mutant]:
    """Every operator at every place inside functions, docstrings and comments left out."""
    for file, text in sorted(sources.items()):
        for start, line, number in _code(text):
            for operator, pattern, replacement in _OPERATORS:
                for found in re.finditer(pattern, line):
                    after = _replaced(operator, found.group(), replacement)
                    name = f"{operator}: {line.strip()[:70]}"
                    yield Mutant(name, file, start + found.start(), found.group(), after, number)


def _replaced(operator: str, before: str, replacement: str) -> str:
    if operator in _LINE:
        return " " * (len(before) - len(before.lstrip())) + "pass"
    if operator == "event tells one more":
        return f"{before} + 1"
    return replacement


def _code(text: str) -> Iterator[tuple[int, str, int]]:
    """Offset, text and number of the lines inside functions."""
    offset, inside, quoted = 0, False, False
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if bare.count('"""') == 1:
            quoted = not quoted
        elif line.startswith("def "):
            inside = True
        elif line and not line.startswith((" ", ")")):
            inside = False
        elif inside and not quoted and bare and not bare.startswith(("#", '"""')):
            yield offset, line.split("  #")[0], number
        offset += len(line) + 1


def sample(mutants: list[Mutant], count: int) -> list[Mutant]:
    """That many of them, the same ones every time; a smaller sample is the beginning of a larger."""

    def place(mutant: Mutant) -> str:
        text = f"{mutant.file} {mutant.name} {mutant.before} {mutant.after}"
        return hashlib.sha256(text.encode()).hexdigest()

    return sorted(mutants, key=place)[:count]


def why(mutant: Mutant) -> str:
    """The explanation of a survivor."""
    text = f"{mutant.file} {mutant.name} {mutant.before}"
    return next((reason for part, reason in HARMLESS.items() if part in text), "not explained yet")


def sources(directory: Path) -> dict[str, str]:
    """The texts of all sources and modules by path below the directory."""
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in sorted(directory.rglob("*.vy"))
    }
