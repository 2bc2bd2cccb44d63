#!/bin/sh
# Runs once at each `docker compose up`, and a repetition is harmless. It makes the roles and databases of
# Temporal and of the records, and sets the roles' passwords from ./secrets.
set -eu
export PGHOST=postgres PGUSER=postgres PGCONNECT_TIMEOUT=10
PGPASSWORD=$(cat /run/secrets/postgres_password)
export PGPASSWORD

role() {
    psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 <<SQL
\\set password \`cat /run/secrets/$1_database_password\`
SELECT 'CREATE ROLE $1 LOGIN'
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$1') \\gexec
ALTER ROLE $1 PASSWORD :'password';
SQL
}

database() {
    psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 <<SQL
SELECT 'CREATE DATABASE $1 OWNER $2 TEMPLATE template0 ENCODING ''UTF8'''
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '$1') \\gexec
REVOKE ALL ON DATABASE $1 FROM PUBLIC;
SQL
}

role temporal
role assister
database temporal temporal
database temporal_visibility temporal
database assister assister
echo "roles and databases are there"
