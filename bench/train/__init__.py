"""From judged training queries to a fine-tuned model: pairs, hard negatives, fine-tuning, lineage.

Nothing here reads a held-out or out-of-distribution query set: `suite.training_set` refuses to hand one out.
"""
