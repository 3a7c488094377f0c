"""What a pool promises: the part of its configuration that everybody may see."""

from __future__ import annotations

from dataclasses import dataclass, field

from millpond.api.models import Endpoint
from millpond.chains.coins import Coin
from millpond.mining.folds.figures import Rate
from millpond.mining.payouts.settings import PayoutSettings
from millpond.mining.rewards.settings import RewardSettings


@dataclass(frozen=True, slots=True)
class PoolTerms:
    """One pool's terms.

    Attributes:
        pool_id: Its id.
        name: Its name for people.
        coin: Its coin.
        rewards: How a block is split.
        confirmations: At how many a reward is posted.
        payouts: How its coin is paid out.
        endpoints: Where miners connect.
    """

    pool_id: str
    name: str
    coin: Coin
    rewards: RewardSettings
    confirmations: int
    payouts: PayoutSettings = field(default_factory=PayoutSettings)
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def rate(self) -> Rate:
        """What difficulty means in hashes here."""
        return Rate(self.coin.difficulty_1_target)

    def scheme_parameters(self) -> dict[str, str]:
        """The scheme's own settings, as text."""
        match self.rewards.scheme:
            case "pplns":
                return {
                    "window": self.rewards.window,
                    "young_window": self.rewards.young_window,
                }
            case "pps":
                return {"block_reward": str(self.rewards.block_reward)}
            case "groups":
                return {name: str(part) for name, part in sorted(self.rewards.parts.items())}
            case _:
                return {}
