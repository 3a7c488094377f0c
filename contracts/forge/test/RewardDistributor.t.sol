// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Base, Handler} from "./Base.sol";
import {IRewardDistributor} from "./Contracts.sol";

/// Epochs are posted, some with promises that nobody funded, and people claim.
contract DistributorHandler is Handler {
    struct Epoch {
        uint256[4] earned; // leaf of each user, cumulative
        uint256 total;
    }

    IRewardDistributor public immutable distributor;
    uint256 public funded;
    Epoch[] internal epochs;
    uint256 internal counts; // index of the epoch whose leaves count
    uint256 internal nextAt;
    uint256 internal delay;
    mapping(address => uint256) public most; // the largest leaf a user ever had

    constructor() {
        distributor = IRewardDistributor(create("RewardDistributor", abi.encode(token, token, OWNER, OPERATOR, GUARDIAN)));
        give(STRANGER, 2 ** 80, address(distributor));
        epochs.push();
    }

    function distributed() public view returns (uint256 sum) {
        for (uint256 i = 1; i < epochs.length; i++) {
            sum += epochs[i].total;
        }
    }

    function fund(uint256 seed) external {
        uint256 amount = amountOf(seed, 44);
        must(STRANGER, address(distributor), abi.encodeCall(distributor.fund, (amount)));
        funded += amount;
    }

    function defund(uint256 seed) external {
        uint256 amount = amountOf(seed, 44);
        refused(OPERATOR, address(distributor), abi.encodeCall(distributor.defund, (amount, OPERATOR)), "not owner");
        (bool ok,) = attempt(OWNER, address(distributor), abi.encodeCall(distributor.defund, (amount, OWNER)));
        vm.assertTrue(ok == (amount <= funded - distributed()), "defund");
        if (ok) funded -= amount;
    }

    function post(uint256[4] calldata seeds, bool lie) external {
        Epoch memory made;
        for (uint256 i = 0; i < 4; i++) {
            uint256 earned = amountOf(seeds[i], 42);
            made.earned[i] = epochs[epochs.length - 1].earned[i] + earned;
            made.total += earned;
        }
        if (lie) made.total /= 2; // the leaves promise twice what was set apart for them
        (bytes32 root,) = tree(made.earned);
        uint256 number = epochs.length;
        bytes memory data = abi.encodeCall(distributor.post_epoch, (number, root, made.total, bytes32(0)));
        refused(user(seeds[0]), address(distributor), data, "not operator");
        (bool ok,) = attempt(OPERATOR, address(distributor), data);
        vm.assertTrue(ok == (block.timestamp >= nextAt && made.total <= funded - distributed()), "post");
        if (!ok) return;
        nextAt = block.timestamp + delay;
        epochs.push(made);
        refused(OPERATOR, address(distributor), data, "epoch");
    }

    function revoke() external {
        (bool ok,) = attempt(OWNER, address(distributor), abi.encodeCall(distributor.revoke_epoch, ()));
        vm.assertTrue(ok == (block.timestamp < nextAt), "revoke");
        if (!ok) return;
        epochs.pop();
        nextAt = 0;
    }

    function set_delay(uint256 seconds_) external {
        delay = seconds_ % 3 == 0 ? 0 : between(seconds_, 1, 7 days);
        must(OWNER, address(distributor), abi.encodeCall(distributor.set_delay, (delay)));
    }

    function wait_(uint256 seconds_) external {
        vm.warp(block.timestamp + between(seconds_, 0, 8 days));
    }

    /// Whose leaves count now: those posted last, or the ones before while the delay runs.
    function current() public view returns (uint256) {
        uint256 last = epochs.length - 1;
        return block.timestamp >= nextAt ? last : last - 1;
    }

    /// A claim by the leaves of any epoch, sometimes for a unit more than the leaf says.
    function claim(uint256 who, uint256 back, uint256 more) external {
        uint256 last = epochs.length - 1;
        uint256[4] memory earned = epochs[last - between(back, 0, last)].earned;
        (bytes32 root, bytes32[][4] memory proofs) = tree(earned);
        bool honest = more % 8 != 1 && root == distributor.root();
        show(user(who), earned[who % USERS] + (more % 8 == 1 ? 1 : 0), proofs[who % USERS], honest);
    }

    function show(address account, uint256 cumulative, bytes32[] memory proof, bool honest) internal {
        uint256 had = distributor.claimed(account);
        uint256 told = distributor.claimable(account, cumulative, proof);
        vm.assertEq(told, honest && cumulative > had ? cumulative - had : 0, "claimable");
        bytes memory data = abi.encodeCall(distributor.claim, (account, cumulative, proof));
        (bool ok, bytes memory answer) = attempt(STRANGER, address(distributor), data);
        if (!ok) return;
        vm.assertTrue(honest && way[account] == Way.Well, "claim");
        vm.assertEq(abi.decode(answer, (uint256)), told, "claimed what was told");
        most[account] = cumulative;
    }

    /// An honest claim of what is there and set apart is paid.
    function claim_all() external {
        uint256[4] memory earned = epochs[current()].earned;
        (bytes32 root, bytes32[][4] memory proofs) = tree(earned);
        if (root != distributor.root()) return; // nothing was posted yet
        uint256 last = epochs.length - 1;
        uint256 counting = distributed() - (current() == last ? 0 : epochs[last].total);
        for (uint256 i = 0; i < USERS; i++) {
            uint256 amount = distributor.claimable(user(i), earned[i], proofs[i]);
            bool right =
                amount != 0 && way[user(i)] == Way.Well && amount <= counting - distributor.claimed_total();
            bytes memory data = abi.encodeCall(distributor.claim, (user(i), earned[i], proofs[i]));
            (bool ok,) = attempt(STRANGER, address(distributor), data);
            vm.assertTrue(ok == right, "claim_all");
            if (ok) most[user(i)] = earned[i];
        }
    }

    /// Root and proofs of four leaves; the contract sorts pairs, so any order of leaves does.
    function tree(uint256[4] memory earned) internal pure returns (bytes32 root, bytes32[][4] memory proofs) {
        bytes32[4] memory leaves;
        for (uint256 i = 0; i < 4; i++) {
            leaves[i] = keccak256(bytes.concat(keccak256(abi.encode(user(i), earned[i]))));
        }
        bytes32 left = pair(leaves[0], leaves[1]);
        bytes32 right = pair(leaves[2], leaves[3]);
        root = pair(left, right);
        for (uint256 i = 0; i < 4; i++) {
            proofs[i] = new bytes32[](2);
            proofs[i][0] = leaves[i ^ 1];
            proofs[i][1] = i < 2 ? right : left;
        }
    }

    function pair(bytes32 a, bytes32 b) internal pure returns (bytes32) {
        return a < b ? keccak256(bytes.concat(a, b)) : keccak256(bytes.concat(b, a));
    }
}

