"""What commands show on a terminal: plans, costs, searches and runs as text."""
