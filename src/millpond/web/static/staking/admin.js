// The operator's page: parts rendered by the server, shown and changed with the operator's key.
// The key stays in this page's memory: it is not stored, and a reload asks for it again.

import { call, newKey } from "./api.js";
import { Plain } from "./wallet.js";

const REFRESH_MS = 4000;

let key = null;
let actor = "";
let part = "pools";

const entrance = document.getElementById("entrance");
const desk = document.getElementById("desk");
const body = document.getElementById("desk-body");
const said = document.getElementById("desk-said");

function say(text, good) {
  said.textContent = text;
  said.className = `outcome ${good ? "good" : "bad"}`;
  said.hidden = !text;
}

function headers() {
  const made = { Authorization: `Bearer ${key}` };
  if (actor) made["Millpond-Actor"] = actor;
  return made;
}

/** Show the chosen part as it is now; throws if the key is not taken. */
async function refresh() {
  const wanted = part;
  const answer = await fetch(`/admin/live?part=${wanted}`, { headers: headers(), cache: "no-store", credentials: "omit" })
    .catch(() => null);
  if (!answer) throw new Plain("The pool does not answer.");
  if (answer.status === 401 || answer.status === 403) throw new Plain("That is not the operator's key.");
  if (answer.status === 429) throw new Plain("Too many requests; it goes on in a minute.");
  if (!answer.ok) throw new Plain(`The pool answered with ${answer.status}.`);
  const text = await answer.text();
  if (!key || wanted !== part) return;
  await htmx.swap({ text, target: body, sourceElement: desk, swap: body.dataset.part === wanted ? "innerMorph" : "innerHTML" });
  body.dataset.part = wanted;
  document.dispatchEvent(new Event("htmx:after:swap"));
}

function leave() {
  key = null;
  body.replaceChildren();
  delete body.dataset.part;
  desk.hidden = true;
  entrance.hidden = false;
  say("", true);
}

// What a form's fields mean in JSON; a field that is left empty is left out.
const readers = {
  text: (value) => value,
  int: (value) => Number.parseInt(value, 10),
};
function bodyOf(form) {
  const made = {};
  const limits = {};
  for (const field of form.elements) {
    if (!field.name) continue;
    const value = field.value.trim();
    if (value === "") continue;
    const read = readers[field.dataset.type ?? "text"];
    if (field.dataset.limit !== undefined) limits[field.name] = read(value);
    else made[field.name] = read(value);
  }
  if (form.dataset.limits !== undefined) made.limits = limits;
  return made;
}

async function submit(form) {
  const [method, path] = form.dataset.api.split(" ");
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  try {
    await call(method, path, { body: bodyOf(form), token: key, once: newKey(), extra: actor ? { "Millpond-Actor": actor } : {} });
    say(form.dataset.done ?? "Done.", true);
    form.reset();
    form.closest("details")?.removeAttribute("open");
    await refresh();
  } catch (error) {
    say(error.message, false);
  } finally {
    button.disabled = false;
  }
}

entrance.addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = event.target.elements;
  key = fields.key.value.trim();
  actor = fields.actor.value.trim();
  const refusal = entrance.querySelector("[data-refusal]");
  refusal.hidden = true;
  try {
    await refresh();
    fields.key.value = "";
    entrance.hidden = true;
    desk.hidden = false;
  } catch (error) {
    key = null;
    refusal.textContent = error.message;
    refusal.hidden = false;
  }
});

desk.addEventListener("submit", (event) => {
  if (!event.target.dataset.api) return;
  event.preventDefault();
  submit(event.target);
});
desk.addEventListener("click", (event) => {
  const button = event.target.closest("[data-part], [data-leave]");
  if (!button) return;
  if ("leave" in button.dataset) { leave(); return; }
  if (!button.matches("button")) return;
  part = button.dataset.part;
  for (const each of desk.querySelectorAll("button[data-part]")) {
    each.setAttribute("aria-pressed", String(each === button));
  }
  say("", true);
  refresh().catch((error) => say(error.message, false));
});

entrance.querySelector("[data-needs-scripts]").remove();
entrance.querySelector("form").hidden = false;
setInterval(() => {
  if (key && !document.hidden) refresh().catch((error) => say(error.message, false));
}, REFRESH_MS);
