// Try it without leaving the page, and follow a write until it is over.
const form = document.querySelector("form[data-try]");
const place = document.querySelector("#result");

async function ask(action, fields) {
  const answer = await fetch(action, { method: "POST", body: new URLSearchParams(fields) });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.querySelector("#result") ?? page.querySelector("main");
}

function show(result) {
  place.replaceChildren(...result.childNodes);
  for (const again of place.querySelectorAll("form[data-again]")) again.hidden = true; // this page looks by itself
}

let turn = 0;

async function follow(mine) {
  const key = form.elements.key?.value ?? "";
  for (let pause = 1000; turn === mine; pause = Math.min(pause * 1.5, 8000)) {
    const write = place.querySelector(".followed:not([data-over])");
    if (!write) return;
    await new Promise((done) => setTimeout(done, pause));
    if (turn !== mine) return;
    const result = await ask(form.dataset.write, { key, write: write.dataset.id });
    if (turn === mine) show(result);
  }
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const mine = ++turn;
  const button = form.querySelector("button");
  button.disabled = true;
  button.textContent = "Sending…";
  try {
    show(await ask(form.action, new FormData(form)));
    follow(mine);
  } catch {
    form.submit(); // the way without script
  } finally {
    button.disabled = false;
    button.textContent = "Send";
  }
});
