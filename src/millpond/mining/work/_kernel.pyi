SHARE_MET: int
BLOCK_MET: int
SHA256D: int
SCRYPT: int

def sha256d(data: bytes, /) -> bytes: ...
def scrypt(data: bytes, /) -> bytes: ...
def merkle_branch(txids: bytes, /) -> bytes: ...
def scan(
    algorithm: int, header: bytes, start: int, count: int, target: bytes, /
) -> tuple[int | None, int]: ...
def has_sha_ni() -> bool: ...
def use_sha_ni(wanted: bool, /) -> bool: ...

class Work:
    def __init__(
        self,
        algorithm: int,
        coinbase1: bytes,
        coinbase2: bytes,
        branch: bytes,
        prev_hash: bytes,
        bits: int,
        network_target: bytes,
        /,
    ) -> None: ...
    def header(
        self, extranonce1: bytes, extranonce2: bytes, ntime: int, nonce: int, version: int, /
    ) -> bytes: ...
    def check(
        self,
        extranonce1: bytes,
        extranonce2: bytes,
        ntime: int,
        nonce: int,
        version: int,
        share_target: bytes,
        /,
    ) -> tuple[int, bytes, int]: ...
