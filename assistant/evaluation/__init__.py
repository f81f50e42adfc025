"""How good it is: data sets, measures, reports. Data sets are what the reader is trained on, too."""
