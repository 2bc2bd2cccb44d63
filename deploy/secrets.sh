#!/bin/sh
# Makes the secrets that docker-compose.yml names, a file each in ./secrets, and keeps those there are.
# Letters and digits only: Temporal's server puts its password into a file of YAML.
set -eu
mkdir -p secrets
# Only its owner sees into the folder. A container is given single files of it, and reads them as a
# user of its own: they are readable for whoever has them.
chmod 700 secrets
for name in postgres_password temporal_database_password assister_database_password \
    assister_portal_secret; do
    [ -s "secrets/$name" ] && continue
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "secrets/$name.new"
    mv "secrets/$name.new" "secrets/$name"
    echo "made secrets/$name"
done
# Empty until a relay wants a sign-in.
: >> secrets/assister_smtp_password
chmod 444 secrets/*
