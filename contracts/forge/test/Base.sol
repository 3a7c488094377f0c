// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IOddToken} from "./Contracts.sol";
import {Vm} from "./Vm.sol";

/// People, deployment from Vyper's artifacts, and calls whose refusal is an answer.
abstract contract Base {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address internal constant OWNER = address(0xA11);
    address internal constant OPERATOR = address(0xB0B);
    address internal constant GUARDIAN = address(0xCAFE);
    address internal constant STRANGER = address(0xBAD);
    uint256 internal constant USERS = 4;
    // Enough for any call here but one that a hungry token eats.
    uint256 internal constant GAS = 4_000_000;

    function user(uint256 seed) internal pure returns (address) {
        return address(uint160(0x1000 + seed % USERS));
    }

    function create(string memory name, bytes memory args) internal returns (address made) {
        bytes memory code = abi.encodePacked(vm.getCode(string.concat("code/", name, ".json")), args);
        assembly {
            made := create(0, add(code, 32), mload(code))
        }
        require(made != address(0), name);
    }

    /// `seed` brought into low..high.
    function between(uint256 seed, uint256 low, uint256 high) internal pure returns (uint256) {
        if (seed >= low && seed <= high) return seed;
        uint256 size = high - low + 1;
        return size == 0 ? seed : low + seed % size;
    }

    /// An amount from 1 up to 2**bits, small ones as likely as large ones.
    function amountOf(uint256 seed, uint256 bits) internal pure returns (uint256) {
        return 1 + uint256(keccak256(abi.encode(seed))) % (2 ** (1 + seed % bits));
    }

    /// Call `to` as `sender`; never reverts.
    function attempt(address sender, address to, bytes memory data) internal returns (bool ok, bytes memory answer) {
        vm.prank(sender);
        (ok, answer) = to.call{gas: GAS}(data);
    }

    /// Call `to` as `sender`, which must work.
    function must(address sender, address to, bytes memory data) internal returns (bytes memory answer) {
        bool ok;
        (ok, answer) = attempt(sender, to, data);
        vm.assertTrue(ok, reasonOf(answer));
    }

    /// Call `to` as `sender`, which must be refused with this reason.
    function refused(address sender, address to, bytes memory data, string memory reason) internal {
        (bool ok, bytes memory answer) = attempt(sender, to, data);
        vm.assertTrue(!ok, string.concat("not refused: ", reason));
        vm.assertEq(reasonOf(answer), reason, "reason");
    }

    /// The string of a revert; empty for any other failure.
    function reasonOf(bytes memory answer) internal pure returns (string memory) {
        if (answer.length < 68 || bytes4(answer) != 0x08c379a0) return "";
        assembly {
            answer := add(answer, 68)
        }
        return string(abi.encodePacked(answer));
    }
}

/// A handler with a token that treats some people badly.
abstract contract Handler is Base {
    enum Way {
        Well,
        Refuses,
        Lies,
        Hungry
    }

    IOddToken public immutable token;
    mapping(address => Way) internal way;
    uint256 internal batches;

    constructor() {
        token = IOddToken(create("OddToken", abi.encode(uint8(18))));
    }

    function give(address who, uint256 amount, address spender) internal {
        token.mint(who, amount);
        vm.prank(who);
        token.approve(spender, type(uint256).max);
    }

    /// The token treats a user well or badly from now on.
    function treat(uint256 who, uint256 seed) external {
        Way chosen = seed % 2 == 0 ? Way.Well : Way(seed / 2 % 4);
        way[user(who)] = chosen;
        token.set_odd(user(who), chosen == Way.Refuses, chosen == Way.Lies, false, false, chosen == Way.Hungry);
    }

    function batchId(uint256 number) internal pure returns (bytes32) {
        return keccak256(abi.encode("batch", number));
    }

    function list(uint256 first, uint256[4] memory amounts) internal pure returns (address[] memory, uint256[] memory) {
        address[] memory users = new address[](4);
        uint256[] memory sums = new uint256[](4);
        for (uint256 i = 0; i < 4; i++) {
            users[i] = user(first / 4 ** i);
            sums[i] = amounts[i];
        }
        return (users, sums);
    }
}
