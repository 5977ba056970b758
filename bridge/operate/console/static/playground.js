// Shows what the mapping makes of the payload while either is being written.
"use strict";
(() => {
  const form = document.getElementById("playground");
  const result = document.getElementById("result");
  const stored = document.getElementById("stored");
  const text = document.getElementById("mapping-text");
  const fields = ["mapping", "payload", "records"];
  const csrf = form.elements.csrf.value;
  let timer = 0;
  let turn = 0;
  let shown = "";

  document.getElementById("try").hidden = true;

  function say(words) {
    const line = document.createElement("p");
    line.className = "notice";
    line.textContent = words;
    result.replaceChildren(line);
    shown = "";
  }

  async function look() {
    const mine = ++turn;
    const given = Object.fromEntries(fields.map((name) => [name, form.elements[name].value]));
    result.setAttribute("aria-busy", "true");
    try {
      const reply = await fetch(form.dataset.try, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
        body: JSON.stringify(given),
        credentials: "same-origin",
      });
      if (mine !== turn) return;
      if (reply.status === 401) say("The session has ended. Load the page anew and sign in.");
      else if (!reply.ok) say("This could not be tried (" + reply.status + ").");
      else {
        const told = await reply.json();
        if (mine !== turn || told.html === shown) return;
        shown = told.html;
        result.innerHTML = told.html; // rendered and escaped by the server
      }
    } catch {
      if (mine === turn) say("The bridge does not answer.");
    } finally {
      if (mine === turn) result.removeAttribute("aria-busy");
    }
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(look, 300);
  }

  for (const name of fields) form.elements[name].addEventListener("input", soon);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });
  if (stored) {
    stored.addEventListener("change", async () => {
      if (!stored.value) return;
      const reply = await fetch(form.dataset.payloads + stored.value, { credentials: "same-origin" });
      if (!reply.ok) return say("This delivery could not be read (" + reply.status + ").");
      form.elements.payload.value = (await reply.json()).payload;
      look();
    });
  }
  result.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-line]");
    if (!link) return;
    event.preventDefault();
    const lines = text.value.split("\n").slice(0, Number(link.dataset.line) - 1);
    const start = lines.reduce((sum, line) => sum + line.length + 1, 0) + Number(link.dataset.column) - 1;
    text.focus();
    text.setSelectionRange(start, start);
    const height = parseFloat(getComputedStyle(text).lineHeight) || 20;
    text.scrollTop = Math.max(0, (lines.length - 5) * height);
  });
  look();
})();
