"""What happens around a stage's work: fingerprint, ledger, resources, heartbeat, result line."""
