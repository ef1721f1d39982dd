"""What saved predictions are worth.

Intervals are percentile bootstrap intervals over rows, or over groups where the rows come in groups; that of the
calibration error, which noise only ever raises, is reflected at the value. Two systems are compared on the same
resamples, and by a paired permutation test on the compared metric itself with 2,000 random swaps of their answers (for
the area under the curve, of the ranks of their answers). Where numbers are predicted, the p-value is taken from the
paired resamples themselves. Several pairs are corrected after Holm, and a difference is called clear where its interval
leaves out zero and the corrected p-value is small as well.
"""
