"""Question-answering data sets, to measure with and to train on."""
