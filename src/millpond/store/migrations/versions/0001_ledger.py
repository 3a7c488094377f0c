"""The ledger: assets, accounts, transfers, open reservations, assertions."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    """CREATE TABLE ledger_asset (
    code TEXT NOT NULL,
    decimals INTEGER NOT NULL,
    CONSTRAINT pk_ledger_asset PRIMARY KEY (code),
    CONSTRAINT uq_ledger_asset_code_decimals UNIQUE (code, decimals),
    CONSTRAINT ck_ledger_asset_decimals CHECK (decimals BETWEEN 0 AND 36)
)""",
    """CREATE TABLE ledger_account (
    id {serial} NOT NULL,
    path TEXT NOT NULL,
    type TEXT NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    asset TEXT NOT NULL,
    decimals INTEGER NOT NULL,
    overdraft BOOLEAN NOT NULL,
    debits_posted {amount} NOT NULL,
    credits_posted {amount} NOT NULL,
    debits_pending {amount} NOT NULL,
    credits_pending {amount} NOT NULL,
    available {amount} NOT NULL,
    created_ms BIGINT NOT NULL,
    CONSTRAINT pk_ledger_account PRIMARY KEY (id),
    CONSTRAINT uq_ledger_account_id_asset UNIQUE (id, asset),
    CONSTRAINT fk_ledger_account_asset_decimals_ledger_asset FOREIGN KEY(asset, decimals) REFERENCES ledger_asset (code, decimals),
    CONSTRAINT ck_ledger_account_type CHECK (type IN ('asset', 'liability', 'income', 'expense', 'equity')),
    CONSTRAINT ck_ledger_account_path CHECK (path = type || ':' || owner || ':' || name || ':' || asset),
    CONSTRAINT ck_ledger_account_overdraft CHECK (type = 'asset' OR NOT overdraft),
    CONSTRAINT ck_ledger_account_debits_posted CHECK ({debits_posted_natural}),
    CONSTRAINT ck_ledger_account_credits_posted CHECK ({credits_posted_natural}),
    CONSTRAINT ck_ledger_account_debits_pending CHECK ({debits_pending_natural}),
    CONSTRAINT ck_ledger_account_credits_pending CHECK ({credits_pending_natural}),
    CONSTRAINT ck_ledger_account_never_below_zero CHECK (overdraft OR type NOT IN ('asset', 'liability') OR {available_not_negative}),
    {available_equals}
    CONSTRAINT uq_ledger_account_path UNIQUE (path)
)""",
    """CREATE INDEX ix_ledger_account_owner_name ON ledger_account (owner, name)""",
    """CREATE INDEX ix_ledger_account_type_name ON ledger_account (type, name)""",
    """CREATE TABLE ledger_transfer (
    seq {serial} NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    debit_id {id} NOT NULL,
    credit_id {id} NOT NULL,
    asset TEXT NOT NULL,
    amount {amount} NOT NULL,
    debit_after {amount} NOT NULL,
    credit_after {amount} NOT NULL,
    code TEXT NOT NULL,
    reference TEXT NOT NULL,
    pending_id TEXT,
    timeout_ms BIGINT,
    created_ms BIGINT NOT NULL,
    CONSTRAINT pk_ledger_transfer PRIMARY KEY (seq),
    CONSTRAINT fk_ledger_transfer_debit_id_asset_ledger_account FOREIGN KEY(debit_id, asset) REFERENCES ledger_account (id, asset),
    CONSTRAINT fk_ledger_transfer_credit_id_asset_ledger_account FOREIGN KEY(credit_id, asset) REFERENCES ledger_account (id, asset),
    CONSTRAINT ck_ledger_transfer_kind CHECK (kind IN ('posted', 'pending', 'post', 'void', 'expired')),
    CONSTRAINT ck_ledger_transfer_two_accounts CHECK (debit_id <> credit_id),
    CONSTRAINT ck_ledger_transfer_pending_id CHECK ((pending_id IS NULL) = (kind IN ('posted', 'pending'))),
    CONSTRAINT ck_ledger_transfer_timeout CHECK (timeout_ms IS NULL OR (kind = 'pending' AND timeout_ms > 0)),
    CONSTRAINT ck_ledger_transfer_amount CHECK ({amount_positive}),
    CONSTRAINT uq_ledger_transfer_id UNIQUE (id),
    CONSTRAINT uq_ledger_transfer_pending_id UNIQUE (pending_id),
    CONSTRAINT fk_ledger_transfer_pending_id_ledger_transfer FOREIGN KEY(pending_id) REFERENCES ledger_transfer (id)
)""",
    """CREATE INDEX ix_ledger_transfer_credit_id_seq ON ledger_transfer (credit_id, seq)""",
    """CREATE INDEX ix_ledger_transfer_debit_id_seq ON ledger_transfer (debit_id, seq)""",
    """CREATE INDEX ix_ledger_transfer_reference ON ledger_transfer (reference, seq) WHERE reference <> ''""",
    """CREATE TABLE ledger_pending (
    seq {id} NOT NULL,
    expires_ms BIGINT,
    CONSTRAINT pk_ledger_pending PRIMARY KEY (seq),
    CONSTRAINT fk_ledger_pending_seq_ledger_transfer FOREIGN KEY(seq) REFERENCES ledger_transfer (seq)
)""",
    """CREATE INDEX ix_ledger_pending_expires_ms ON ledger_pending (expires_ms)""",
    """CREATE TABLE ledger_assertion (
    id {serial} NOT NULL,
    path TEXT NOT NULL,
    expected {amount} NOT NULL,
    found {amount} NOT NULL,
    holds BOOLEAN NOT NULL,
    source TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    CONSTRAINT pk_ledger_assertion PRIMARY KEY (id)
)""",
    """CREATE INDEX ix_ledger_assertion_path ON ledger_assertion (path)""",
)

_SUMS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")

_WORDS = {
    "sqlite": {
        "serial": "INTEGER",
        "id": "INTEGER",
        "amount": "TEXT",
        "amount_positive": "amount GLOB '[1-9]*' AND amount NOT GLOB '*[^0-9]*'",
        "available_not_negative": "available NOT GLOB '-*'",
        "available_equals": "",
        **{
            f"{name}_natural": f"{name} = '0' OR ({name} GLOB '[1-9]*' AND {name} NOT GLOB '*[^0-9]*')"
            for name in _SUMS
        },
    },
    "postgresql": {
        "serial": "BIGSERIAL",
        "id": "BIGINT",
        "amount": "NUMERIC(78, 0)",
        "amount_positive": "amount > 0",
        "available_not_negative": "available >= 0",
        "available_equals": (
            "CONSTRAINT ck_ledger_account_available CHECK (available ="
            " CASE WHEN type IN ('asset', 'expense')"
            " THEN debits_posted - credits_posted - credits_pending"
            " ELSE credits_posted - debits_posted - debits_pending END),"
        ),
        **{f"{name}_natural": f"{name} >= 0" for name in _SUMS},
    },
}

_GUARDED = {
    "ledger_transfer": "",
    "ledger_assertion": "",
    "ledger_account": " OF id, path, type, owner, name, asset, decimals, overdraft",
}

_TRIGGERS = {
    "sqlite": (
        (
            "CREATE TRIGGER {table}_no_update BEFORE UPDATE{of} ON {table}"
            " BEGIN SELECT RAISE(ABORT, '{table} rows are never changed'); END"
        ),
        (
            "CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}"
            " BEGIN SELECT RAISE(ABORT, '{table} rows are never deleted'); END"
        ),
    ),
    "postgresql": (
        (
            "CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION '{table} rows are never changed or deleted'; END $$"
        ),
        (
            "CREATE TRIGGER {table}_no_update BEFORE UPDATE{of} ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"
        ),
        (
            "CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"
        ),
        (
            "CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
        ),
    ),
}


def upgrade() -> None:
    connection = op.get_bind()
    dialect = connection.dialect.name
    for statement in _STATEMENTS:
        connection.exec_driver_sql(statement.format(**_WORDS[dialect]))
    for table, columns in _GUARDED.items():
        for trigger in _TRIGGERS[dialect]:
            connection.exec_driver_sql(trigger.format(table=table, of=columns))
