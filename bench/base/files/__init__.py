"""Files as people write them: lines, JSON lines, tables, judgements."""
