"""Behaviour over a data set: units knocked out, failures searched for, layers compared, classes told apart."""
