"""The only SQL: `commands` is the money path, `queries` reads, `tables` describes what both work on."""
