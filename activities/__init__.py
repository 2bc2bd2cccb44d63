"""What touches the world: records, mail and the portal, one idempotent act each."""
