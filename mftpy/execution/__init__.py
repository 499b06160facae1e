"""Orders from intention to fill: slots, budget, position."""
