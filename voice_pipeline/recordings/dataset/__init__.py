"""From measured utterances to a dataset: decisions, review, duplicates, split, manifest, exports, page, verdicts."""
