// Requests to the control API, and how each is written for a shell and in a test.

/** Send a request; resolves with the decoded answer, rejects with the farm's own words. */
export async function request(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  const answer = await fetch(path, options).catch(() => { throw new Error("the farm does not answer"); });
  const text = await answer.text();
  const isJson = (answer.headers.get("content-type") || "").includes("json");
  const content = isJson && !path.includes("/api/log") ? JSON.parse(text) : text;
  if (!answer.ok) throw new Error(content.error || text || `status ${answer.status}`);
  return content;
}

export const get = (path) => request("GET", path);

/** An action: a request, and the line of Python that does the same in a test. */
export function action(label, method, path, body, python) {
  return { label, method, path, body, python };
}

export function curl({ method, path, body }) {
  const verb = method === (body === undefined ? "GET" : "POST") ? "" : ` -X ${method}`;
  const data = body === undefined ? "" : ` -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`;
  return `curl${verb} ${location.origin}${path}${data}`;
}

/** Write a JSON value as Python. */
export function literal(value) {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value);
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([key, item]) => `${literal(key)}: ${literal(item)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** Write a table as keyword arguments. */
export function keywords(table) {
  return Object.entries(table).map(([key, value]) => `${key}=${literal(value)}`).join(", ");
}

const on = (name, verb) => `/api/instances/${encodeURIComponent(name)}/${verb}`;

export const HANDS = {
  crash: (name) => action("crash", "POST", on(name, "crash"), {}, `farm.control.crash(${literal(name)})`),
  restart: (name) => action("restart", "POST", on(name, "restart"), undefined, `farm.control.restart(${literal(name)})`),
  stop: (name) => action("stop", "POST", on(name, "stop"), undefined, `farm.control.stop(${literal(name)})`),
  start: (name) => action("start", "POST", on(name, "start"), undefined, `farm.control.start(${literal(name)})`),
  pause: (name) => action("pause", "POST", on(name, "pause"), undefined, `farm.control.pause(${literal(name)})`),
  resume: (name) => action("resume", "POST", on(name, "resume"), undefined, `farm.control.resume(${literal(name)})`),
  drain: (name, isOn) => action(
    isOn ? "drain" : "undrain", "POST", on(name, "drain"), { on: isOn },
    `farm.control.drain(${literal(name)}, on=${literal(isOn)})`,
  ),
  resetOne: (name) => action("reset", "POST", on(name, "reset"), {}, `farm.reset(${literal(name)})`),

  reset: () => action("reset all", "POST", "/api/reset", {}, "farm.reset()"),
  trial: () => action("new trial", "POST", "/api/trial", {}, "farm.trial()"),
  heal: () => action("heal", "POST", "/api/heal", undefined, "farm.heal()"),

  arm: (table) => action("arm", "POST", "/api/faults", table, `farm.control.arm(${keywords(table)})`),
  disarm: (id) => action(
    "remove", "DELETE", `/api/faults/${encodeURIComponent(id)}`, undefined, `farm.control.remove_fault(${literal(id)})`,
  ),
  hold: (table) => action("hold", "POST", "/api/gates", table, `farm.control.hold(${keywords(table)})`),
  release: (id) => action(
    "let go", "POST", `/api/gates/${encodeURIComponent(id)}/release`, {}, `farm.control.release(${literal(id)})`,
  ),
  open: (id) => action(
    "open", "DELETE", `/api/gates/${encodeURIComponent(id)}`, undefined, `farm.control.open_gate(${literal(id)})`,
  ),
  scenario: (table) => action(
    "start scenario", "POST", "/api/scenarios", table, `farm.control.start_scenario(${keywords(table)})`,
  ),

  freeze: (isOn) => action(
    isOn ? "freeze" : "go on", "POST", "/api/clock", { freeze: isOn }, `farm.control.freeze(${literal(isOn)})`,
  ),
  speed: (speed) => action("speed", "POST", "/api/clock", { speed }, `farm.control.speed(${literal(speed)})`),
  advance: (advance) => action("advance", "POST", "/api/clock", { advance }, `farm.advance(${literal(advance)})`),
  runUntilIdle: () => action(
    "run until idle", "POST", "/api/clock", { run_until_idle: true }, "farm.run_until_idle()",
  ),
  auto: (isOn) => action(
    isOn ? "auto" : "auto off", "POST", "/api/clock", { auto: isOn }, `farm.control.auto(${literal(isOn)})`,
  ),
};
