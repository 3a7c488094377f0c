"""What becomes of a block, given what the chain says; pure."""

from __future__ import annotations

from dataclasses import dataclass

from millpond.mining.blocks.model import LOST, BlockState, Credit


@dataclass(frozen=True, slots=True)
class ChainView:
    """What a daemon says of one block.

    Attributes:
        tip_height: Height of its best block.
        confirmations: 1 or more in the best chain, 0 outside of it, None if
            the daemon does not know the block.
    """

    tip_height: int
    confirmations: int | None


@dataclass(frozen=True, slots=True)
class Submission:
    """What the daemons said when they were last given the block.

    Attributes:
        accepted: True if one took it, False if every one refused, None if unknown.
        reason: Their words.
    """

    accepted: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do.

    Attributes:
        state: The state to be in.
        confirmations: To show.
        reason: Why it is lost; empty otherwise.
        resubmit: Give it to the daemons again.
        book: `credit`, `post`, `void` or empty.
    """

    state: BlockState
    confirmations: int = 0
    reason: str = ""
    resubmit: bool = False
    book: str = ""


def decide(
    state: BlockState,
    credit: Credit,
    view: ChainView,
    submission: Submission,
    *,
    height: int,
    required: int,
    give_up_depth: int,
) -> Decision:
    """The next step of a block.

    A block outside of the best chain is not given up before the chain has
    grown `give_up_depth` blocks beyond it: short reorganisations go by without
    a void. One that was given up comes back when the chain does.

    Args:
        state: Where it is.
        credit: What is booked.
        view: What the daemon says now.
        submission: What the daemons said of it before.
        height: Of the block.
        required: Confirmations to maturity.
        give_up_depth: See above.
    """
    if state is BlockState.MATURE:
        return Decision(state, view.confirmations or 0)
    if view.confirmations:
        return _on_chain(credit, view.confirmations, required)
    if state in LOST:
        return Decision(state, reason=submission.reason)
    buried = view.tip_height >= height + give_up_depth
    if view.confirmations == 0 or state is BlockState.CONFIRMING:
        # A daemon has it, or had it: another branch is better for now.
        if buried:
            book = "void" if credit is Credit.PENDING else ""
            return Decision(BlockState.ORPHANED, reason="the chain went another way", book=book)
        lasting = BlockState.CONFIRMING if credit is Credit.PENDING else BlockState.ACCEPTED
        return Decision(lasting, resubmit=view.confirmations is None)
    return _unknown(submission, buried=buried)


def _on_chain(credit: Credit, confirmations: int, required: int) -> Decision:
    shown = min(confirmations, required)
    if credit is not Credit.PENDING:
        return Decision(BlockState.CONFIRMING, shown, book="credit")
    if confirmations >= required:
        return Decision(BlockState.MATURE, shown, book="post")
    return Decision(BlockState.CONFIRMING, shown)


def _unknown(submission: Submission, *, buried: bool) -> Decision:
    if submission.accepted is False:
        return Decision(BlockState.REJECTED, reason=submission.reason or "every daemon refuses it")
    if buried:
        reason = submission.reason or "no daemon knows it and the chain has grown beyond it"
        return Decision(BlockState.REJECTED, reason=reason)
    return Decision(BlockState.SUBMITTED, resubmit=True)
