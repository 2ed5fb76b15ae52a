"use strict";
const byId = id => document.getElementById(id);
const make = (name, text, parent) => { const node = document.createElement(name); node.textContent = text; parent.append(node); return node; };

async function showHealth() {
  let states = {};
  try { states = await (await fetch("api/health")).json(); } catch { states = { ui: "no answer" }; }
  byId("health").replaceChildren();
  for (const [name, state] of Object.entries(states)) {
    const item = make("li", name, byId("health"));
    item.title = state;
    item.className = state === "ready" ? "ready" : "";
  }
}

async function ask(question) {
  const turn = make("article", "", byId("chat"));
  make("h2", question, turn);
  const answer = make("p", "", turn);
  answer.className = "answer";
  const fail = text => { answer.textContent += text; answer.classList.add("error"); };
  try {
    const response = await fetch("api/stream", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ question }) });
    if (!response.ok) { const body = await response.json(); fail(typeof body.detail === "string" ? body.detail : "the question was refused"); return; }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const [, name, data] = event.match(/^event: (.*)\ndata: (.*)$/s);
        const content = JSON.parse(data);
        if (name === "token") answer.textContent += content;
        else if (name === "error") fail(content.message);
        else if (name === "sources" && content.length) {
          const list = make("ol", "", turn);
          list.setAttribute("aria-label", "sources");
          for (const source of content) {
            const item = make("li", "", list);
            make("strong", source.title, item);
            item.append(" ");
            make("q", source.text.slice(0, 160), item);
          }
        } else if (name === "done") turn.dataset.done = "true";
      }
    }
  } catch (error) { fail(" (broken off: " + error.message + ")"); }
}

byId("ask").addEventListener("submit", async event => {
  event.preventDefault();
  const field = byId("question"), question = field.value.trim();
  if (!question) return;
  field.value = "";
  byId("send").disabled = true;
  await ask(question);
  byId("send").disabled = false;
  field.focus();
});

byId("files").addEventListener("change", async event => {
  const results = [];
  for (const file of event.target.files) {
    try {
      const body = JSON.stringify({ title: file.name, url: "", text: await file.text() });
      const response = await fetch("api/documents", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      results.push(file.name + (response.ok ? ": accepted" : ": refused (" + response.status + ")"));
    } catch (error) { results.push(file.name + ": " + error.message); }
  }
  byId("note").textContent = results.join("; ");
  event.target.value = "";
});

showHealth();
setInterval(showHealth, 15000);
