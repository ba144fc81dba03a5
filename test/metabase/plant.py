"""The plant's database, asked as Metabase would: with the details that it was
given, as the role in them, by psql.

Copyright (c) 2026, factorymon contributors; PostgreSQL License
"""

import csv
import io
import os
import subprocess

# No value of a row is this.
NULL = "\x01null"
TIMEOUT = 60

# What the role may select from, as Metabase looks for it: by privilege on any
# column, in the schemas of the filter.
VISIBLE = """
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'f', 'm')
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND has_schema_privilege(n.oid, 'usage')
    AND has_any_column_privilege(c.oid, 'select')
ORDER BY 1, 2
"""


class QueryFailed(Exception):
    """PostgreSQL, or the way to it, said no."""


def objection_to(sql):
    """What Metabase would take for something else in native SQL, or None."""
    for text, why in (("?", "a parameter"), ("{{", "a variable"),
                      ("[[", "an optional part"), (";", "the end")):
        if text in sql:
            return f"\"{text}\" in the query stands for {why}"
    return None


def run(psql, details, sql):
    """Names of the columns, and the rows as lists of text and None."""
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith("PG")}
    environment |= {
        "PGHOST": details["host"], "PGPORT": str(details.get("port", 5432)),
        "PGDATABASE": details["dbname"], "PGUSER": details["user"],
        "PGPASSWORD": details.get("password", ""), "PGCONNECT_TIMEOUT": "10",
        "PGCLIENTENCODING": "UTF8",
    }
    command = [psql, "-X", "-q", "-w", "--csv", "-v", "ON_ERROR_STOP=1",
               "-P", f"null={NULL}", "-f", "-"]
    try:
        done = subprocess.run(command, input=sql.encode(), env=environment,
                              capture_output=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise QueryFailed(f"no answer within {TIMEOUT} s")
    if done.returncode != 0:
        raise QueryFailed(done.stderr.decode("utf-8", "replace").strip())
    lines = list(csv.reader(io.StringIO(done.stdout.decode())))
    rows = [[None if value == NULL else value for value in line]
            for line in lines[1:]]
    return (lines[0] if lines else []), rows


def visible(psql, details):
    """(schema, name) of all that the role sees through the schema filter."""
    _, rows = run(psql, details, VISIBLE)
    patterns = [part.strip() for part in
                details.get("schema-filters-patterns", "").split(",")]
    kind = details.get("schema-filters-type", "all")
    return [(schema, name) for schema, name in rows
            if kind == "all" or (schema in patterns) == (kind == "inclusion")]
