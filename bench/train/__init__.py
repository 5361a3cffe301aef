"""From training queries to a fine-tuned model: pairs made and filtered, hard negatives mined, training, lineage.

In: a suite's train and dev sets, files of pairs, clicks, language models.
Out: pair files, negatives, model folders with their lineage.
Never reads a held-out or out-of-distribution query set: `training_set` refuses to hand one out.
"""
