"""Which contracts a pool needs, in which order, with which arguments. Pure."""

from __future__ import annotations

from millpond.staking.deploy.model import Ref, Spec, Step
from millpond.staking.pools import PoolKind

_ZERO = "0x" + "00" * 20
_DIRECT, _VAULT = 1, 2
"""Kinds of pool in `PoolConfig`."""


def plan(spec: Spec) -> list[Step]:
    """The steps of a deployment; each refers only to steps before it."""
    steps = [] if spec.token is not None else [_test_token(spec)]
    steps += _direct(spec) if spec.kind is PoolKind.DIRECT else _vault(spec)
    return [*steps, _register(spec), _record(spec)]


def _token(spec: Spec) -> str | Ref:
    return Ref("token") if spec.token is None else spec.token


def _roles(spec: Spec) -> tuple[str, str, str]:
    return (spec.roles.owner, spec.roles.operator, spec.roles.guardian)


def _test_token(spec: Spec) -> Step:
    return Step(
        name="token", what="the test token BTCD", artifact="BTCD", arguments=(spec.deployer,)
    )


def _direct(spec: Spec) -> list[Step]:
    return [
        Step(
            name="pool",
            what="the pool, which holds what people stake",
            artifact="StakingPool",
            arguments=(_token(spec), *_roles(spec)),
        ),
        Step(
            name="rewards",
            what="the batch payout, which holds and pays rewards",
            artifact="BatchPayout",
            arguments=(_token(spec), *_roles(spec)),
        ),
    ]


def _vault(spec: Spec) -> list[Step]:
    return [
        Step(
            name="risk",
            what="the risk engine with the vault's limits",
            artifact="RiskEngine",
            arguments=_roles(spec),
        ),
        Step(
            name="pool",
            what="the vault",
            artifact="Vault",
            arguments=(
                _token(spec),
                f"Staked {spec.symbol}",
                f"st{spec.symbol}",
                Ref("risk"),
                *_roles(spec),
            ),
        ),
        Step(
            name="rewards",
            what="the reward distributor",
            artifact="RewardDistributor",
            arguments=(_token(spec), Ref("pool"), *_roles(spec)),
        ),
        Step(
            name="oracle",
            what="the price feed",
            artifact="OracleAdapter",
            arguments=(
                f"{spec.symbol} / USD",
                spec.price_decimals,
                spec.price_min,
                spec.price_max,
                *_roles(spec),
            ),
        ),
    ]


def _register(spec: Spec) -> Step:
    return Step(
        name="config",
        what="the register of pools",
        artifact="PoolConfig",
        arguments=_roles(spec),
    )


def _record(spec: Spec) -> Step:
    vault = spec.kind is PoolKind.VAULT
    entry = (
        _VAULT if vault else _DIRECT,
        _token(spec),
        Ref("pool"),
        Ref("rewards") if vault else _ZERO,
        _ZERO if vault else Ref("rewards"),
        Ref("oracle") if vault else _ZERO,
        Ref("risk") if vault else _ZERO,
        True,
    )
    return Step(
        name="record",
        what=f"write {spec.pool_id} into the register of pools",
        artifact="PoolConfig",
        target="config",
        function="set_pool",
        arguments=(spec.pool_id, entry),
        by_owner=True,
    )
