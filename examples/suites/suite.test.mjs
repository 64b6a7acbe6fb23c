// A service in Node, tested with node --test. The farm is a child process that ends with the test run.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

const folder = mkdtempSync(join(tmpdir(), "farm-"));
let child, farm;

before(async () => {
  const ready = join(folder, "ready.json");
  const options = ["--instances", "2", "--dynamic", "--port", "0", "--control-port", "0", "--exit-with-parent"];
  child = spawn("comfyfarm", ["run", ...options, "--ready-file", ready], { stdio: ["ignore", "ignore", "inherit"] });
  while (!farm) {
    assert.equal(child.exitCode, null, "the farm did not start");
    await sleep(50);
    try { farm = JSON.parse(readFileSync(ready)); } catch { /* it is written when every port listens */ }
  }
});

after(() => {
  child.kill();
  rmSync(folder, { recursive: true, force: true });
});

// The service under test: it sends a job to one of its servers, and fetches the picture.
const workflow = JSON.parse(execFileSync("comfyfarm", ["workflow", "text-to-image"]));

async function json(url, body) {
  const answer = await fetch(url, body && { method: "POST", body: JSON.stringify(body) });
  assert.ok(answer.ok, `${url}: ${answer.status}`);
  return answer.json();
}

async function render(url, name) {
  const { prompt_id } = await json(`${url}/prompt`, { prompt: workflow, extra_data: { comfyfarm_job: name } });
  let history = {};
  while (!history[prompt_id]) {
    await sleep(20);
    history = await json(`${url}/history/${prompt_id}`);
  }
  const [picture] = Object.values(history[prompt_id].outputs).flatMap((output) => output.images);
  const answer = await fetch(`${url}/view?${new URLSearchParams(picture)}`);
  return Buffer.from(await answer.arrayBuffer());
}

test("every user gets a picture of their own", async () => {
  await json(`${farm.control}/api/trial`, { jobs: 4 });
  const urls = Object.values(farm.instances).map((instance) => instance.url);
  const pictures = await Promise.all([0, 1, 2, 3].map((user) => render(urls[user % 2], `user-${user}`)));
  assert.equal(new Set(pictures.map(String)).size, 4);
  const verdict = await json(`${farm.control}/api/verdict`);
  assert.equal(verdict.verdict, "pass", JSON.stringify(verdict.findings));
});

test("a job whose answer is lost is not run twice", async () => {
  await json(`${farm.control}/api/trial`, { jobs: 1 });
  await json(`${farm.control}/api/faults`, { do: "drop", at: "reply", on: "comfyui-1", times: 1 });
  const url = farm.instances["comfyui-1"].url;
  await assert.rejects(render(url, "portrait"));     // a service that sends it again would be found out here
  await json(`${farm.control}/api/wait`, { idle: true });
  const { findings } = await json(`${farm.control}/api/verdict`);
  assert.ok(!findings.some((finding) => finding.finding === "ran_twice"), JSON.stringify(findings));
});
