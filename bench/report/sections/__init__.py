"""The sections of a report: one file each, with ORDER, TITLE and build(material) → blocks; no blocks, no section."""
