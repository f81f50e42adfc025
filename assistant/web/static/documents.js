// The documents: what is indexed, and how the owner adds to it. Names and reasons reach the page as text alone.
// Files are sent two at a time, as they are; what is whole is indexed while others are still being sent.

const AT_ONCE = 2;
const ROWS = 200;
const shelf = document.createElement("dialog");
shelf.id = "documents";
shelf.setAttribute("aria-labelledby", "documents-title");
shelf.innerHTML = `
  <header><h2 id="documents-title" data-word="documents_title"></h2>
  <button type="button" class="close" data-name="close">✕</button></header>
  <div class="zone"><p data-word="drop_here"></p>
  <p><button type="button" class="files" data-word="choose_files"></button>
  <button type="button" class="folder" data-word="choose_folder"></button></p><p class="limit"></p>
  <input type="file" multiple hidden><input type="file" webkitdirectory hidden></div>
  <div class="course" hidden><span class="far"></span><progress></progress>
  <button type="button" class="halt" data-word="stop_all"></button></div>
  <div class="left" hidden><span data-word="left_waiting"></span>
  <button type="button" class="go-on" data-word="index_now"></button></div>
  <p class="status" role="status"></p>
  <ul class="arriving"></ul>
  <p class="find"><input type="search" data-name="search_documents"><span class="found"></span></p>
  <ul class="kept"></ul><p class="more"></p>`;
const inShelf = (selector) => shelf.querySelector(selector);
const dropping = document.createElement("div");
dropping.id = "dropping";
dropping.innerHTML = '<p data-word="drop_anywhere"></p>';

let listing = { files: [], limits: null, indexing: false };
let sources = [];
let arriving = [];
let syncing = false;
let again = false;

