// The source panel: a stored document with the quote marked in it, beside the chat, or over it where there is no room.
// Whatever is written in a document reaches the page as text alone.

const panel = document.createElement("dialog");
panel.id = "panel";
panel.setAttribute("aria-labelledby", "panel-title");
panel.innerHTML = `
  <header>
    <div><h2 id="panel-title" tabindex="-1" dir="auto"></h2><p class="details"></p></div>
    <button type="button" class="close" data-name="close">✕</button>
  </header>
  <nav>
    <button type="button" class="previous" data-name="previous_source">←</button>
    <span class="position" aria-live="polite"></span>
    <button type="button" class="next" data-name="next_source">→</button>
    <span class="views">
      <button type="button" class="as-text" aria-pressed="true" data-word="stored_text"></button>
      <button type="button" class="as-pdf" aria-pressed="false" data-word="pdf"></button>
      <a class="new-tab" target="_blank" rel="noopener" data-name="new_tab">↗</a>
    </span>
  </nav>
  <p class="status" role="status"></p>
  <div class="text" tabindex="0" role="region" aria-labelledby="panel-title" dir="auto"></div>
  <div class="pdf"></div>`;
document.body.append(panel);
const inPanel = (selector) => panel.querySelector(selector);

const narrow = matchMedia("(width < 60rem)");
let shown = null;
let opening = 0;

const openSource = async (link) => {
  const where = new URLSearchParams(link.getAttribute("href").split("?")[1]);
  const address = `documents/${encodeURIComponent(where.get("id"))}`;
  where.set("language", language());
  const turn = ++opening;
  showPanel(link);
  let source = null;
  try {
    const response = await fetch(`${address}?${where}`);
    if (turn !== opening) return;
    if (response.ok) source = await response.json();
    inPanel(".status").textContent = response.ok ? "" : word("source_gone");
  } catch {
    if (turn === opening) inPanel(".status").textContent = word("unreachable");
  }
  if (turn === opening && source) drawSource(source, address, where.get("page"));
};

const showPanel = (link) => {
  shown?.removeAttribute("aria-current");
  shown = link;
  shown.setAttribute("aria-current", "true");
  writeWords(panel);
  inPanel(".status").textContent = word("opening");
  inPanel("h2").textContent = inPanel(".details").textContent = "";
  inPanel(".text").replaceChildren();
  inPanel(".pdf").replaceChildren();
  inPanel(".views").hidden = true;
  const links = neighbours();
  const place = links.findIndex((other) => sameSource(other, link));
  inPanel(".position").textContent = phrase("source_of", place + 1, links.length);
  inPanel(".previous").disabled = place <= 0;
  inPanel(".next").disabled = place < 0 || place >= links.length - 1;
  inPanel("nav").classList.toggle("alone", links.length < 2);
  if (panel.open) return;
  narrow.matches ? panel.showModal() : panel.show();
  document.body.classList.add("reading");
  inPanel("h2").focus();
  link.scrollIntoView({ block: "nearest" });
};

const drawSource = (source, address, page) => {
  inPanel("h2").textContent = source.title;
  const tongue = source.language && new Intl.DisplayNames([language()], { type: "language" }).of(source.language);
  inPanel(".details").textContent = [...source.details, tongue, source.name].filter(Boolean).join(" · ");
  const text = inPanel(".text");
  text.lang = source.language ?? "";
  text.replaceChildren(...source.pieces.map(([kind, words]) => {
    const piece = document.createElement(kind === "quote" ? "mark" : "span");
    piece.className = kind;
    piece.textContent = words;
    return piece;
  }));
  inPanel(".views").hidden = !source.pdf;
  inPanel(".as-pdf").hidden = inPanel(".as-text").hidden = !navigator.pdfViewerEnabled;
  inPanel(".new-tab").href = `${address}/file${page ? `#page=${page}` : ""}`;
  drawView(source.pdf && navigator.pdfViewerEnabled && inPanel(".as-pdf").getAttribute("aria-pressed") === "true");
};

const drawView = (asPdf) => {
  inPanel(".as-pdf").setAttribute("aria-pressed", asPdf);
  inPanel(".as-text").setAttribute("aria-pressed", !asPdf);
  inPanel(".text").hidden = asPdf;
  inPanel(".pdf").hidden = !asPdf;
  if (!asPdf) {
    (inPanel("mark") ?? inPanel(".passage"))?.scrollIntoView({ block: "center" });
    return;
  }
  const frame = document.createElement("iframe");
  frame.title = inPanel("h2").textContent;
  const file = inPanel(".new-tab").href;
  frame.src = `${file}${file.includes("#") ? "&" : "#"}navpanes=0&view=FitH`;
  inPanel(".pdf").replaceChildren(frame);
};

const sameSource = (one, other) => one.getAttribute("href") === other.getAttribute("href");

const neighbours = () => {
  const list = shown.closest(".others") ?? shown.closest(".answer")?.querySelector(".cited");
  return list ? [...list.querySelectorAll("a.card")] : [shown];
};

const stepSource = (step) => {
  const links = neighbours();
  const next = links[links.findIndex((other) => sameSource(other, shown)) + step];
  if (next) openSource(next);
};

// The focus goes back at once: by the time the browser tells of the closing, the person may be writing already.
const closePanel = () => {
  panel.close();
  (shown?.isConnected ? shown : field()).focus();
};

inPanel(".close").addEventListener("click", () => closePanel());
inPanel(".previous").addEventListener("click", () => stepSource(-1));
inPanel(".next").addEventListener("click", () => stepSource(1));
inPanel(".as-text").addEventListener("click", () => drawView(false));
inPanel(".as-pdf").addEventListener("click", () => drawView(true));
panel.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closePanel();
});
panel.addEventListener("close", () => {
  document.body.classList.remove("reading");
  opening += 1;
  inPanel(".pdf").replaceChildren();
  shown?.removeAttribute("aria-current");
});

// In the capture phase and without the browser's own way: the page's <base href="./"> makes "#source" another address
// as soon as there is a query (?__theme=dark), and reloads the page.
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href*="#source?"]');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  openSource(link);
}, true);

// A link to a source that somebody was sent.
if (location.hash.startsWith("#source?")) {
  const link = document.createElement("a");
  link.setAttribute("href", location.hash);
  openSource(link);
}
