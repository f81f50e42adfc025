// Where third parties may store nothing, the browser refuses to give these at all; Gradio needs them to be there.
for (const name of ["localStorage", "sessionStorage"]) {
  try { window[name].getItem(""); } catch {
    const kept = new Map();
    Object.defineProperty(window, name, { configurable: true, value: {
      getItem: (key) => kept.get(`${key}`) ?? null,
      setItem: (key, value) => { kept.set(`${key}`, `${value}`); },
      removeItem: (key) => { kept.delete(`${key}`); },
      clear: () => { kept.clear(); },
      key: (index) => [...kept.keys()][index] ?? null,
      get length() { return kept.size; },
    } });
  }
}

const query = new URLSearchParams(location.search);
const language = ["fr", "en"].find((known) => query.get("lang")?.toLowerCase().startsWith(known));
if (START.embedded && language) {
  // Gradio and the page ask the browser for its language: here, the page around it has decided.
  Object.defineProperty(navigator, "language", { get: () => language });
  Object.defineProperty(navigator, "languages", { get: () => [language] });
}
if (START.embedded) document.documentElement.classList.add("embedded", ...(query.get("bar") === "0" ? ["bare"] : []));

// Whether documents may be added here; never in a frame, which a page of others could be around.
window.sourcier = { adds: START.adds && window.top === window };

// The token of the visitor goes with each call, and is exchanged for a new one while it is used. It is in the memory
// of this page and nowhere else.
const browserFetch = window.fetch.bind(window);
let token = START.visitor?.token;
let named = false;
let renewAt = Date.now() + (START.visitor?.seconds ?? 0) * 700;

const renew = async (old) => {
  const response = await browserFetch("api/token", {
    method: "POST", body: "{}",
    headers: { "Content-Type": "application/json", ...(old && { Authorization: `Bearer ${old}` }) },
  });
  if (!response.ok) return;
  const fresh = await response.json();
  token = fresh.token;
  renewAt = Date.now() + fresh.seconds * 700;
};

if (token) window.fetch = async (input, options = {}) => {
  if (!`${input?.url ?? input}`.includes("/gradio_api/queue/join")) return browserFetch(input, options);
  const call = () => browserFetch(input, { ...options, headers: {
    ...Object.fromEntries(new Headers(options.headers)),
    Authorization: `Bearer ${token}`,
    ...(language && { "Accept-Language": language }),
  } });
  if (Date.now() > renewAt) await renew(token);
  const response = await call();
  if (response.status !== 401) return response;
  if (named) window.dispatchEvent(new Event("sourcier-expired"));
  named = false;
  await renew();
  return call();
};