const asJson = (method, content) => ({ method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
const say = (text) => { inShelf(".status").textContent = text; };

// What is sent.

const add = (found) => {
  if (!found.length) say(word("nothing_dropped"));
  for (const { file, path } of found) {
    const item = { file, path, state: "queued", share: 0 };
    if (listing.limits && file.size > listing.limits.file_bytes) Object.assign(item, { state: "failed", reason: word("file_too_large") });
    arriving.push(item);
  }
  drawArriving();
  sendNext();
};

const sendNext = () => {
  while (arriving.filter(({ state }) => state === "sending").length < AT_ONCE) {
    const next = arriving.find(({ state }) => state === "queued");
    if (!next) return;
    send(next);
  }
};

const REFUSED = { 413: "file_too_large", 507: "no_room" };
const send = (item) => {
  const request = new XMLHttpRequest();
  Object.assign(item, { state: "sending", request });
  request.open("POST", `api/uploads?name=${encodeURIComponent(item.path)}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.upload.addEventListener("progress", (event) => {
    item.share = event.total ? event.loaded / event.total : 0;
    drawItem(item);
  });
  request.addEventListener("loadend", () => {
    if (item.state === "sending") {
      const good = request.status === 201;
      Object.assign(item, good
        ? { state: "kept", name: JSON.parse(request.responseText).name }
        : { state: "failed", reason: word(REFUSED[request.status] ?? "upload_failed") });
      if (good) index();
    }
    drawItem(item);
    sendNext();
  });
  request.send(item.file);
  drawItem(item);
};

const cancel = (item) => {
  const sending = item.state === "sending";
  item.state = "cancelled";
  if (sending) item.request.abort();
  drawItem(item);
};

// What is indexed.

const index = async () => {
  again = true;
  if (syncing) return;
  while (again) {
    again = false;
    await followSync("POST");
  }
};

const followSync = async (method) => {
  syncing = true;
  say("");
  drawCourse(word("comparing"));
  let ended = "sync_failed";
  try {
    const response = await fetch("api/uploads/sync", method === "POST" ? asJson("POST", {}) : {});
    for await (const told of linesOf(response)) ended = await take(told) ?? ended;
  } catch { ended = "unreachable"; }
  syncing = false;
  await refresh();
  const [done, bad] = [arriving.filter(isIndexed).length, arriving.filter((item) => fileOf(item)?.reason).length];
  if (!again) say(phrase(ended, done, bad));
  if (query("#conversation .greeting")) {
    window.sourcier.show();
    showExamples();
  }
};

const linesOf = async function* (response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const lines = (rest + part.value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
};

// A step of the sync; the word for its end, where it is the last.
const take = async ({ Progress, SyncReport, Failure }) => {
  if (Progress) {
    drawCourse(phrase("indexing", Progress.documents, Progress.documents_in_all), Progress.documents / Progress.documents_in_all);
    for (const item of arriving) {
      item.reading = item.name === Progress.path;
      drawItem(item);
    }
  }
  if (Failure) return Failure.kind === "Stopped" ? "sync_stopped" : "sync_failed";
  if (SyncReport) return SyncReport.pending ? "sync_stopped" : "sync_done";
};

const stopAll = async () => {
  arriving.filter(({ state }) => state === "queued" || state === "sending").forEach(cancel);
  again = false;
  await fetch("api/uploads/stop", asJson("POST", {})).catch(() => say(word("unreachable")));
};

const refresh = async () => {
  try {
    const found = await Promise.all([`api/uploads?language=${language()}`, "api/sources"].map((address) => fetch(address)));
    [listing, sources] = await Promise.all(found.map((response) => response.json()));
  } catch {
    say(word("unreachable"));
    return;
  }
  const known = new Set(arriving.map(({ name }) => name));
  for (const { name, source } of listing.files) {
    if (!source && !known.has(name)) arriving.push({ path: name, name, state: "kept" });
  }
  arriving = arriving.filter((item) => {
    const gone = item.state === "kept" && !fileOf(item);
    if (gone) item.row?.remove();
    return !gone;
  });
  drawAll();
};

// What is shown.

const fileOf = (item) => listing.files.find(({ name }) => name === item.name);
const isIndexed = (item) => Boolean(fileOf(item)?.source);

const drawAll = () => {
  inShelf("[type=search]").placeholder = word("search_documents");
  inShelf(".limit").textContent = phrase("upload_limit", Math.floor(listing.limits.file_bytes / 2 ** 20));
  drawArriving();
  drawCourse();
  drawSources();
};

const drawCourse = (far, share) => {
  const waits = !syncing && arriving.some((item) => item.state === "kept" && !isIndexed(item) && !fileOf(item)?.reason);
  inShelf(".course").hidden = !syncing;
  inShelf(".left").hidden = !waits;
  if (far) inShelf(".far").textContent = far;
  const bar = inShelf(".course progress");
  bar.setAttribute("aria-label", inShelf(".far").textContent);
  share === undefined ? bar.removeAttribute("value") : bar.setAttribute("value", share);
};

const drawArriving = () => {
  arriving.slice(0, ROWS).forEach((item) => {
    if (!item.row) inShelf(".arriving").append(item.row = arrivingRow(item));
    drawItem(item);
  });
};

const arrivingRow = (item) => {
  const row = document.createElement("li");
  row.innerHTML = `<span class="name" dir="auto"></span><span class="state"></span><progress hidden></progress>
    <button type="button" class="drop">✕</button>`;
  row.querySelector(".name").textContent = row.querySelector(".name").title = item.path;
  row.querySelector("progress").setAttribute("aria-label", item.path);
  row.querySelector(".drop").addEventListener("click", () => {
    if (item.state === "kept") return askToRemove(row, [item.name], () => drawItem(item));
    if (item.state === "queued" || item.state === "sending") return cancel(item);
    arriving = arriving.filter((other) => other !== item);
    leave(row);
  });
  return row;
};

const stateOf = (item) => {
  if (item.state !== "kept") return item.reason ?? word(item.state);
  const file = fileOf(item);
  if (file?.source) return word("indexed");
  if (item.reading && syncing) return word("reading");
  return (!syncing && file?.reason) || word("waiting");
};

const drawItem = (item) => {
  if (!item.row || item.row.querySelector(".sure")) return;
  const bad = item.state === "failed" || (item.state === "kept" && !syncing && Boolean(fileOf(item)?.reason));
  item.row.className = bad ? "bad" : isIndexed(item) ? "good" : "";
  item.row.querySelector(".state").textContent = stateOf(item);
  const bar = item.row.querySelector("progress");
  bar.hidden = item.state !== "sending";
  bar.value = item.share ?? 0;
  const drop = item.row.querySelector(".drop");
  drop.hidden = item.state === "kept" && (syncing || isIndexed(item));
  const does = { kept: "remove", queued: "cancel", sending: "cancel" }[item.state] ?? "close";
  drop.setAttribute("aria-label", `${word(does)} : ${item.path}`);
  drop.title = word(does);
};

// Where the focus goes when a row with it is gone.
const leave = (row) => {
  const next = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  (next?.querySelector("button:not([hidden])") ?? inShelf(".files")).focus();
};

const KIND = /\.([^.]{1,8})$/;
const kindOf = ({ path }) => KIND.exec(path)?.[1].toUpperCase() ?? "";
const dayOf = ({ date }) => date && (/^\d{4}-\d\d-\d\d/.test(date)
  ? new Date(`${date.slice(0, 10)}T12:00`).toLocaleDateString(language(), { dateStyle: "long" }) : date);

const drawSources = () => {
  const wanted = plainWords(inShelf("[type=search]").value);
  const found = sources.filter((source) => plainWords([source.title, ...source.paths].join(" ")).includes(wanted));
  found.sort((one, other) => one.title.localeCompare(other.title, language()));
  inShelf(".found").textContent = wanted ? phrase("found_of", found.length, sources.length) : sources.length;
  inShelf(".find").hidden = !sources.length;
  // Who is being asked whether to remove a document stays asked, and keeps the focus.
  const asked = inShelf(".kept li:has(.sure)"), focused = asked?.querySelector(":focus");
  inShelf(".kept").replaceChildren(
    ...found.slice(0, ROWS).map((source) => (asked?.dataset.id === source.id ? asked : sourceRow(source))));
  focused?.focus();
  inShelf(".more").textContent = found.length > ROWS ? phrase("and_more", found.length - ROWS) : "";
};
const plainWords = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().trim();

const sourceRow = (source) => {
  const names = listing.files.filter((file) => file.source === source.id).map(({ name }) => name);
  const row = document.createElement("li");
  row.dataset.id = source.id;
  row.innerHTML = `<button type="button" class="open" dir="auto"></button><span class="details"></span>
    <button type="button" class="drop">✕</button>`;
  row.querySelector(".open").textContent = row.querySelector(".open").title = source.title;
  row.querySelector(".details").textContent = [
    kindOf(source), dayOf(source), source.chunks === 1 ? word("passage_one") : phrase("passages", source.chunks), source.paths.join(", "),
  ].filter(Boolean).join(" · ");
  row.querySelector(".open").addEventListener("click", () => {
    shelf.close();
    const link = document.createElement("a");
    link.setAttribute("href", `#source?id=${encodeURIComponent(source.id)}`);
    openSource(link);
  });
  const drop = row.querySelector(".drop");
  drop.hidden = !names.length;
  drop.title = word("remove");
  drop.setAttribute("aria-label", `${word("remove")} : ${source.title}`);
  drop.addEventListener("click", () => askToRemove(row, names, () => {
    drawSources();
    inShelf(`.kept [data-id="${CSS.escape(source.id)}"] .drop`)?.focus();
  }));
  return row;
};

const askToRemove = (row, names, refuse) => {
  const sure = document.createElement("span");
  sure.className = "sure";
  sure.innerHTML = '<span data-word="remove_sure"></span> <button type="button" class="yes" data-word="remove"></button>'
    + ' <button type="button" class="no" data-word="cancel"></button>';
  writeWords(sure);
  row.append(sure);
  sure.querySelector(".no").addEventListener("click", () => {
    sure.remove();
    row.querySelector(".drop").focus();
    refuse();
  });
  sure.querySelector(".yes").addEventListener("click", async () => {
    sure.textContent = word("removing");
    const sent = await Promise.all(names.map((name) =>
      fetch(`api/uploads/${name.split("/").map(encodeURIComponent).join("/")}`, asJson("DELETE", {})).catch(() => ({ ok: false }))));
    leave(row);
    await refresh();
    say(word(sent.every(({ ok }) => ok) ? "removed" : "unreachable"));
    if (query("#conversation .greeting")) window.sourcier.show();
  });
  sure.querySelector(".no").focus();
};

// What is dropped or chosen.

const filesIn = async (entry, above = "") => {
  if (entry.name.startsWith(".")) return [];
  const path = above + entry.name;
  if (entry.isFile) return [{ file: await new Promise((give, fail) => entry.file(give, fail)), path }];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((give, fail) => reader.readEntries(give, fail));
    if (!some.length) return found;
    for (const one of some) found.push(...await filesIn(one, `${path}/`));
  }
};
const chosen = (input) => {
  const files = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  input.value = "";
  return files.filter(({ path }) => !path.split("/").some((part) => part.startsWith(".")));
};

