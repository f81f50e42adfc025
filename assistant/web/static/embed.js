// The chat in a frame: it looks as the page around it wishes, and they speak with each other.
const given = (name, longest) => (query.get(name) || "").slice(0, longest);
const wishes = { title: given("title", 80), greeting: given("greeting", 200), color: given("color", 40) };
const examples = query.getAll("example").slice(0, 5).map((example) => example.slice(0, 200));
const $ = (selector) => document.querySelector(selector);
const listed = new RegExp(START.listed);
const later = () => new Promise((resolve) => { setTimeout(resolve, 50); });
const until = async (thing) => { while (!thing()) await later(); return thing(); };

// Only who is listed can be around this frame; and only whom the frame is in is spoken with.
let around = null;
const tell = (type, detail = {}) => { if (around) parent.postMessage({ type: `sourcier:${type}`, ...detail }, around); };

const PATIENCE = 5000;
/** By their place in the conversation, the questions that the page around asked: it knows its own by these ids. */
const ids = [];
let asking = Promise.resolve();
/** Asks one question after the other, in their order: there is one answer at a time. */
const ask = (question, id) => { asking = asking.then(() => askOne(question, id)); };
const askOne = async (question, id) => {
  if (!question.trim()) return tell("error", { question, id, message: "The question is empty" });
  const field = await until(() => $("#question textarea"));
  await until(() => $("#send")?.offsetParent);
  const place = said().length;
  ids[place] = id;
  field.value = question;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  await later();
  $("#send").click();
  const since = Date.now();
  await until(() => said().length > place || Date.now() - since > PATIENCE);
};

const orders = {
  hello: async ({ token: other }) => {
    if (other) identify(other);
    await until(() => $("#question textarea") && $("#conversation .greeting, #conversation .answer"));
    if (!hearing) [asked, answered, hearing] = [said().length, over().length, true];
    tell("ready");
    measure();
  },
  visitor: ({ token: other }) => identify(other),
  ask: ({ question, id }) => ask(`${question}`, id),
  new: () => $("#new")?.click(),
  focus: async () => (await until(() => $("#question textarea"))).focus(),
};

const identify = (other) => {
  token = `${other}`;
  named = true;
  renewAt = Date.now() + START.visitor.seconds * 700;
};

window.addEventListener("message", (event) => {
  const known = event.origin === location.origin || listed.test(event.origin);
  if (window === parent || event.source !== parent || !known) return;
  const [whose, order] = `${event.data?.type}`.split(":");
  if (whose !== "sourcier" || !Object.hasOwn(orders, order)) return;
  around = event.origin;
  orders[order](event.data);
});
window.addEventListener("sourcier-expired", () => tell("expired"));
// Escape closes what is nearest: the source that is open, or else this chat.
window.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("#panel[open]")) tell("escape");
}, true);

const heard = (words) => {
  const answer = words.closest(".answer");
  const text = words.cloneNode(true);
  text.querySelectorAll("a.marker").forEach((marker) => marker.replaceWith(`[${marker.textContent}]`));
  const citations = [...answer.querySelectorAll(".cited .card")].map((card) => ({
    number: Number(card.querySelector(".number").textContent),
    title: card.querySelector(".title").textContent,
    quote: card.querySelector(".quote").textContent,
  }));
  return { answer: text.textContent.replace(/\u00a0\[/g, " ["), citations };
};

const said = () => [...document.querySelectorAll(".user-row .said")];
const over = () => [...document.querySelectorAll("#conversation .answer")]
  .filter((answer) => answer.querySelector(".copy, .status:not(.working)"));

// What was said before the page around was loaded again is no news to it.
let asked = 0, answered = 0, hearing = false;
const listen = () => {
  if (!hearing) return;
  const questions = said(), ended = over();
  if (questions.length < asked || ended.length < answered) {
    [asked, answered] = [questions.length, ended.length];
    ids.length = Math.min(ids.length, asked);
  }
  for (; asked < questions.length; asked += 1) tell("question", { question: questions[asked].textContent });
  for (; answered < ended.length; answered += 1) {
    const answer = ended[answered], question = questions[answered].textContent, id = ids[answered];
    if (answer.querySelector(".copy")) tell("answer", { question, id, ...heard(answer.querySelector(".said")) });
    else tell("error", { question, id, message: answer.querySelector(".status").textContent });
  }
};

const height = (selector) => $(selector)?.offsetHeight ?? 0;
let told = 0;
const measure = () => {
  const inside = $("#conversation .message-wrap") ? $("#conversation .message-wrap").scrollHeight : height(".greeting") + 32;
  const wanted = height("#top") + inside + height("#composer");
  if (wanted !== told) tell("height", { height: told = wanted });
};

// Text of the page around: it stays text.
const dress = () => {
  if (wishes.title && $("#top h1") && $("#top h1").textContent !== wishes.title) $("#top h1").textContent = wishes.title;
  const greeting = $("#conversation .greeting");
  if (!greeting || greeting.dataset.dressed) return;
  greeting.dataset.dressed = "yes";
  if (wishes.greeting) greeting.querySelector("h2").textContent = wishes.greeting;
  if (!examples.length) return;
  const wished = document.createElement("div");
  wished.append(...examples.map((example) => Object.assign(document.createElement("button"), {
    type: "button", className: "example", textContent: example,
  })));
  greeting.querySelector(".examples")?.replaceWith(wished);
};

window.addEventListener("DOMContentLoaded", () => {
  if (CSS.supports("color", wishes.color)) document.documentElement.style.setProperty("--wished", wishes.color);
  document.documentElement.classList.toggle("colored", CSS.supports("color", wishes.color));
  new MutationObserver(() => { dress(); listen(); measure(); })
    .observe(document.body, { subtree: true, childList: true, characterData: true });
  window.addEventListener("resize", measure);
});
