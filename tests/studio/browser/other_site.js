// What a page of another site can send without asking first. Returns what it could read or load of the answers.
async ([studio, run]) => {
  const text = (path, init = {}) => fetch(studio + path, { credentials: "include", ...init }).then((answer) => answer.text());
  const post = (path, type, body) =>
    text(path, { method: "POST", mode: type === "application/json" ? "cors" : "no-cors", headers: { "content-type": type }, body });
  const loaded = (name, settings) => new Promise((done) => {
    const element = Object.assign(document.createElement(name), settings);
    element.onload = () => {
      let inside = name === "iframe" ? "" : "loaded";
      try {
        inside ||= element.contentDocument?.body?.textContent ?? "";
      } catch { /* another origin's */ }
      done(inside);
    };
    element.onerror = () => done("");
    document.body.append(element);
  });
  const opened = (source) => new Promise((done) => {
    source.onopen = () => done("open");
    source.onerror = () => {
      source.close();
      done("");
    };
  });
  const submitted = () => {
    const sink = loaded("iframe", { name: "sink" });
    const form = Object.assign(document.createElement("form"), {
      method: "POST", enctype: "text/plain", action: `${studio}/api/stop`, target: "sink",
    });
    document.body.append(form);
    form.submit();
    return sink;
  };
  const tries = {
    "read": () => text("/api/session"),
    "read without cookies": () => text("/api/session", { credentials: "omit" }),
    "simple post": () => post("/api/stop", "text/plain", '{"tab":"x"}'),
    "post as JSON": () => post("/api/run", "application/json", '{"model":"lenet5","image":"sample:0"}'),
    "upload": () => post("/api/image", "text/plain", "x"),
    "script": () => loaded("script", { src: `${studio}/static/app.js` }),
    "image": () => loaded("img", { src: `${studio}/api/image/sample:0` }),
    "style": () => loaded("link", { rel: "stylesheet", href: `${studio}/static/base.css` }),
    "frame": () => loaded("iframe", { src: `${studio}/` }),
    "form": submitted,
    "events": () => opened(new EventSource(`${studio}/api/runs/${run}/events`, { withCredentials: true })),
    "socket": () => opened(new WebSocket(`${studio.replace("http", "ws")}/api/runs/${run}/events`)),
  };
  const read = [];
  for (const [name, attempt] of Object.entries(tries)) {
    const answer = await attempt().catch(() => "");
    if (answer) read.push(`${name}: ${answer}`);
  }
  return read;
}
