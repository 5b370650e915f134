// Signing in by passkey, and adding one. Browsers have no other way to it.
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const problem = document.querySelector("[data-passkey-problem]");
const tell = (message) => { problem.textContent = message; problem.hidden = false; };

async function send(path, body) {
  const form = body instanceof URLSearchParams;
  const answer = await fetch(path, { method: "POST", body: form ? body : JSON.stringify(body), headers: form ? {} : { "Content-Type": "application/json" } });
  if (!answer.ok) {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    throw new Error(page.querySelector("main .lead, main .problem")?.textContent || "It did not work.");
  }
  return answer.json();
}

async function signIn(next) {
  const { publicKey } = await send("/sign-in/passkey/challenge", new URLSearchParams());
  publicKey.challenge = bytes(publicKey.challenge);
  const key = await navigator.credentials.get({ publicKey });
  const r = key.response;
  return send("/sign-in/passkey?next=" + encodeURIComponent(next), {
    id: key.id, rawId: text(key.rawId), type: key.type, clientExtensionResults: key.getClientExtensionResults(),
    response: { authenticatorData: text(r.authenticatorData), clientDataJSON: text(r.clientDataJSON), signature: text(r.signature), userHandle: r.userHandle ? text(r.userHandle) : "" },
  });
}

async function add(form) {
  const said = new URLSearchParams(new FormData(form));
  const { publicKey } = await send("/account/passkeys/challenge", said);
  publicKey.challenge = bytes(publicKey.challenge);
  publicKey.user.id = bytes(publicKey.user.id);
  for (const known of publicKey.excludeCredentials || []) known.id = bytes(known.id);
  const key = await navigator.credentials.create({ publicKey });
  return send("/account/passkeys?name=" + encodeURIComponent(said.get("name")), {
    id: key.id, rawId: text(key.rawId), type: key.type, clientExtensionResults: key.getClientExtensionResults(),
    response: { attestationObject: text(key.response.attestationObject), clientDataJSON: text(key.response.clientDataJSON), transports: key.response.getTransports?.() || [] },
  });
}

async function run(work) {
  problem.hidden = true;
  try {
    location.assign((await work()).next);
  } catch (e) {
    tell(e.name === "NotAllowedError" ? "The device has not been used." : e.message);
  }
}

if (window.PublicKeyCredential) {
  for (const place of document.querySelectorAll("[data-passkey]")) {
    place.hidden = false;
    if (place.dataset.passkey === "add") {
      place.addEventListener("submit", (e) => { e.preventDefault(); run(() => add(place)); });
    } else {
      place.querySelector("button").addEventListener("click", () => run(() => signIn(place.dataset.next)));
    }
  }
}
