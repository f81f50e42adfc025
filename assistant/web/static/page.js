// The page: who asks, in which conversation and language; what the buttons do that Gradio does not know.
// Where the browser keeps nothing for us, as in a frame on a page of others, the key lives as long as the page.

const kept = {};
const recall = (name) => {
  try { return localStorage.getItem(`sourcier.${name}`) ?? kept[name]; } catch { return kept[name]; }
};
const remember = (name, value) => {
  kept[name] = value;
  try { localStorage.setItem(`sourcier.${name}`, value); } catch { /* it lives as long as the page */ }
};
const recallHere = (name) => {
  try { return sessionStorage.getItem(`sourcier.${name}`) ?? kept[name]; } catch { return kept[name]; }
};
const rememberHere = (name, value) => {
  kept[name] = value;
  try { sessionStorage.setItem(`sourcier.${name}`, value); } catch { /* it lives as long as the page */ }
};
const random = (bytes) =>
  [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

if (!/^[0-9a-f]{64}$/.test(recall("key") ?? "")) remember("key", random(32));
if (!/^[0-9a-f]{32}$/.test(recallHere("conversation") ?? "")) rememberHere("conversation", random(16));

const language = () => document.documentElement.lang;
const word = (name) => WORDS[language()][name];
const phrase = (name, ...values) => values.reduce((text, value) => text.replace("{}", value), word(name));
const query = (selector) => document.querySelector(selector);
const field = () => query("#question textarea");
const conversation = query("#conversation");

const writeWords = (within) => {
  for (const named of within.querySelectorAll("[data-name]")) {
    named.title = word(named.dataset.name);
    named.setAttribute("aria-label", named.title);
  }
  for (const worded of within.querySelectorAll("[data-word]")) worded.textContent = word(worded.dataset.word);
};
const speak = (tongue) => {
  document.documentElement.lang = tongue;
  writeWords(document);
};
speak(WORDS[recall("language")] ? recall("language") : navigator.language.toLowerCase().startsWith("fr") ? "fr" : "en");

if (recall("theme") && !location.search.includes("__theme")) {
  document.body.classList.toggle("dark", recall("theme") === "dark");
}

// What the server is told with each event.
let replaces = null;
let leaves = "";
/** Whether what is being written was asked for in this window: Gradio draws it then. */
let ours = false;
const writing = () => conversation.querySelector(".working");
const place = (more) => JSON.stringify({
  key: recall("key"), conversation: recallHere("conversation"), language: language(), ...more,
});
window.sourcier = Object.assign(window.sourcier ?? {}, {
  place,
  shown: () => {
    const told = place({ leaves });
    leaves = "";
    return told;
  },
  asked: () => {
    const told = place({ replaces });
    ours ||= !writing();
    endEditing();
    return told;
  },
});
const openConversation = (id) => {
  if (ours && writing() && id !== recallHere("conversation")) leaves = recallHere("conversation");
  ours = false;
  rememberHere("conversation", id);
  endEditing();
  window.sourcier.show();
};
// What another window asked for grows here by being drawn anew.
setInterval(() => { if (writing() && !ours) window.sourcier.show(); }, 500);

const fill = (question) => {
  field().value = question;
  field().dispatchEvent(new Event("input", { bubbles: true }));
};
const write = (question) => {
  fill(question);
  field().focus();
};
const ask = async (question, instead = null) => {
  if (writing()) return;
  replaces = instead;
  write(question);
  await new Promise(requestAnimationFrame);
  query("#send").click();
};
const questions = () => [...conversation.querySelectorAll(".user-row .said")].map((said) => said.textContent);

const editing = document.createElement("p");
editing.id = "editing";
editing.hidden = true;
editing.innerHTML = '<span data-word="editing"></span> <button type="button" data-word="cancel"></button>';
query("#composer").before(editing);
editing.querySelector("button").addEventListener("click", () => {
  write("");
  endEditing();
});
const endEditing = () => {
  replaces = null;
  editing.hidden = true;
};
const edit = () => {
  write(questions().at(-1));
  replaces = questions().length;
  writeWords(editing);
  editing.hidden = false;
};

// A page that did not come over HTTPS has no clipboard but that of the keyboard.
const toClipboard = async (text) => {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const focused = document.activeElement;
  const carrier = document.createElement("textarea");
  carrier.value = text;
  document.body.append(carrier);
  carrier.select();
  document.execCommand("copy");
  carrier.remove();
  focused.focus();
};
const copy = async (button) => {
  const answer = button.closest(".answer");
  const quotes = [...answer.querySelectorAll(".cited .card")].map((card) => {
    const [number, ...where] = [...card.querySelector(".place").children].map((part) => part.textContent);
    return `[${number}] ${where.join(", ")} : « ${card.querySelector(".quote").textContent} »`;
  });
  const said = answer.querySelector(".said").cloneNode(true);
  said.querySelectorAll("a.marker").forEach((marker) => marker.replaceWith(`[${marker.textContent}]`));
  await toClipboard([said.textContent, ...quotes].join("\n\n"));
  button.textContent = word("copied");
  setTimeout(() => { button.textContent = word("copy"); }, 1500);
};

const BUTTONS = {
  ".copy": copy,
  ".retry": () => ask(questions().at(-1), questions().length),
  ".edit": edit,
  ".example": (button) => ask(button.textContent),
  // Who stops by keyboard would lose the focus with the button.
  "#stop": () => field().focus(),
  "#new": () => {
    openConversation(random(16));
    field().focus();
  },
  "#language": () => {
    remember("language", language() === "fr" ? "en" : "fr");
    speak(recall("language"));
    window.sourcier.show();
    if (panel.open) openSource(shown);
  },
  "#theme": () => {
    remember("theme", document.body.classList.toggle("dark") ? "dark" : "light");
  },
};
document.addEventListener("click", (event) => {
  for (const [selector, press] of Object.entries(BUTTONS)) {
    const button = event.target.closest(selector);
    if (button) press(button);
  }
});

// A screen reader is told an answer once, when it is whole, not each of its words as Gradio would have it.
const announcer = document.createElement("div");
announcer.id = "announcer";
announcer.setAttribute("role", "status");
document.body.append(announcer);
let awaited = false;
const announce = () => {
  if (writing()) {
    awaited = true;
    announcer.textContent = "";
    return;
  }
  const last = conversation.querySelector(".bot-row:last-child .answer");
  if (!awaited || !last) return;
  awaited = false;
  const parts = [...last.querySelectorAll(":scope > :is(.said, .status)")];
  announcer.textContent = parts.map((part) => part.textContent).join(" ");
};

let seen = 0;
let followed = null;
for (const moved of ["wheel", "touchmove", "keydown"]) conversation.addEventListener(moved, () => { followed = null; });
new MutationObserver(() => {
  const log = conversation.querySelector("[role='log']");
  for (const [name, value] of [["aria-live", "off"], ["aria-label", word("conversation")]]) {
    if (log && log.getAttribute(name) !== value) log.setAttribute(name, value);
  }
  for (const thumb of conversation.querySelectorAll(".good, .bad")) thumb.setAttribute("aria-pressed", thumb.classList.contains("pressed"));
  // Gradio names each message by its markup; without a name, a screen reader reads the text itself.
  for (const message of conversation.querySelectorAll("[data-testid][aria-label]")) {
    message.removeAttribute("aria-label");
  }
  // Who asks sees the question and what comes of it: there is no room below a question before its answer is there.
  const rows = [...conversation.querySelectorAll(".user-row")];
  if (rows.length > seen) followed = rows.at(-1);
  seen = rows.length;
  followed?.scrollIntoView();
  const answers = [...conversation.querySelectorAll(".answer")];
  if (answers.length >= seen && answers.at(-1)?.querySelector(".copy, .status:not(.working)")) followed = null;
  announce();
}).observe(conversation, {
  subtree: true, childList: true, attributes: true, characterData: true, attributeFilter: ["aria-label", "aria-live"],
});

// Gradio tells what it could not do in English, and in a corner; the page says it above the question. Where the connection is
// lost, Gradio does nothing more, asks until the server answers, and then loads the page again: what was being written stays.
const trouble = document.createElement("p");
trouble.id = "trouble";
trouble.setAttribute("role", "alert");
query("#composer").before(trouble);
new MutationObserver(() => {
  const told = query(".toast-body.error")?.textContent;
  const lost = /connection/i.test(told);
  const sentence = told ? word(lost ? "lost" : "unreachable") : "";
  if (trouble.textContent !== sentence) trouble.textContent = sentence;
  if (!lost) return;
  conversation.querySelectorAll(".working").forEach((line) => {
    line.classList.remove("working");
    line.textContent = word("stopped");
  });
  query("#send").disabled = true;
}).observe(query(".toast-wrap"), { subtree: true, childList: true });
addEventListener("pagehide", () => rememberHere("draft", field().value));
if (recallHere("draft")) fill(recallHere("draft"));

// Once the model is loaded, questions to begin with are made of the documents; this takes a little.
const showExamples = async () => {
  const found = await fetch("examples").then((response) => response.ok ? response.json() : { examples: [] }).catch(() => ({ examples: [] }));
  query(".examples")?.replaceChildren(...found.examples.map((question) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "example";
    button.dir = "auto";
    button.textContent = question;
    return button;
  }));
  if (found.making && query(".greeting")) setTimeout(showExamples, 2000);
};
const whenReady = async () => {
  const health = await fetch("api/health").then((response) => response.json()).catch(() => ({}));
  if (!health.ready) {
    setTimeout(whenReady, 1000);
    return;
  }
  document.querySelectorAll(".loading").forEach((line) => line.remove());
  showExamples();
};
whenReady();
