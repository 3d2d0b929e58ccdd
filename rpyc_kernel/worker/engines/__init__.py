"""What turns source into effects: one file for each engine, and what belongs to one of them."""
