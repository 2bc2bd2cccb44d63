#!/bin/sh
# One-shot: waits for the cluster, then makes the namespace and the search attributes.
set -eu
until temporal operator cluster health; do sleep 2; done
temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" \
    || temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 90d
for attribute in AssisterStage=Keyword AssisterType=Keyword AgencyId=Keyword \
    WaitingOn=KeywordList NeedsAttention=Keyword NextDeadline=Datetime CertifiedThrough=Datetime; do
    temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
        --name "${attribute%%=*}" --type "${attribute##*=}"
done
