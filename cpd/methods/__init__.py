"""What writes adapters from a condition: COND P-DIFF, and controls."""
