"""Templates for tests, as a daemon would answer them."""

from millpond.mining.work.reference import sha256d

COMMITMENT = "6a24aa21a9ed" + "e2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9"


def transaction(number):
    data = number.to_bytes(4, "big") * 60
    return {"data": data.hex(), "txid": sha256d(data)[::-1].hex(), "fee": 1000 + number}


def gbt(transactions=3, **changes):
    if isinstance(transactions, int):
        transactions = [transaction(n) for n in range(transactions)]
    document = {
        "version": 0x20000000,
        "rules": ["csv", "!segwit", "taproot"],
        "previousblockhash": "00000000000000000001" + "ab" * 22,
        "transactions": transactions,
        "coinbaseaux": {},
        "coinbasevalue": 312_500_000 + 3003,
        "longpollid": "abc1",
        "target": "7fffff" + "00" * 29,
        "mintime": 1_700_000_000,
        "curtime": 1_700_000_600,
        "bits": "207fffff",
        "height": 800_000,
        "default_witness_commitment": COMMITMENT,
    }
    document.update(changes)
    return {name: value for name, value in document.items() if value is not ...}
