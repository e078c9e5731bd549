// Quantiles out of histograms: counts of observations by their upper limits.

/** The element-wise sum of two lists of counts. */
export const added = (one, other) => one.map((value, at) => value + other[at]);

/** What was counted between two readings; null if a counter began anew. */
export function between(before, now) {
  const grown = now.map((value, at) => value - before[at]);
  return grown.some((value) => value < 0) ? null : grown;
}

/** Values below which the given shares of the observations lie, interpolated within a bucket as
 *  Prometheus does; null where there are none. `counts` has one more than `limits`: all above. */
export function quantiles(counts, limits, shares) {
  const total = counts.reduce((sum, value) => sum + value, 0);
  if (!total) return shares.map(() => null);
  return shares.map((share) => {
    let below = 0;
    for (let at = 0; at < limits.length; at++) {
      const upTo = below + counts[at];
      if (counts[at] && upTo >= share * total) {
        const from = at ? limits[at - 1] : 0;
        return from + ((share * total - below) / counts[at]) * (limits[at] - from);
      }
      below = upTo;
    }
    return limits.at(-1);
  });
}
