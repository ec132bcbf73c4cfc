"""Training: optimisers, schedules, recipes, the loop, and snapshots that lose nothing."""
