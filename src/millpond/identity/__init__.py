"""Who is asking: proof that a request speaks for an address, and sessions.

Mining needs no account; an address is enough. What moves money or changes
where money goes needs a message signed with the key of that address, or the
operator's key. The room may touch its own tables and the message verification
of `millpond.chains`. It promises: a nonce is good once and for a short time, a
token is stored only as a hash, and secrets are compared in constant time.
"""

from millpond.identity.proofs import ActionProof, action_message
from millpond.identity.service import Challenge, Identity, Session, Verifier

__all__ = ["ActionProof", "Challenge", "Identity", "Session", "Verifier", "action_message"]
