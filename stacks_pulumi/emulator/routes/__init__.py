"""HTTP to rules and back: one thin module per noun, and the table that lists every operation."""
