"""Tables that only grow: the database itself refuses to change or delete their rows."""

from __future__ import annotations

from sqlalchemy import DDL, Table, event


def refuse_changes(table: Table, *, columns: str = "") -> None:
    """Have the database refuse changes (of `columns`, or at all) and deletion.

    A migration that makes the table must make the same triggers.
    """
    of = f" OF {columns}" if columns else ""
    for dialect, lines in refusing_statements(table.name, of=of).items():
        for line in lines:
            statement = DDL(line).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
            event.listen(table, "after_create", statement)


def refusing_statements(name: str, *, of: str = "") -> dict[str, tuple[str, ...]]:
    """The triggers by dialect; `of` is ` OF a, b` where only some columns are fixed."""
    return {
        "sqlite": (
            (
                f"CREATE TRIGGER {name}_no_update BEFORE UPDATE{of} ON {name}"
                f" BEGIN SELECT RAISE(ABORT, '{name} rows are never changed'); END"
            ),
            (
                f"CREATE TRIGGER {name}_no_delete BEFORE DELETE ON {name}"
                f" BEGIN SELECT RAISE(ABORT, '{name} rows are never deleted'); END"
            ),
        ),
        "postgresql": (
            (
                f"CREATE FUNCTION {name}_refuse() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$ BEGIN RAISE EXCEPTION '{name} rows are never changed or deleted'; END $$"
            ),
            (
                f"CREATE TRIGGER {name}_no_update BEFORE UPDATE{of} ON {name}"
                f" FOR EACH ROW EXECUTE FUNCTION {name}_refuse()"
            ),
            (
                f"CREATE TRIGGER {name}_no_delete BEFORE DELETE ON {name}"
                f" FOR EACH ROW EXECUTE FUNCTION {name}_refuse()"
            ),
            (
                f"CREATE TRIGGER {name}_no_truncate BEFORE TRUNCATE ON {name}"
                f" FOR EACH STATEMENT EXECUTE FUNCTION {name}_refuse()"
            ),
        ),
    }
