// Small comforts of every page; all of it works without.

// Buttons that copy code.
for (const box of document.querySelectorAll(".code")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(box.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  box.append(button);
}

// The partner's own key in samples. It stays in this tab.
const store = "headrace.key";
const mine = document.querySelector("#mykey");
const sample = document.querySelector("[data-sample]");
if (mine && sample) {
  const text = sample.textContent;
  const show = () => {
    const key = mine.value.trim();
    sample.textContent = key ? text.replaceAll("YOUR_API_KEY", key).replaceAll("YOUR_TOKEN", key) : text;
  };
  mine.closest("[hidden]").hidden = false;
  mine.value = sessionStorage.getItem(store) ?? "";
  mine.addEventListener("input", () => { sessionStorage.setItem(store, mine.value.trim()); show(); });
  show();
}
for (const field of document.querySelectorAll("[data-key]")) {
  field.value = sessionStorage.getItem(store) ?? "";
  field.addEventListener("input", () => sessionStorage.setItem(store, field.value.trim()));
}

// Filters take effect when they are chosen.
for (const form of document.querySelectorAll("form.filters")) {
  form.addEventListener("change", () => form.requestSubmit());
}

// The menu closes with Escape.
document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("details.menu[open]");
  if (event.key === "Escape" && menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
