// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

interface IERC20 {
    function balanceOf(address holder) external view returns (uint256);
    function allowance(address holder, address spender) external view returns (uint256);
    function totalSupply() external view returns (uint256);
    function approve(address spender, uint256 amount) external returns (bool);
    function transfer(address receiver, uint256 amount) external returns (bool);
    function transferFrom(address sender, address receiver, uint256 amount) external returns (bool);
}

interface IToken is IERC20 {
    function mint(address receiver, uint256 amount) external;
}

interface IOddToken is IToken {
    function set_odd(address who, bool refuses, bool lies, bool moves_and_lies, bool silent, bool hungry) external;
}

interface IRoles {
    function owner() external view returns (address);
    function operator() external view returns (address);
    function guardian() external view returns (address);
    function pause(uint256 flags, uint256 until) external;
    function unpause(uint256 flags) external;
    function paused(uint256 flag) external view returns (bool);
}

interface IStakingPool is IRoles {
    function deposit(uint256 amount) external;
    function deposit_for(address user, uint256 amount) external;
    function withdraw(uint256 amount) external;
    function pay_withdrawals(bytes32 batch_id, address[] calldata users, uint256[] calldata amounts) external;
    function rescue(address token, address to) external;
    function total_staked() external view returns (uint256);
    function balance_of(address user) external view returns (uint256);
    function batch_done(bytes32 batch_id) external view returns (bool);
}

interface IBatchPayout is IRoles {
    function fund(uint256 amount) external;
    function defund(uint256 amount, address to) external;
    function pay(bytes32 batch_id, address[] calldata payees, uint256[] calldata amounts) external;
    function claim(address receiver) external;
    function rescue(address token, address to) external;
    function available() external view returns (uint256);
    function owed() external view returns (uint256);
    function claimable(address payee) external view returns (uint256);
    function batch_done(bytes32 batch_id) external view returns (bool);
}

interface IRewardDistributor is IRoles {
    function fund(uint256 amount) external;
    function defund(uint256 amount, address to) external;
    function post_epoch(uint256 epoch, bytes32 root, uint256 total, bytes32 statement_hash) external;
    function revoke_epoch() external;
    function set_delay(uint256 delay) external;
    function claim(address account, uint256 cumulative, bytes32[] calldata proof) external returns (uint256);
    function claimable(address account, uint256 cumulative, bytes32[] calldata proof) external view returns (uint256);
    function rescue(address token, address to) external;
    function funded() external view returns (uint256);
    function distributed() external view returns (uint256);
    function claimed_total() external view returns (uint256);
    function claimed(address account) external view returns (uint256);
    function last_epoch() external view returns (uint256);
    function root() external view returns (bytes32);
}

struct Limits {
    uint256 tvl_cap;
    uint256 deposit_cap;
    uint256 user_cap;
    uint256 withdraw_limit;
    uint256 user_withdraw_limit;
}

interface IRiskEngine {
    function set_limits(address vault, Limits calldata limits) external;
    function withdrawn_today(address vault, address user) external view returns (uint256);
    function record_withdrawal(address user, uint256 amount) external;
    function withdraw_room(address vault, address user) external view returns (uint256);
    function deposit_room(address vault, uint256 tvl, uint256 held) external view returns (uint256);
}

interface IERC4626 is IERC20 {
    event Deposit(address indexed sender, address indexed owner, uint256 assets, uint256 shares);
    event Withdraw(
        address indexed sender, address indexed receiver, address indexed owner, uint256 assets, uint256 shares
    );
    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    function asset() external view returns (address);
    function decimals() external view returns (uint8);
    function totalAssets() external view returns (uint256);
    function convertToShares(uint256 assets) external view returns (uint256);
    function convertToAssets(uint256 shares) external view returns (uint256);
    function maxDeposit(address receiver) external view returns (uint256);
    function maxMint(address receiver) external view returns (uint256);
    function maxWithdraw(address owner) external view returns (uint256);
    function maxRedeem(address owner) external view returns (uint256);
    function previewDeposit(uint256 assets) external view returns (uint256);
    function previewMint(uint256 shares) external view returns (uint256);
    function previewWithdraw(uint256 assets) external view returns (uint256);
    function previewRedeem(uint256 shares) external view returns (uint256);
    function deposit(uint256 assets, address receiver) external returns (uint256);
    function mint(uint256 shares, address receiver) external returns (uint256);
    function withdraw(uint256 assets, address receiver, address owner) external returns (uint256);
    function redeem(uint256 shares, address receiver, address owner) external returns (uint256);
}

interface IPermit {
    function permit(
        address owner, address spender, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s
    ) external;
    function nonces(address owner) external view returns (uint256);
    function DOMAIN_SEPARATOR() external view returns (bytes32);
}

interface IVault is IERC4626 {
    function request_redeem(uint256 shares, address receiver, address owner) external returns (uint256);
    function process_queue(uint256 most) external returns (uint256);
    function claim_queued(uint256 id) external;
    function claim_queued(uint256 id, address receiver) external;
    function report_loss(uint256 amount) external;
    function deploy_funds(uint256 amount) external;
    function return_funds(uint256 amount) external;
    function set_deployment(address treasury, uint256 cap) external;
    function rescue(address token, address to) external;
    function liquid_assets() external view returns (uint256);
    function queued_assets() external view returns (uint256);
    function unclaimed_assets() external view returns (uint256);
    function deployed_assets() external view returns (uint256);
    function queue_head() external view returns (uint256);
    function queue_tail() external view returns (uint256);
    function requests(uint256 id)
        external
        view
        returns (address owner, address receiver, uint256 assets, uint256 since, uint256 state);
    function pause(uint256 flags, uint256 until) external;
    function unpause(uint256 flags) external;
}
