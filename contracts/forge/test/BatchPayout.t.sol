// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Base, Handler} from "./Base.sol";
import {IBatchPayout} from "./Contracts.sol";

/// Batches are paid to people of whom some cannot be paid.
contract PayoutHandler is Handler {
    IBatchPayout public immutable payout;
    uint256 public funded;
    uint256 public promised; // by all batches together
    mapping(address => uint256) public due; // tokens and claims that a user must have by now

    constructor() {
        payout = IBatchPayout(create("BatchPayout", abi.encode(token, OWNER, OPERATOR, GUARDIAN)));
        give(STRANGER, 2 ** 80, address(payout));
    }

    function fund(uint256 seed) external {
        uint256 amount = amountOf(seed, 44);
        must(STRANGER, address(payout), abi.encodeCall(payout.fund, (amount)));
        funded += amount;
    }

    function defund(uint256 seed) external {
        uint256 amount = amountOf(seed, 44);
        refused(OPERATOR, address(payout), abi.encodeCall(payout.defund, (amount, OPERATOR)), "not owner");
        (bool ok,) = attempt(OWNER, address(payout), abi.encodeCall(payout.defund, (amount, OWNER)));
        vm.assertTrue(ok == (amount <= funded - promised), "defund");
        if (ok) funded -= amount;
    }

    function pay(uint256 who, uint256[4] calldata seeds) external {
        uint256[4] memory wanted;
        for (uint256 i = 0; i < 4; i++) {
            wanted[i] = amountOf(seeds[i], 42);
        }
        (address[] memory users, uint256[] memory amounts) = list(who, wanted);
        uint256 total = amounts[0] + amounts[1] + amounts[2] + amounts[3];
        bytes memory data = abi.encodeCall(payout.pay, (batchId(batches + 1), users, amounts));
        refused(user(who), address(payout), data, "not operator");
        (bool ok,) = attempt(OPERATOR, address(payout), data);
        vm.assertTrue(ok == (total <= funded - promised), "pay");
        if (!ok) return;
        batches++;
        promised += total;
        for (uint256 i = 0; i < 4; i++) {
            due[users[i]] += amounts[i];
        }
        refused(OPERATOR, address(payout), data, "batch done");
    }

    function claim(uint256 who, uint256 to) external {
        uint256 amount = payout.claimable(user(who));
        (bool ok,) = attempt(user(who), address(payout), abi.encodeCall(payout.claim, (user(to))));
        vm.assertTrue(ok == (amount != 0 && way[user(to)] == Way.Well), "claim");
        if (ok) {
            due[user(who)] -= amount;
            due[user(to)] += amount;
        }
    }

    function rescue(uint256 seed) external {
        uint256 amount = amountOf(seed, 30);
        token.mint(address(payout), amount);
        uint256 before = token.balanceOf(OWNER);
        must(OWNER, address(payout), abi.encodeCall(payout.rescue, (address(token), OWNER)));
        vm.assertEq(token.balanceOf(OWNER) - before, amount, "rescued");
    }
}

contract BatchPayoutInvariants is Base {
    PayoutHandler internal handler;
    IBatchPayout internal payout;

    function setUp() external {
        handler = new PayoutHandler();
        payout = handler.payout();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    // One function, since forge would run the same calls anew for each.
    function invariant_the_books_hold() external view {
        what_is_here_covers_what_is_owed();
        every_payee_has_or_may_claim_what_is_due();
    }

    /// available + owed = the tokens here; available = funded less promised.
    function what_is_here_covers_what_is_owed() internal view {
        uint256 held = handler.token().balanceOf(address(payout));
        vm.assertEq(payout.available() + payout.owed(), held, "held");
        vm.assertEq(payout.available(), handler.funded() - handler.promised(), "available");
    }

    /// paid + kept = what the batches promised, to each payee alone.
    function every_payee_has_or_may_claim_what_is_due() internal view {
        uint256 kept = 0;
        for (uint256 i = 0; i < USERS; i++) {
            uint256 mine = payout.claimable(user(i));
            vm.assertEq(handler.token().balanceOf(user(i)) + mine, handler.due(user(i)), "due");
            kept += mine;
        }
        vm.assertEq(kept, payout.owed(), "owed");
    }
}
