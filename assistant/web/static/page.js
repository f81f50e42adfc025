const language = () => document.documentElement.lang;
const word = (name) => WORDS[language()][name];
const phrase = (name, ...values) => values.reduce((text, value) => text.replace("{}", value), word(name));

document.documentElement.lang = navigator.language.toLowerCase().startsWith("fr") ? "fr" : "en";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const answer = button.closest(".answer");
  const quotes = [...answer.querySelectorAll(".cited .card")].map((card) => {
    const [number, ...place] = [...card.querySelector(".place").children].map((part) => part.textContent);
    return `[${number}] ${place.join(", ")} : « ${card.querySelector(".quote").textContent} »`;
  });
  const said = answer.querySelector(".said").cloneNode(true);
  said.querySelectorAll("a.marker").forEach((marker) => marker.replaceWith(`[${marker.textContent}]`));
  await navigator.clipboard.writeText([said.textContent, ...quotes].join("\n\n"));
  const name = button.textContent;
  button.textContent = button.title;
  setTimeout(() => { button.textContent = name; }, 1500);
});

// Who stops by keyboard would lose the focus with the button.
document.addEventListener("click", (event) => {
  if (event.target.closest("#stop, #new")) document.querySelector("#question textarea").focus();
});

const conversation = document.getElementById("conversation");
let asked = 0;
new MutationObserver(() => {
  // Gradio names each message by its markup; without a name, a screen reader reads the text itself.
  for (const message of conversation.querySelectorAll("[data-testid][aria-label]")) {
    message.removeAttribute("aria-label");
  }
  // Who asks from further up sees the question and what comes of it.
  const questions = conversation.querySelectorAll(".user-row");
  if (questions.length > asked) questions[questions.length - 1].scrollIntoView();
  asked = questions.length;
}).observe(conversation, {
  subtree: true, childList: true, attributes: true, attributeFilter: ["aria-label"],
});

const whenReady = async () => {
  const health = await fetch("api/health").then((response) => response.json()).catch(() => ({}));
  if (!health.ready) setTimeout(whenReady, 1000);
  else document.querySelectorAll(".loading").forEach((line) => line.remove());
};
whenReady();
