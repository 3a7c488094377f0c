"""The trail of what people with power did."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"

_STATEMENTS = (
    (
        "CREATE TABLE trail_entry (seq BIGINT NOT NULL, at_ms BIGINT NOT NULL,"
        " actor TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,"
        " before TEXT NOT NULL, after TEXT NOT NULL, reason TEXT NOT NULL,"
        " previous TEXT NOT NULL, hash TEXT NOT NULL,"
        " CONSTRAINT pk_trail_entry PRIMARY KEY (seq))"
    ),
    "CREATE INDEX ix_trail_entry_subject_seq ON trail_entry (subject, seq)",
    "CREATE INDEX ix_trail_entry_actor_seq ON trail_entry (actor, seq)",
    (
        "CREATE TABLE trail_head (id INTEGER NOT NULL, seq BIGINT NOT NULL,"
        " hash TEXT NOT NULL, CONSTRAINT pk_trail_head PRIMARY KEY (id))"
    ),
)

_TRIGGERS = {
    "sqlite": (
        (
            "CREATE TRIGGER trail_entry_no_update BEFORE UPDATE ON trail_entry"
            " BEGIN SELECT RAISE(ABORT, 'trail_entry rows are never changed'); END"
        ),
        (
            "CREATE TRIGGER trail_entry_no_delete BEFORE DELETE ON trail_entry"
            " BEGIN SELECT RAISE(ABORT, 'trail_entry rows are never deleted'); END"
        ),
    ),
    "postgresql": (
        (
            "CREATE FUNCTION trail_entry_refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'trail_entry rows are never changed or deleted'; END $$"
        ),
        (
            "CREATE TRIGGER trail_entry_no_update BEFORE UPDATE ON trail_entry"
            " FOR EACH ROW EXECUTE FUNCTION trail_entry_refuse()"
        ),
        (
            "CREATE TRIGGER trail_entry_no_delete BEFORE DELETE ON trail_entry"
            " FOR EACH ROW EXECUTE FUNCTION trail_entry_refuse()"
        ),
        (
            "CREATE TRIGGER trail_entry_no_truncate BEFORE TRUNCATE ON trail_entry"
            " FOR EACH STATEMENT EXECUTE FUNCTION trail_entry_refuse()"
        ),
    ),
}


def upgrade() -> None:
    connection = op.get_bind()
    for statement in _STATEMENTS + _TRIGGERS[connection.dialect.name]:
        connection.exec_driver_sql(statement)