contract RewardDistributorInvariants is Base {
    DistributorHandler internal handler;
    IRewardDistributor internal distributor;

    function setUp() external {
        vm.warp(1_700_000_000);
        handler = new DistributorHandler();
        distributor = handler.distributor();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    // One function, since forge would run the same calls anew for each.
    function invariant_the_books_hold() external view {
        distributed_is_funded_and_claimed_is_distributed();
        claims_stay_within_the_leaf();
    }

    /// claimed <= distributed <= funded, whatever was promised.
    function distributed_is_funded_and_claimed_is_distributed() internal view {
        vm.assertEq(distributor.funded(), handler.funded(), "funded");
        vm.assertEq(distributor.distributed(), handler.distributed(), "distributed");
        vm.assertLe(distributor.distributed(), distributor.funded(), "more distributed than funded");
        vm.assertLe(distributor.claimed_total(), distributor.distributed(), "more claimed than distributed");
        uint256 held = handler.token().balanceOf(address(distributor));
        vm.assertEq(held, distributor.funded() - distributor.claimed_total(), "held");
    }

    /// Nobody gets more than their largest leaf.
    function claims_stay_within_the_leaf() internal view {
        uint256 sum = 0;
        for (uint256 i = 0; i < USERS; i++) {
            uint256 taken = distributor.claimed(user(i));
            vm.assertEq(handler.token().balanceOf(user(i)), taken, "paid");
            vm.assertEq(taken, handler.most(user(i)), "leaf");
            sum += taken;
        }
        vm.assertEq(sum, distributor.claimed_total(), "claimed");
    }
}
