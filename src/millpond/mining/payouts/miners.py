"""How an address wants to be paid."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import insert, select, update

from millpond.chains.bitcoin.address import canonical_address
from millpond.chains.coins import Coin
from millpond.clock import Clock
from millpond.mining.payouts.errors import PayoutSettingsError
from millpond.mining.payouts.model import FeePolicy, Schedule
from millpond.mining.payouts.settings import PayoutSettings
from millpond.mining.payouts.tables import payout_setting_table
from millpond.store import Tx
from millpond.store.events import publish

_T = payout_setting_table
_UNSET = msgspec.UNSET


class MinerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one address in one coin, defaults filled in; base units.

    Attributes:
        address: Where payouts go now.
        new_address: Where they will go from `new_address_ms` on.
        last_automatic_ms: When the automatic run paid it last; 0: never.
    """

    coin: str
    wallet: str
    threshold: int
    automatic: bool
    schedule: Schedule
    fee_policy: FeePolicy
    address: str
    new_address: str | None
    new_address_ms: int | None
    last_automatic_ms: int


class SettingsChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change; what is unset stays. `address` None goes back to the wallet itself."""

    threshold: int | msgspec.UnsetType = _UNSET
    automatic: bool | msgspec.UnsetType = _UNSET
    schedule: Schedule | msgspec.UnsetType = _UNSET
    fee_policy: FeePolicy | msgspec.UnsetType = _UNSET
    address: str | msgspec.UnsetType | None = _UNSET


class PayoutMiners:
    """Settings of the addresses of one coin."""

    def __init__(self, coin: Coin, settings: PayoutSettings, clock: Clock) -> None:
        self._coin = coin
        self._settings = settings
        self._clock = clock

    async def get(self, tx: Tx, wallet: str) -> MinerSettings:
        """Settings as they are now; the defaults for one that never set any."""
        query = select(_T).where(_T.c.coin == self._coin.name, _T.c.wallet == wallet)
        row = (await tx.execute(query)).mappings().first()
        return self._filled(wallet, {} if row is None else dict(row))

    async def change(self, tx: Tx, wallet: str, change: SettingsChange) -> MinerSettings:
        """Change settings; a new address is used after the safety period, and an event tells so.

        Raises:
            PayoutSettingsError: Threshold below the minimum, or a choice that is not given.
            InvalidAddressError: No address of the coin.
        """
        now_ms = self._clock.now_ms()
        before = await self.get(tx, wallet)
        values = self._values(before, change, now_ms)
        await self._write(tx, wallet, values, now_ms)
        after = await self.get(tx, wallet)
        if "new_address" in values:
            await publish(
                tx,
                "payouts",
                {
                    "type": "address_change",
                    "coin": self._coin.name,
                    "wallet": wallet,
                    "from": after.address,
                    "to": after.new_address,
                    "effective_ms": after.new_address_ms,
                },
                now_ms=now_ms,
            )
        return after

    async def paid_automatically(self, tx: Tx, wallet: str) -> None:
        """Note an automatic payout, for the schedule."""
        now_ms = self._clock.now_ms()
        await self._write(tx, wallet, {"last_automatic_ms": now_ms}, now_ms)

    def _filled(self, wallet: str, row: dict[str, Any]) -> MinerSettings:
        settings, now_ms = self._settings, self._clock.now_ms()
        address = row.get("address") or wallet
        new, new_ms = row.get("new_address"), row.get("new_address_ms")
        if new is not None and new_ms is not None and new_ms <= now_ms:
            address, new, new_ms = new, None, None
        policy = row.get("fee_policy") if settings.choose_fee_policy else None
        return MinerSettings(
            coin=self._coin.name,
            wallet=wallet,
            threshold=row.get("threshold") or settings.threshold,
            automatic=row.get("automatic", True),
            schedule=Schedule(row.get("schedule", Schedule.ANY)),
            fee_policy=FeePolicy(policy or settings.fee_policy),
            address=address,
            new_address=new,
            new_address_ms=new_ms,
            last_automatic_ms=row.get("last_automatic_ms", 0),
        )

    def _values(self, before: MinerSettings, change: SettingsChange, now_ms: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if change.threshold is not _UNSET:
            assert isinstance(change.threshold, int), "a threshold is an int"
            if change.threshold < self._settings.minimum:
                raise PayoutSettingsError(
                    "the threshold is below the smallest payout", minimum=self._settings.minimum
                )
            values["threshold"] = change.threshold
        if change.automatic is not _UNSET:
            values["automatic"] = change.automatic
        if change.schedule is not _UNSET:
            values["schedule"] = change.schedule
        if change.fee_policy is not _UNSET:
            if not self._settings.choose_fee_policy:
                raise PayoutSettingsError("this pool decides who pays the network fee")
            values["fee_policy"] = change.fee_policy
        if change.address is not _UNSET:
            values |= self._address_values(before, change.address, now_ms)
        return values

    def _address_values(
        self, before: MinerSettings, address: str | msgspec.UnsetType | None, now_ms: int
    ) -> dict[str, Any]:
        target = address if isinstance(address, str) else before.wallet
        target = canonical_address(target, self._coin)
        # What has become effective meanwhile is made the base of the new change.
        settled: dict[str, Any] = {"address": before.address}
        if target == before.address:
            return settled | {"new_address": None, "new_address_ms": None}
        effective_ms = now_ms + self._settings.address_delay_s * 1000
        return settled | {"new_address": target, "new_address_ms": effective_ms}

    async def _write(self, tx: Tx, wallet: str, values: dict[str, Any], now_ms: int) -> None:
        found = await tx.execute(
            update(_T)
            .where(_T.c.coin == self._coin.name, _T.c.wallet == wallet)
            .values(updated_ms=now_ms, **values)
        )
        if found.rowcount == 0:
            blank = {"automatic": True, "schedule": Schedule.ANY, "last_automatic_ms": 0}
            await tx.execute(
                insert(_T).values(
                    coin=self._coin.name, wallet=wallet, updated_ms=now_ms, **blank | values
                )
            )
