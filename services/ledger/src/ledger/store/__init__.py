"""The only SQL: `commands` books, `queries` reads, `snapshots` sums up, `tables` describes what they work on. Nothing
here changes or deletes a booked row."""
