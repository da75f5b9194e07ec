"""Languages without a lexicon: their letters are the symbols that the acoustic model reads."""
