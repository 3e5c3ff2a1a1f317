#!/bin/sh
# The examples of the API guide, as it writes them, with its address, key and ids replaced. Needs curl.
#   guide.sh BASE_URL KEY ACCOUNT
set -eu
BASE=$1 KEY=$2 ID=$3
get() { curl --fail --silent --show-error -H "Authorization: Bearer $KEY" "$@"; echo; }
running() { until get "$BASE/containers/status/$1" | grep -q '"status": "running"'; do sleep 0.1; done; }

# List Containers
get "$BASE/containers"
# Create Container, polling for completion, status, credentials
get -X POST -H "Content-Type: application/json" -d '{"name":"my-api","template":"nodejs","plan":"basic"}' "$BASE/containers"
running "$ID-my-api"
get "$BASE/containers/status/$ID-my-api"
# Deploy an Application
get -X POST -H "Content-Type: application/json" -d '{"name":"my-app","template":"nodejs","plan":"basic"}' "$BASE/containers"
get "$BASE/containers/status/$ID-my-app"
running "$ID-my-app"
get "$BASE/containers/$ID-my-app/credentials"
# Connect App to Database
get -X POST -H "Content-Type: application/json" -d '{"name":"my-db","template":"postgresql","plan":"basic"}' "$BASE/containers"
running "$ID-my-db"
get "$BASE/containers/$ID-my-db/credentials"
get -X POST -H "Content-Type: application/json" -d '{"connectionName":"primary-db"}' "$BASE/containers/$ID-my-app/connect/$ID-my-db"
get -X PUT -H "Content-Type: application/json" -d '{"status":"restart"}' "$BASE/containers/$ID-my-app/status"
# Expose a Container Publicly with IP Restrictions
get -X PUT -H "Content-Type: application/json" -d '{"enabled":true}' "$BASE/containers/$ID-my-db/external-access"
get -X POST -H "Content-Type: application/json" -d '{"ip_address":"198.51.100.0/24","description":"Production servers","service_type":"both"}' "$BASE/containers/$ID-my-db/allowed-ips"
get "$BASE/containers/$ID-my-db/allowed-ips"
# Backup Before a Risky Change
get -X POST "$BASE/containers/$ID-my-db/backup"
until get "$BASE/containers/$ID-my-db/backups" | grep -q '"completed"'; do sleep 0.1; done
get "$BASE/containers/$ID-my-db/backups"
get -X POST "$BASE/backups/1/pin"
