"""Corpus formats, one file each. A file's name is the format's name; listing them imports nothing."""
