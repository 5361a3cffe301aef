"""Fine-tuning: rows of a recipe, models in training, losses, the training loop, the finished model with its lineage."""
