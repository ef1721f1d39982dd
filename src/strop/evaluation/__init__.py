"""What saved predictions are worth.

Intervals are percentile bootstrap intervals over rows, or over groups where the rows come in groups; that of the
calibration error is corrected for bias. Two systems are compared on the same resamples, and by a paired permutation
test on the compared metric itself with 2,000 random swaps of their answers; several pairs are corrected after Holm.
"""
