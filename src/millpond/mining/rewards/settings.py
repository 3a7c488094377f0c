"""What an operator sets about rewards and fees."""

from __future__ import annotations

import msgspec

BASIS = 10_000
"""Basis points in the whole."""


class FeeOverride(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other rates for one worker or one address; None keeps the pool's rate.

    Attributes:
        fee_bp: What the pool keeps.
        donation_bp: What goes to the pool's `donation_wallet`.
    """

    fee_bp: int | None = None
    donation_bp: int | None = None


class FeeRules(msgspec.Struct, frozen=True, kw_only=True):
    """Fees and donations in basis points (1 bp = 0.01 %).

    Attributes:
        fee_bp: What the pool keeps.
        donation_bp: What goes to `donation_wallet` besides.
        donation_wallet: An address; needed when anything is donated.
        overrides: By worker (`wallet.worker_name`) or by address; a worker's
            own entry goes before the one of its address.
    """

    fee_bp: int = 0
    donation_bp: int = 0
    donation_wallet: str = ""
    overrides: dict[str, FeeOverride] = {}

    def rates(self, worker: str) -> tuple[int, int]:
        """Fee and donation of `worker`, in basis points."""
        fee, donation = self.fee_bp, self.donation_bp
        for name in (worker.partition(".")[0], worker):
            override = self.overrides.get(name)
            if override is not None:
                fee = fee if override.fee_bp is None else override.fee_bp
                donation = donation if override.donation_bp is None else override.donation_bp
        return fee, donation

    def faults(self) -> list[str]:
        """Everything that is wrong with these rules, as plain sentences."""
        found = []
        for name in ("", *self.overrides):
            fee, donation = self.rates(name)
            whom = f"of {name}" if name else "of the pool"
            if fee < 0 or donation < 0 or fee + donation > BASIS:
                found.append(f"fee and donation {whom} must be 0 to {BASIS} basis points together")
            if donation and not self.donation_wallet:
                found.append(f"a donation {whom} needs donation_wallet")
        return found


class RewardSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `rewards` of a pool.

    Attributes:
        scheme: `pplns`, `prop`, `solo`, `pps` or `groups`.
        window: PPLNS: size of the window in network difficulties, a decimal
            or a fraction (`2`, `0.5`, `1/3`).
        young_window: PPLNS: who gets the part of a window that is not yet
            full: `miners` (paid by what is there) or `pool`.
        block_reward: PPS: base units that a block is worth to a share.
        credit_interval_s: PPS: how often shares are paid to the balances.
        parts: Groups: whole parts for each address.
        fee_bp, donation_bp, donation_wallet, overrides: See `FeeRules`.
    """

    scheme: str = "pplns"
    window: str = "2"
    young_window: str = "miners"
    block_reward: int = 0
    credit_interval_s: int = 600
    parts: dict[str, int] = {}
    fee_bp: int = 100
    donation_bp: int = 0
    donation_wallet: str = ""
    overrides: dict[str, FeeOverride] = {}

    @property
    def fees(self) -> FeeRules:
        """The fee rules of this section."""
        return FeeRules(
            fee_bp=self.fee_bp,
            donation_bp=self.donation_bp,
            donation_wallet=self.donation_wallet,
            overrides=self.overrides,
        )
