"""What the project knows, in the formats of others. A file's name is the kind's name in `bench export KIND`."""
