#!/bin/sh
# Runs once at each `docker compose up`, and a repetition is harmless. It waits for the cluster, makes the
# namespace and its search attributes, and sets its retention.
set -eu
tries=60
until timeout 5 temporal operator cluster health; do
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ]; then
        echo "Temporal at $TEMPORAL_ADDRESS is not healthy: see docker compose logs temporal" >&2
        exit 1
    fi
    sleep 2
done
if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" > /dev/null 2>&1; then
    temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
else
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
fi
# A new namespace is unknown to parts of the server for some seconds, so the first tries may fail.
tries=30
for attribute in AssisterStage=Keyword AssisterType=Keyword AgencyId=Keyword \
    WaitingOn=KeywordList NeedsAttention=Keyword NextDeadline=Datetime CertifiedThrough=Datetime; do
    until temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
        --name "${attribute%%=*}" --type "${attribute##*=}"; do
        tries=$((tries - 1))
        if [ "$tries" -le 0 ]; then
            echo "the search attribute $attribute cannot be made" >&2
            exit 1
        fi
        sleep 2
    done
done
