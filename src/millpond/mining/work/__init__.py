"""The work room: what miners are given and whether what they return is valid.

A block template of a daemon becomes an immutable `Template`; a template and
the outputs that the pool wants become a `Job`; a miner's answer is held
against its job by `check`, and a solved job becomes the bytes of a block by
`assemble_block`. Everything here is pure: no socket, no clock, no database.
The hashing is done by one small C extension where that was built and by an
equal Python reference where not. May touch the coin table and the formats of
`millpond.chains.bitcoin`. Promises: the same verdict from both; a share passes
once, whatever its spelling. See docs/mining-work.md.
"""

from millpond.mining.work.block import assemble_block, block_hash
from millpond.mining.work.job import (
    CoinbaseOutput,
    InvalidJobError,
    Job,
    NotifyFields,
    build_job,
)
from millpond.mining.work.pow import (
    ProofOfWork,
    UnknownProofOfWorkError,
    native,
    proof_of_work,
    register,
)
from millpond.mining.work.template import InvalidTemplateError, Template, TemplateTransaction
from millpond.mining.work.validate import (
    BIP320_MASK,
    Accepted,
    RejectCode,
    Rejected,
    Submission,
    check,
    duplicate_key,
    forget,
    parse_submission,
)

__all__ = [
    "BIP320_MASK",
    "Accepted",
    "CoinbaseOutput",
    "InvalidJobError",
    "InvalidTemplateError",
    "Job",
    "NotifyFields",
    "ProofOfWork",
    "RejectCode",
    "Rejected",
    "Submission",
    "Template",
    "TemplateTransaction",
    "UnknownProofOfWorkError",
    "assemble_block",
    "block_hash",
    "build_job",
    "check",
    "duplicate_key",
    "forget",
    "native",
    "parse_submission",
    "proof_of_work",
    "register",
]
