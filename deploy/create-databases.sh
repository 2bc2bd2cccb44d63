#!/bin/sh
# One-shot: Temporal's two schemas, made or brought up to date.
set -eu
export SQL_PASSWORD="$POSTGRES_PWD"
tool="temporal-sql-tool --plugin postgres12 --ep $POSTGRES_SEEDS --port $DB_PORT --user $POSTGRES_USER"
for pair in temporal:temporal temporal_visibility:visibility; do
    database=${pair%%:*}
    schema=/etc/temporal/schema/postgresql/v12/${pair##*:}/versioned
    $tool --db "$database" create || true
    $tool --db "$database" setup-schema --version 0.0 || true
    $tool --db "$database" update-schema --schema-dir "$schema"
done
