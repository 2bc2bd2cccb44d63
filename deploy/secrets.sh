#!/bin/sh
# Makes a file in ./secrets for each secret that docker-compose.yml names, and keeps existing ones.
# Secrets have letters and digits only, because Temporal's server puts its password into a YAML file.
set -eu
mkdir -p secrets
# Only the owner can enter the folder. A container mounts single files and reads them as another user, so
# the files are readable for everybody.
chmod 700 secrets
for name in postgres_password temporal_database_password assister_database_password \
    assister_portal_secret; do
    [ -s "secrets/$name" ] && continue
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "secrets/$name.new"
    mv "secrets/$name.new" "secrets/$name"
    echo "made secrets/$name"
done
# The file stays empty until a relay wants a sign-in.
: >> secrets/assister_smtp_password
chmod 444 secrets/*
