"""Is it worth it? Options, evidence, rules, costs and one recommendation. Works on records; no model is loaded.

`options` says which configured system is which option, `evidence` what the stored results show, `rules` what the
published rules of thumb say, `costs` what each option takes, `curve` and `vocabulary` what more labels and the
documents' words promise. `choose.decide()` puts them together.
"""
