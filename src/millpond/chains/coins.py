"""The coin table: a coin is data plus the names of a few small strategies.

To add a coin of the Bitcoin family, add one row to `COINS` and, if its proof
of work is new, register that with `millpond.mining.work`; see
docs/guides/add-a-coin.md.
"""

from __future__ import annotations

import msgspec

from millpond.errors import InvalidInputError
from millpond.money.amount import Asset

SHA256D_DIFFICULTY_1 = 0xFFFF << 208
"""Target at difficulty 1 for sha256d miners, as in Bitcoin's genesis block."""

SCRYPT_DIFFICULTY_1 = 0xFFFF << 224
"""Target at difficulty 1 for scrypt miners: 65,536 times easier, by custom."""


class AddressForms(msgspec.Struct, frozen=True, kw_only=True):
    """How addresses of one network are written.

    Attributes:
        p2pkh: Base58check version byte of pay-to-public-key-hash.
        p2sh: Base58check version bytes of pay-to-script-hash, the usual first.
        bech32: Human-readable part of segwit addresses (BIP 173, BIP 350); empty
            for a coin without segwit.
        message_magic: First line of a signed message, before the text.
    """

    p2pkh: int
    p2sh: tuple[int, ...]
    bech32: str
    message_magic: str


class Coin(msgspec.Struct, frozen=True, kw_only=True):
    """One coin on one network.

    Attributes:
        name: `litecoin-regtest`; the name in settings, tables and the API.
        ticker: Asset code, distinct for test networks so that books never mix.
        decimals: Decimal places of the asset.
        proof_of_work: Name in the registry of `millpond.mining.work`.
        difficulty_1_target: Target that miners of this algorithm call difficulty 1.
        block_time_s: Intended seconds between blocks.
        maturity: Confirmations before a coinbase may be spent.
        template_rules: Rules named to `getblocktemplate`.
        addresses: How addresses are written.
        extension_block: True if a template's `mweb` goes behind the transactions.
        retarget_blocks: Blocks between difficulty changes.
        chain: What the daemon's `getblockchaininfo` calls the network; empty if
            that is not to be checked.
    """

    name: str
    ticker: str
    decimals: int = 8
    proof_of_work: str
    difficulty_1_target: int
    block_time_s: int
    maturity: int = 100
    template_rules: tuple[str, ...] = ("segwit",)
    addresses: AddressForms
    extension_block: bool = False
    retarget_blocks: int = 2016
    chain: str = ""

    @property
    def asset(self) -> Asset:
        """The asset that the ledger counts this coin in."""
        return Asset(self.ticker, self.decimals)


def _bitcoin(name: str, ticker: str, p2pkh: int, p2sh: int, bech32: str, *, chain: str) -> Coin:
    return Coin(
        name=name,
        ticker=ticker,
        proof_of_work="sha256d",
        difficulty_1_target=SHA256D_DIFFICULTY_1,
        block_time_s=600,
        chain=chain,
        addresses=AddressForms(
            p2pkh=p2pkh,
            p2sh=(p2sh,),
            bech32=bech32,
            message_magic="Bitcoin Signed Message:\n",
        ),
    )


def _litecoin(
    name: str, ticker: str, p2pkh: int, p2sh: tuple[int, ...], bech32: str, *, chain: str
) -> Coin:
    return Coin(
        name=name,
        ticker=ticker,
        proof_of_work="scrypt",
        difficulty_1_target=SCRYPT_DIFFICULTY_1,
        block_time_s=150,
        chain=chain,
        template_rules=("mweb", "segwit"),
        extension_block=True,
        addresses=AddressForms(
            p2pkh=p2pkh,
            p2sh=p2sh,
            bech32=bech32,
            message_magic="Litecoin Signed Message:\n",
        ),
    )


def _devcoin(name: str, ticker: str, proof_of_work: str, difficulty_1_target: int) -> Coin:
    return Coin(
        name=name,
        ticker=ticker,
        proof_of_work=proof_of_work,
        difficulty_1_target=difficulty_1_target,
        block_time_s=10,
        maturity=5,
        retarget_blocks=20,
        addresses=AddressForms(
            p2pkh=90,
            p2sh=(50,),
            bech32="dev",
            message_magic="Devcoin Signed Message:\n",
        ),
    )


COINS: dict[str, Coin] = {
    coin.name: coin
    for coin in (
        _bitcoin("bitcoin", "BTC", 0, 5, "bc", chain="main"),
        _bitcoin("bitcoin-testnet", "tBTC", 111, 196, "tb", chain="test"),
        _bitcoin("bitcoin-regtest", "rBTC", 111, 196, "bcrt", chain="regtest"),
        _litecoin("litecoin", "LTC", 48, (50, 5), "ltc", chain="main"),
        _litecoin("litecoin-testnet", "tLTC", 111, (58, 196), "tltc", chain="test"),
        _litecoin("litecoin-regtest", "rLTC", 111, (58, 196), "rltc", chain="regtest"),
        _devcoin("devcoin", "DEV", "sha256d", SHA256D_DIFFICULTY_1),
        _devcoin("devcoin-scrypt", "DEVS", "scrypt", SCRYPT_DIFFICULTY_1),
    )
}


def coin_named(name: str) -> Coin:
    """Look a coin up.

    Raises:
        InvalidInputError: No coin of that name is known.
    """
    try:
        return COINS[name]
    except KeyError:
        known = ", ".join(sorted(COINS))
        raise InvalidInputError(f"no coin is named {name!r}; known are {known}") from None
