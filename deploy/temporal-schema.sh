#!/bin/sh
# Runs once at each `docker compose up`, and a repetition is harmless. It makes Temporal's two schemas, or
# updates them to the server's version.
set -eu
SQL_PASSWORD=$(cat /run/secrets/temporal_database_password)
export SQL_PASSWORD
for pair in temporal:temporal temporal_visibility:visibility; do
    database=${pair%%:*}
    tool="temporal-sql-tool --plugin postgres12 --ep postgres --port 5432 --user temporal --db $database"
    $tool setup-schema --version 0.0
    $tool update-schema --schema-dir "/etc/temporal/schema/postgresql/v12/${pair##*:}/versioned"
done
