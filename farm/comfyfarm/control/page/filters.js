// Filters of events and requests, as the journal's (GET /api/journal).  Pure.

/** Kinds of which there are so many that the log shows them only if they are asked for. */
export const NOISE = new Set(["progressed", "frame_sent", "picture_sent", "judged", "node_started", "node_finished"]);

export const LOG_KEYS = ["instance", "kind", "job", "prompt_id", "client", "type", "text"];
export const REQUEST_KEYS = ["instance", "route", "method", "status", "job", "prompt_id", "client"];

/** Return the latest events that match, newest first. */
export function latest(events, wanted, count) {
  const tests = Object.entries(wanted).filter(([, text]) => text).map(([key, text]) => test_of(key, text));
  const found = [];
  for (let index = events.length - 1; index >= 0 && found.length < count; index -= 1) {
    if (tests.every((test) => test(events[index]))) found.push(events[index]);
  }
  return found;
}

function test_of(key, text) {
  const is_match = matcher(text);
  return (event) => values_of(event, key).some((value) => value !== undefined && value !== null && is_match(String(value)));
}

/** A text with `*` or `?` is a glob for the whole value; any other is looked for within it. */
export function matcher(text) {
  if (!/[*?]/.test(text)) return (value) => value.includes(text);
  const pattern = text.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  const whole = new RegExp(`^${pattern}$`, "s");
  return (value) => whole.test(value);
}

function values_of(event, key) {
  switch (key) {
    case "client": return [event.client_id, ...(event.to || [])];
    case "prompt_id": return [event.prompt_id, ...(event.prompt_ids || []), ...(event.lost || [])];
    case "route": return [(event.path || "").replace(/^\/api(?=\/)/, "")];
    case "text": return [JSON.stringify(event)];
    default: return [event[key]];
  }
}
