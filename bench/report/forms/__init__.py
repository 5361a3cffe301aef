"""The forms in which blocks are written: page, Markdown, JSON, terminal, JUnit, comment."""