const openDocuments = async () => {
  if (shelf.open) return;
  writeWords(shelf);
  say("");
  arriving = arriving.filter((item) => {
    const over = isIndexed(item) || item.state === "cancelled";
    if (over) item.row?.remove();
    return !over;
  });
  shelf.showModal();
  await refresh();
  if (listing.indexing && !syncing) followSync("GET");
};

if (window.sourcier.adds) {
  document.body.append(shelf, dropping);
  document.body.classList.add("adds");
  writeWords(dropping);
  query("#documents-open").hidden = false;
  BUTTONS["#documents-open"] = BUTTONS[".greeting .add"] = openDocuments;
  const [files, folder] = shelf.querySelectorAll("[type=file]");
  inShelf(".files").addEventListener("click", () => files.click());
  inShelf(".folder").addEventListener("click", () => folder.click());
  files.addEventListener("change", () => add(chosen(files)));
  folder.addEventListener("change", () => add(chosen(folder)));
  inShelf(".halt").addEventListener("click", stopAll);
  inShelf(".go-on").addEventListener("click", index);
  inShelf("[type=search]").addEventListener("input", drawSources);
  inShelf(".close").addEventListener("click", () => shelf.close());
  shelf.addEventListener("click", (event) => {
    if (event.target === shelf) shelf.close();
  });
  const brings = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", async (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    document.body.classList.remove("dropping");
    // They are gone from the event as soon as anything is awaited.
    const items = [...event.dataTransfer.items].filter(({ kind }) => kind === "file");
    const dropped = items.map((item) => [item.webkitGetAsEntry(), item.getAsFile()]);
    await openDocuments();
    const found = dropped.map(([entry, file]) => entry ? filesIn(entry) : [{ file, path: file.name }]);
    add((await Promise.all(found)).flat());
  });
}
