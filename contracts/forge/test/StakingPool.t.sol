// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Base, Handler} from "./Base.sol";
import {IStakingPool} from "./Contracts.sol";

/// People use the direct pool at random; every answer is foreseen.
contract PoolHandler is Handler {
    uint256 internal constant WEALTH = 2 ** 60;
    uint256 internal constant DEPOSIT = 1;
    uint256 internal constant WITHDRAW = 2;
    uint256 internal constant PAY = 4;

    IStakingPool public immutable pool;
    mapping(address => uint256) public stake;
    uint256 public donated;
    uint256 public rescued;

    constructor() {
        pool = IStakingPool(create("StakingPool", abi.encode(token, OWNER, OPERATOR, GUARDIAN)));
        for (uint256 i = 0; i < USERS; i++) {
            give(user(i), WEALTH, address(pool));
        }
    }

    function wealth() external pure returns (uint256) {
        return WEALTH;
    }

    function batchCount() external view returns (uint256) {
        return batches;
    }

    function deposit(uint256 who, uint256 seed) external {
        uint256 amount = amountOf(seed, 40);
        (bool ok,) = attempt(user(who), address(pool), abi.encodeCall(pool.deposit, (amount)));
        vm.assertTrue(ok == (!pool.paused(DEPOSIT) && way[user(who)] != Way.Refuses), "deposit");
        if (ok) stake[user(who)] += amount;
    }

    function deposit_for(uint256 who, uint256 to, uint256 seed) external {
        uint256 amount = amountOf(seed, 40);
        bytes memory data = abi.encodeCall(pool.deposit_for, (user(to), amount));
        (bool ok,) = attempt(user(who), address(pool), data);
        if (ok) {
            stake[user(to)] += amount;
            // Given away: even the sum of tokens and stake with them.
            moved[user(who)] -= int256(amount);
            moved[user(to)] += int256(amount);
        }
    }

    mapping(address => int256) public moved;

    function withdraw(uint256 who, uint256 seed) external {
        uint256 amount = seed % 5 == 0 ? stake[user(who)] : amountOf(seed, 41);
        bool right = !pool.paused(WITHDRAW) && amount != 0 && amount <= stake[user(who)] && way[user(who)] == Way.Well;
        (bool ok,) = attempt(user(who), address(pool), abi.encodeCall(pool.withdraw, (amount)));
        vm.assertTrue(ok == right, "withdraw");
        if (ok) stake[user(who)] -= amount;
    }

    function pay(uint256 who, uint256[4] calldata seeds) external {
        uint256[4] memory wanted;
        for (uint256 i = 0; i < 4; i++) {
            wanted[i] = seeds[i] % 7 == 0 ? 0 : amountOf(seeds[i], 40);
        }
        (address[] memory users, uint256[] memory amounts) = list(who, wanted);
        bytes memory data = abi.encodeCall(pool.pay_withdrawals, (batchId(batches + 1), users, amounts));
        (bool ok,) = attempt(OPERATOR, address(pool), data);
        vm.assertTrue(ok == !pool.paused(PAY), "pay");
        if (!ok) return;
        batches++;
        for (uint256 i = 0; i < 4; i++) {
            if (amounts[i] <= stake[users[i]] && way[users[i]] == Way.Well) stake[users[i]] -= amounts[i];
        }
    }

    function pay_again(uint256 number, uint256 who) external {
        (address[] memory users, uint256[] memory amounts) = list(who, [uint256(1), 1, 1, 1]);
        bytes32 id = batches == 0 ? bytes32(0) : batchId(1 + number % batches);
        string memory reason = pool.paused(PAY) ? "paused" : batches == 0 ? "batch id" : "batch done";
        refused(OPERATOR, address(pool), abi.encodeCall(pool.pay_withdrawals, (id, users, amounts)), reason);
    }

    function intrude(uint256 who) external {
        (address[] memory users, uint256[] memory amounts) = list(who, [uint256(1), 1, 1, 1]);
        bytes memory data = abi.encodeCall(pool.pay_withdrawals, (batchId(batches + 1), users, amounts));
        refused(who % 2 == 0 ? user(who) : OWNER, address(pool), data, "not operator");
        refused(user(who), address(pool), abi.encodeCall(pool.rescue, (address(token), user(who))), "not owner");
        refused(OPERATOR, address(pool), abi.encodeCall(pool.rescue, (address(token), OPERATOR)), "not owner");
    }

    function donate(uint256 seed) external {
        uint256 amount = amountOf(seed, 40);
        token.mint(address(pool), amount);
        donated += amount;
    }

    function rescue() external {
        (bool ok,) = attempt(OWNER, address(pool), abi.encodeCall(pool.rescue, (address(token), OWNER)));
        vm.assertTrue(ok, "rescue");
        rescued = token.balanceOf(OWNER);
    }

    function pause(uint256 flags, uint256 seconds_) external {
        flags = between(flags, 1, 7);
        if (seconds_ % 3 != 0) flags &= ~WITHDRAW; // mostly open, or little would happen
        if (flags == 0) return;
        uint256 until = block.timestamp + between(seconds_, 1, 6 days);
        must(GUARDIAN, address(pool), abi.encodeCall(pool.pause, (flags, until)));
    }

    function unpause() external {
        refused(GUARDIAN, address(pool), abi.encodeCall(pool.unpause, (7)), "not owner");
        must(OWNER, address(pool), abi.encodeCall(pool.unpause, (7)));
    }

    function wait_(uint256 seconds_) external {
        vm.warp(block.timestamp + between(seconds_, 0, 3 days));
    }
}

contract StakingPoolInvariants is Base {
    PoolHandler internal handler;
    IStakingPool internal pool;

    function setUp() external {
        vm.warp(1_700_000_000);
        handler = new PoolHandler();
        pool = handler.pool();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    // One function, since forge would run the same calls anew for each.
    function invariant_the_books_hold() external view {
        the_total_is_the_sum_of_the_stakes();
        tokens_and_stake_of_a_user_stay_what_they_were();
        every_batch_is_remembered();
    }

    /// total = sum of stakes, each as its user left it, and the pool's tokens cover them.
    function the_total_is_the_sum_of_the_stakes() internal view {
        uint256 sum = 0;
        for (uint256 i = 0; i < USERS; i++) {
            vm.assertEq(pool.balance_of(user(i)), handler.stake(user(i)), "stake");
            sum += handler.stake(user(i));
        }
        vm.assertEq(pool.total_staked(), sum, "total");
        uint256 held = handler.token().balanceOf(address(pool));
        vm.assertEq(held, sum + handler.donated() - handler.rescued(), "tokens");
    }

    /// Principal goes to its user and to nobody else.
    function tokens_and_stake_of_a_user_stay_what_they_were() internal view {
        for (uint256 i = 0; i < USERS; i++) {
            int256 has = int256(handler.token().balanceOf(user(i)) + pool.balance_of(user(i)));
            vm.assertEq(uint256(has - handler.moved(user(i))), handler.wealth(), "wealth");
        }
        vm.assertEq(handler.token().balanceOf(OPERATOR) + handler.token().balanceOf(GUARDIAN), 0, "roles");
    }

    function every_batch_is_remembered() internal view {
        for (uint256 i = 1; i <= handler.batchCount(); i++) {
            vm.assertTrue(pool.batch_done(keccak256(abi.encode("batch", i))), "batch");
        }
    }
}
