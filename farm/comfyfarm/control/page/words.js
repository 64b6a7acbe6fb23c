// Numbers and texts for people.

export function duration(ms) {
  if (ms < 60000) return `${+(ms / 1000).toFixed(ms % 1000 ? 1 : 0)} s`;
  const minutes = Math.floor(ms / 60000), seconds = Math.floor((ms % 60000) / 1000);
  return `${minutes}:${String(seconds).padStart(2, "0")} min`;
}

export const clip = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);

/** A number and its noun: "1 job", "2 jobs". */
export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
