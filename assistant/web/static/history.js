// The conversations that the server keeps for this browser's key.

const past = document.createElement("dialog");
past.id = "history";
past.setAttribute("aria-labelledby", "history-title");
past.innerHTML = `
  <header><h2 id="history-title" data-word="conversations"></h2>
  <button type="button" class="close" data-name="close">✕</button></header>
  <p class="status" role="status"></p><ul></ul>`;
document.body.append(past);

const withKey = (address, method = "GET", content) => fetch(address, {
  method,
  headers: { "X-Conversation-Key": recall("key"), ...(method === "GET" ? {} : { "Content-Type": "application/json" }) },
  body: content && JSON.stringify(content),
}).catch(() => ({ ok: false }));

// The focus was on a row that is drawn anew: it goes to the one that is there now, or else to the first.
const listAgain = async (id, { ok } = { ok: true }) => {
  await listConversations();
  if (!ok) past.querySelector(".status").textContent = word("unreachable");
  const rows = [...past.querySelectorAll(".open")];
  (rows.find((open) => open.dataset.id === id) ?? rows[0] ?? past.querySelector(".close")).focus();
};

const listConversations = async () => {
  const response = await withKey("conversations");
  const found = response.ok ? await response.json() : null;
  past.querySelector(".status").textContent = found?.length ? "" : word(found ? "no_conversations" : "unreachable");
  past.querySelector("ul").replaceChildren(...(found ?? []).map(row));
};

const row = ({ id, title, changed }) => {
  const line = document.createElement("li");
  line.innerHTML = `
    <button type="button" class="open" dir="auto"></button><span class="when"></span>
    <span class="tools"><button type="button" class="rename" data-name="rename">✎</button>
    <button type="button" class="export" data-name="export">⤓</button>
    <button type="button" class="delete" data-name="delete">✕</button></span>`;
  const open = line.querySelector(".open");
  open.textContent = title;
  open.dataset.id = id;
  open.setAttribute("aria-current", id === recallHere("conversation"));
  line.querySelector(".when").textContent = new Date(changed * 1000).toLocaleDateString(language());
  writeWords(line);
  open.addEventListener("click", () => {
    past.close();
    openConversation(id);
  });
  line.querySelector(".rename").addEventListener("click", () => rename(line, id, title));
  line.querySelector(".export").addEventListener("click", () => save(id, title));
  line.querySelector(".delete").addEventListener("click", () => erase(line, id));
  return line;
};

const rename = (line, id, title) => {
  const input = document.createElement("input");
  input.value = title;
  input.maxLength = 80;
  input.setAttribute("aria-label", word("rename"));
  line.querySelector(".open").replaceWith(input);
  input.focus();
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") input.blur();
    if (event.key === "Escape") {
      event.preventDefault();
      input.value = title;
      input.blur();
    }
  });
  input.addEventListener("blur", async () => {
    const given = input.value.trim();
    const changes = given && given !== title;
    listAgain(id, changes ? await withKey(`conversations/${id}`, "PATCH", { title: given }) : { ok: true });
  });
};

const erase = async (line, id) => {
  const sure = document.createElement("span");
  sure.className = "sure";
  sure.innerHTML = '<span data-word="delete_sure"></span> <button type="button" class="yes" data-word="delete"></button>'
    + ' <button type="button" class="no" data-word="cancel"></button>';
  writeWords(sure);
  line.replaceChildren(sure);
  sure.querySelector(".no").addEventListener("click", () => listAgain(id));
  sure.querySelector(".yes").addEventListener("click", async () => {
    const deleted = await withKey(`conversations/${id}`, "DELETE", {});
    if (deleted.ok && id === recallHere("conversation")) openConversation(random(16));
    listAgain(id, deleted);
  });
  sure.querySelector(".no").focus();
};

const save = async (id, title) => {
  const answer = await withKey(`conversations/${id}/markdown?language=${language()}`);
  past.querySelector(".status").textContent = answer.ok ? "" : word("unreachable");
  if (!answer.ok) return;
  const text = await answer.text();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/markdown" }));
  link.download = `${title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "conversation"}.md`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

past.querySelector(".close").addEventListener("click", () => past.close());
past.addEventListener("click", (event) => {
  if (event.target === past) past.close();
});
BUTTONS["#history-open"] = () => {
  writeWords(past);
  past.showModal();
  listConversations();
};
