// Puts the chat into a page: a button, and behind it, once it is wanted, a frame. docs/embedding.md tells the rest.
{
const script = document.currentScript;
const begin = () => {
  const data = script.dataset;
  const server = new URL(".", script.src);
  if (self.origin !== server.origin && !new RegExp("LISTED").test(self.origin)) {
    console.error(`Sourcier: pages of ${self.origin} may not show this assistant. Its owner can allow them: `
      + `ASSISTANT_EMBED_ORIGINS=${self.origin}`);
    return;
  }
  if (window.Assistant) return; // One is enough, however often the script is there.

  const french = (data.lang || document.documentElement.lang || navigator.language).toLowerCase().startsWith("fr");
  const [defaultTitle, closing, starting, loading, failed, elsewhere] = french
    ? ["Poser une question", "Fermer", "Nouvelle conversation", "Chargement…", "L’assistant ne répond pas ici.",
      "L’ouvrir dans un nouvel onglet"]
    : ["Ask a question", "Close", "New conversation", "Loading…", "The assistant does not answer here.",
      "Open it in a new tab"];
  const title = data.title || defaultTitle;
  const color = CSS.supports("color", data.color || "") ? data.color : "";
  const dark = { dark: "dark", light: "light" }[data.theme] || "";

  const make = (name, properties = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (key in element) element[key] = value; else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  };
  const icon = (path) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    svg.append(document.createElementNS(svg.namespaceURI, "path"));
    svg.firstChild.setAttribute("d", path);
    return svg;
  };

  // A sheet made this way needs no permission of the page's content security policy.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { all: initial; color-scheme: ${dark || "light dark"}; --accent: ${color || "light-dark(#0b6b62, #6fd0c2)"};
      --on: oklch(from var(--accent) calc((.6 - l) * 99) 0 0);
      --paper: light-dark(#fbfaf8, #131715); --ink: light-dark(#1c2321, #e8ebe9); --line: light-dark(#d9d4ca, #303935);
      font: 16px/1.4 system-ui, sans-serif; }
    * { box-sizing: border-box; }
    [hidden] { display: none !important; }
    button { all: unset; box-sizing: border-box; cursor: pointer; display: grid; place-items: center; }
    :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
    svg { width: 1.5rem; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round;
      stroke-linejoin: round; }
    .open { position: fixed; z-index: 2147483000; width: 3.5rem; height: 3.5rem; border-radius: 50%; overflow: hidden;
      background: var(--accent); color: var(--on); box-shadow: 0 4px 1rem #0004; }
    .open img { width: 100%; height: 100%; object-fit: cover; }
    .panel { display: flex; flex-direction: column; overflow: hidden; background: var(--paper); color: var(--ink);
      border: 1px solid var(--line); border-radius: 1rem; }
    .floating { position: fixed; z-index: 2147483000; width: 25rem; max-width: calc(100vw - 2rem);
      height: min(40rem, 100dvh - 7rem);
      box-shadow: 0 1px 3rem #0004; }
    .inline { height: var(--height, 30rem); min-height: 20rem; max-height: 90dvh; }
    .bottom { bottom: 1rem; } .floating.bottom { bottom: 5.5rem; }
    .top { top: 1rem; } .floating.top { top: 5.5rem; }
    .right { right: 1rem; } .left { left: 1rem; }
    header { display: flex; align-items: center; gap: .6rem; padding: .5rem .5rem .5rem 1rem;
      border-bottom: 1px solid var(--line); }
    header img { width: 1.5rem; height: 1.5rem; object-fit: contain; }
    h2 { flex: 1; margin: 0; font: 700 1rem/1.3 system-ui, sans-serif; overflow: hidden; text-overflow: ellipsis;
      white-space: nowrap; }
    header button { width: 2.25rem; height: 2.25rem; }
    header button:hover { color: var(--accent); }
    header svg { width: 1.2rem; }
    .frame { flex: 1; position: relative; min-height: 0; }
    iframe { position: absolute; inset: 0; width: 100%; height: 100%; border: 0; }
    .loading iframe { opacity: 0; }
    p { position: absolute; inset: 0; display: grid; place-content: center; gap: .75rem; margin: 0; text-align: center; }
    a { color: inherit; }
    @media (max-width: 30rem) {
      .floating { inset: 0 !important; width: auto; max-width: none; height: auto;
        border: 0; border-radius: 0; }
      .open[aria-expanded="true"] { display: none; }
    }
    @media (prefers-reduced-motion: no-preference) {
      .floating { animation: rise .18s ease-out; } @keyframes rise { from { opacity: 0; translate: 0 .75rem; } }
    }`);

  const listeners = {};
  const tell = (name, detail) => (listeners[name] || []).forEach((listener) => listener(detail));
  const inline = data.target ? document.querySelector(data.target) : null;
  if (data.target && !inline) console.error(`Sourcier: no ${data.target} in this page`);
  const place = /^(top|bottom)-(left|right)$/.test(data.position || "") ? data.position.split("-") : ["bottom", "right"];
  const phone = matchMedia("(max-width: 30rem)");
  let frame, token = data.token, ready = false, waiting = [], shown = false, made = false, asks = 0;

  const logo = () => data.logo ? [make("img", { src: data.logo, alt: "" })] : [];
  const launcher = make("button", { type: "button", className: `open ${place.join(" ")}`, title,
    "aria-label": title, "aria-expanded": "false", "aria-controls": "panel", "aria-haspopup": "dialog" },
    ...(data.logo ? logo() : [icon("M21 12a8 8 0 0 1-8 8H4l2-3a8 8 0 1 1 15-5zM9 10h7M9 14h4")]));
  const anew = make("button", { type: "button", title: starting, "aria-label": starting },
    icon("M3 12a9 9 0 1 0 3-6.7L3 8M3 3v5h5"));
  const close = make("button", { type: "button", title: closing, "aria-label": closing },
    icon("M6 6l12 12M18 6L6 18"));
  const state = make("p", { role: "status", textContent: loading });
  const holder = make("div", { className: "frame loading" }, state);
  const panel = make("div", { id: "panel", role: inline ? "group" : "dialog", "aria-label": title, hidden: !inline,
    className: `panel ${inline ? "inline" : `floating ${place.join(" ")}`}` },
    make("header", {}, ...logo(), make("h2", { textContent: title }), anew, ...(inline ? [] : [close])), holder);
  const host = make("section", { "aria-label": title });
  const root = host.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [sheet];
  root.append(...(inline ? [] : [launcher]), panel);

  const send = (message) => {
    if (ready) frame.contentWindow.postMessage(message, server.origin); else waiting.push(message);
  };

  const load = () => {
    if (made) return;
    made = true;
    const address = new URL(server);
    const asked = { embed: 1, bar: 0, __theme: dark || "system", lang: french ? "fr" : "en", title,
      greeting: data.greeting || "", color };
    for (const name in asked) address.searchParams.set(name, asked[name]);
    for (const example of (data.examples || "").split("|")) if (example) address.searchParams.append("example", example);
    frame = make("iframe", { title, src: address.href, referrerPolicy: "origin", loading: inline ? "lazy" : "eager",
      allow: `clipboard-write ${server.origin}` });
    // The frame answers whoever greets it first, if their origin is listed.
    frame.addEventListener("load", () => {
      frame.contentWindow.postMessage({ type: "sourcier:hello", token }, server.origin);
      setTimeout(() => {
        if (ready) return;
        console.error(`Sourcier: ${server.origin} does not answer. Does this page's policy allow it as frame-src?`);
        state.replaceChildren(failed, make("a", { href: server.href, target: "_blank", rel: "noopener",
          textContent: elsewhere }));
        tell("error", { message: failed });
      }, 15000);
    });
    holder.append(frame);
  };

  const focusInside = () => { frame.focus(); send({ type: "sourcier:focus" }); };

  const show = (wanted) => {
    if (inline || shown === wanted) return;
    shown = wanted;
    if (wanted) load();
    panel.hidden = !wanted;
    launcher.setAttribute("aria-expanded", `${wanted}`);
    // Where it fills the screen, what is behind it is out of reach.
    document.body.inert = wanted && phone.matches;
    if (wanted) focusInside(); else launcher.focus();
    tell(wanted ? "open" : "close");
  };

  window.addEventListener("message", (event) => {
    if (!frame || event.source !== frame.contentWindow || event.origin !== server.origin) return;
    const { type, ...detail } = event.data || {};
    if (type === "sourcier:ready") {
      ready = true;
      holder.classList.remove("loading");
      state.hidden = true;
      waiting.splice(0).forEach(send);
    } else if (type === "sourcier:height" && Number.isFinite(detail.height)) {
      panel.style.setProperty("--height", `${Math.ceil(detail.height) + 56}px`);
    } else if (type === "sourcier:escape") show(false);
    else if (/^sourcier:(question|answer|error|expired)$/.test(type)) tell(type.slice(9), detail);
  });

  launcher.addEventListener("click", () => show(!shown));
  close.addEventListener("click", () => show(false));
  anew.addEventListener("click", () => { load(); send({ type: "sourcier:new" }); focusInside(); });
  panel.addEventListener("keydown", (event) => { if (event.key === "Escape") show(false); });
  phone.addEventListener("change", () => { document.body.inert = shown && phone.matches; });

  const on = (name, listener) => {
    (listeners[name] ||= []).push(listener);
    return () => { listeners[name] = listeners[name].filter((other) => other !== listener); };
  };
  window.Assistant = Object.freeze({
    open: () => show(true),
    close: () => show(false),
    ask: (question) => new Promise((resolve, reject) => {
      const id = asks += 1;
      // Without an id, the frame did not come at all.
      const mine = (end) => (said) => { if (said.id === id || !ready) { over.forEach((off) => off()); end(said); } };
      const over = [on("answer", mine(resolve)), on("error", mine(({ message }) => reject(new Error(message))))];
      show(true);
      load();
      send({ type: "sourcier:ask", question: `${question}`, id });
    }),
    on,
    identify: (given) => { token = given; if (made) send({ type: "sourcier:visitor", token }); },
  });

  // Beside the body, where a page that replaces its body leaves it: a frame that is moved loads anew.
  (inline || document.documentElement).append(host);
  if (inline) load();
  else if (data.open === "true") show(true);
  document.dispatchEvent(new Event("assistant-ready"));
};
// From its head, or above its place: the page is awaited.
const here = document.body && document.querySelector(script.dataset.target || "body");
if (here || document.readyState !== "loading") begin(); else document.addEventListener("DOMContentLoaded", begin);
}
