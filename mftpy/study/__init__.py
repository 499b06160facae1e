"""What quoting earns on the embedded exchange: strategies, accounts and statistics on an injected clock."""
