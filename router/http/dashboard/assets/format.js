// Numbers as people read them. What is not known is a dash.

const DASH = "–";
const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

export const count = (value) => (known(value) ? plain.format(value) : DASH);
export const compact = (value) => (!known(value) ? DASH : value < 1000 ? plain.format(value) : short.format(value));
/** A share of 1. */
export function percent(share) {
  if (!known(share)) return DASH;
  if (share > 0 && share < 0.0005) return "<0.1%";
  return `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)}%`;
}
export const rate = (value) => (!known(value) ? DASH : value > 0 && value < 10 ? value.toFixed(1) : compact(value));
export const watts = (value) => (known(value) ? `${plain.format(value)} W` : DASH);

/** Seconds with the unit that suits them. */
export function seconds(value) {
  if (!known(value)) return DASH;
  if (value === 0) return "0";
  if (value < 0.001) return `${(1e6 * value).toFixed(0)} µs`;
  if (value < 0.01) return `${(1e3 * value).toFixed(1)} ms`;
  if (value < 1) return `${(1e3 * value).toFixed(0)} ms`;
  if (value < 60) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

/** The time of day, of seconds since the epoch. */
export const clock = (at) => new Date(1000 * at).toLocaleTimeString([], { hourCycle: "h23" });
